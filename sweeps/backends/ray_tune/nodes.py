"""The Ray cluster of a sweep: reached, described, and checked before the first trial."""

import re
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import temporary_name
from sweeps.plan.unit import PlacementError, Unit
from sweeps.text import count_text, error_line, number_text

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 60.0  # that a node has to start a worker, which looks at the results folder, or imports torch
Resources = dict[str, float]
Node = dict[str, Any]  # as `ray.nodes` says it


def connect(address: str, **options: Any) -> None:
    """Joins the cluster at "auto" or "HOST:PORT", of which this machine must be a node: over ray:// Tune moves itself
    to the cluster, and with it what watches the trials here.

    Raises:
        PlacementError: there is none, or one of other versions.
    """
    if address != "auto":
        match = re.fullmatch(r"(?!ray://)(?P<host>.+):(?P<port>\d+)", address)
        if match is None:
            where = "run the command on a node of the cluster, by `ray job submit` for example, with auto"
            why = where if address.startswith("ray://") else "it must be auto or HOST:PORT"
            raise PlacementError(f"no Ray cluster at {address}: {why}")
        try:  # Ray itself would try for minutes
            socket.create_connection((match["host"].strip("[]"), int(match["port"])), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise PlacementError(f"no Ray cluster at {address}: {error}") from error
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
        raise PlacementError(f"cannot use a Ray cluster at {address}: {error_line(error)[:300]}") from error


def alive() -> list[Node]:
    return [node for node in ray.nodes() if node["Alive"]]


def described() -> str:
    """How many nodes, CPUs and GPUs there are now."""
    nodes, there = alive(), ray.cluster_resources()
    return f"{count_text(len(nodes), 'node')}, {there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs"


def asked(unit: Unit) -> Resources:
    """What a unit occupies, in Ray's words."""
    r = unit.settings.resources
    wanted = {"CPU": r.cpus, "GPU": r.gpus, "memory": r.memory or 0.0}
    return {name: amount for name, amount in wanted.items() if amount}


def check_resources(units: Sequence[Unit], wait_seconds: float) -> None:
    """Every unit must fit on some node. Where none is large enough, an autoscaler is asked for one and given its time.

    Raises:
        PlacementError: there is no such node.
    """
    wanted = [dict(pairs) for pairs in dict.fromkeys(tuple(asked(unit).items()) for unit in units)]
    deadline = time.monotonic() + wait_seconds
    while lacking := [needs for needs in wanted if not _fits(needs)]:
        if time.monotonic() >= deadline:
            raise PlacementError(_lack(lacking[0], wait_seconds))
        from ray.autoscaler.sdk import request_resources

        request_resources(bundles=lacking)
        time.sleep(1)


def _fits(needs: Resources) -> bool:
    return any(all(node["Resources"].get(name, 0) >= n for name, n in needs.items()) for node in alive())


def _lack(needs: Resources, waited: float) -> str:
    """Which resource no node has enough of, or that no node has them together."""
    most = {name: max((node["Resources"].get(name, 0) for node in alive()), default=0) for name in needs}
    settings = {"CPU": "resources.cpus", "GPU": "resources.gpus", "memory": "resources.memory"}
    short = [
        f"{settings[n]} is {number_text(needs[n])}, but the largest node has {most[n]:g}"
        for n in needs
        if most[n] < needs[n]
    ]
    after = f" after {waited:g} s" if waited else ""
    return "; ".join(short or [f"no node has {needs} together"]) + after


def check_storage(ledger: Ledger) -> None:
    """Every node must see the results folder as this process does.

    Raises:
        PlacementError: one does not.
        StorageError: this process cannot write it.
    """
    name = temporary_name("probe")
    ledger.storage.write(name, b"")
    try:
        no, late = _ask(_probe, alive(), 0, ledger, name)
        if no or late:
            names = ", ".join(no or late)
            raise PlacementError(
                f"{ledger.storage.root}: not seen by {names}; results need a folder that every node has, or S3"
            )
    finally:
        ledger.storage.remove(name)


def sees_gpu() -> bool:
    """Return whether torch sees a GPU, in a worker that was given a share of one."""
    import torch

    return torch.cuda.is_available()


def check_gpus(units: Sequence[Unit], sees_gpu: Callable[[], bool] = sees_gpu) -> None:
    """Where units ask for GPUs, torch must see one on every node that offers them: torch built for the CPU, or an old
    driver, is said now and not by the first unit. A node whose GPUs are taken in the meantime is not waited for long.

    Raises:
        PlacementError: on one it does not.
    """
    share = min((unit.settings.resources.gpus for unit in units if unit.settings.resources.gpus), default=0.0)
    offering = [node for node in alive() if node["Resources"].get("GPU", 0) >= share > 0]
    no, _ = _ask(_say, offering, share, sees_gpu)
    if no:
        raise PlacementError(f"resources.gpus is {number_text(share)}, but torch sees no GPU on {', '.join(no)}")


def _ask(probe: Any, nodes: Sequence[Node], gpus: float, *arguments: Any) -> tuple[list[str], list[str]]:
    """Asks a remote function on every node, given a share of a GPU: the names of the nodes where it says no, and of
    those where it says nothing in time."""
    asked = {
        probe.options(
            num_gpus=gpus, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(*arguments): node["NodeManagerHostname"]
        for node in nodes
    }
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=PROBE_SECONDS) if asked else ([], [])
    for answer in late:
        ray.cancel(answer)
    return sorted({asked[r] for r in ready if not ray.get(r)}), sorted({asked[r] for r in late})


@ray.remote(num_cpus=0, max_retries=0)
def _probe(ledger: Ledger, name: str) -> bool:
    """Whether a file that the driver wrote is there."""
    try:
        return ledger.storage.exists(name)
    except OSError:
        return False


@ray.remote(num_cpus=0, max_retries=0)
def _say(question: Callable[[], bool]) -> bool:
    """Answer a question on the node of this worker."""
    return question()
