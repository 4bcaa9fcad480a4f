"""Join a sweep's Ray cluster, describe it, and check it before the first trial."""

import re
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mtvae.config import FAMILIES, METHODS
from mtvae.config.own_model import local_modules
from mtvae.config.registry import import_attribute
from sweeps.data.datasets import DATASETS
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.temporary import temporary_name
from sweeps.plan.unit import PlacementError, Unit
from sweeps.text import count_text, error_line, number_text

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 60.0  # for a node to start a worker that looks at the results folder or imports torch
Resources = dict[str, float]
Node = dict[str, Any]  # as `ray.nodes` describes one


def connect(address: str, **options: Any) -> None:
    """Join the cluster at "auto" or "HOST:PORT", of which this machine must be a node.

    Over ray:// Tune would run on the cluster, and with it the callbacks that must run in this process.

    Raises:
        PlacementError: there is no cluster, or its versions of Ray or Python differ.
    """
    if address != "auto":
        match = re.fullmatch(r"(?!ray://)(?P<host>.+):(?P<port>\d+)", address)
        if match is None:
            where = "run the command on a node of the cluster, by `ray job submit` for example, with auto"
            why = where if address.startswith("ray://") else "it must be auto or HOST:PORT"
            raise PlacementError(f"no Ray cluster at {address}: {why}")
        try:  # Ray itself would retry for minutes
            socket.create_connection((match["host"].strip("[]"), int(match["port"])), CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise PlacementError(f"no Ray cluster at {address}: {error}") from error
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
        raise PlacementError(f"cannot use a Ray cluster at {address}: {error_line(error)[:300]}") from error


def living_nodes() -> list[Node]:
    """Return the nodes that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def describe_cluster() -> str:
    """Return how many nodes, CPUs and GPUs the cluster has now, as text."""
    total = ray.cluster_resources()
    return f"{count_text(len(living_nodes()), 'node')}, {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"


def ray_resources(unit: Unit) -> Resources:
    """Return what a unit occupies, by Ray's names of resources."""
    r = unit.settings.resources
    wanted = {"CPU": r.cpus, "GPU": r.gpus, "memory": r.memory or 0.0}
    return {name: amount for name, amount in wanted.items() if amount}


def check_resources(units: Sequence[Unit], wait_seconds: float) -> None:
    """Check that every unit fits on some node; if not, request one from the autoscaler and wait for it.

    Raises:
        PlacementError: after `wait_seconds` there is still no such node.
    """
    needed = [dict(pairs) for pairs in dict.fromkeys(tuple(ray_resources(unit).items()) for unit in units)]
    deadline = time.monotonic() + wait_seconds
    while lacking := [needs for needs in needed if not _fits(needs)]:
        if time.monotonic() >= deadline:
            raise PlacementError(_shortage(lacking[0], wait_seconds))
        from ray.autoscaler.sdk import request_resources

        request_resources(bundles=lacking)
        time.sleep(1)


def _fits(needs: Resources) -> bool:
    return any(all(node["Resources"].get(name, 0) >= n for name, n in needs.items()) for node in living_nodes())


def _shortage(needs: Resources, waited: float) -> str:
    """Return text that says which resource no node has enough of, or that no node has all of them together."""
    most = {name: max((node["Resources"].get(name, 0) for node in living_nodes()), default=0) for name in needs}
    settings = {"CPU": "resources.cpus", "GPU": "resources.gpus", "memory": "resources.memory"}
    short = [
        f"{settings[n]} is {number_text(needs[n])}, but the largest node has {most[n]:g}"
        for n in needs
        if most[n] < needs[n]
    ]
    after = f" after {waited:g} s" if waited else ""
    return "; ".join(short or [f"no node has {needs} together"]) + after


def check_storage(ledger: Ledger) -> None:
    """Check that every node sees the results folder as this process does.

    Raises:
        PlacementError: a node does not.
        StorageError: this process cannot write to the folder.
    """
    name = temporary_name("probe")
    ledger.storage.write(name, b"")
    try:
        refused, silent = _ask_nodes(_sees_file, living_nodes(), 0, ledger, name)
        if refused or silent:
            names = ", ".join(refused or silent)
            raise PlacementError(
                f"{ledger.storage.root}: not seen by {names}; results need a folder that every node has, or S3"
            )
    finally:
        ledger.storage.remove(name)


def sees_gpu() -> bool:
    """Return whether torch sees a GPU; to be called in a worker that was given a share of one."""
    import torch

    return torch.cuda.is_available()


def plug_ins() -> list[str]:
    """Return the names of the families, methods and data sets of plug-ins that this process has imported."""
    return [declared.name for registry in (FAMILIES, METHODS, DATASETS) for declared in registry.plug_ins()]


def shipped_modules() -> dict[str, Any]:
    """Return the part of a runtime environment that brings the files of plug-ins to all workers.

    A plug-in that is installed as a package is not among them.
    """
    paths = sorted({path for name in plug_ins() for path in local_modules(name)})
    return {"py_modules": paths} if paths else {}


def check_plug_ins() -> None:
    """Check that every node can import the plug-ins.

    Raises:
        PlacementError: a node cannot.
    """
    for name in plug_ins():
        refused, _ = _ask_nodes(_answer, living_nodes(), 0, partial(can_import, name))
        if refused:
            raise PlacementError(f"{name} cannot be imported on {', '.join(refused)}: install its package there")


def can_import(name: str) -> bool:
    """Return whether a plug-in can be imported; to be called in a worker."""
    try:
        import_attribute(name)
    except Exception:  # a plug-in's module may raise anything
        return False
    return True


def check_gpus(units: Sequence[Unit], sees_gpu: Callable[[], bool] = sees_gpu) -> None:
    """Check that torch sees a GPU on every node that offers GPUs, if units ask for them.

    So a torch built for the CPU or an old driver is reported before the first unit. A node whose GPUs are busy is not
    waited for longer than PROBE_SECONDS, and passes.

    Raises:
        PlacementError: torch sees no GPU on a node that offers one.
    """
    share = min((unit.settings.resources.gpus for unit in units if unit.settings.resources.gpus), default=0.0)
    offering = [node for node in living_nodes() if node["Resources"].get("GPU", 0) >= share > 0]
    refused, _ = _ask_nodes(_answer, offering, share, sees_gpu)
    if refused:
        raise PlacementError(f"resources.gpus is {number_text(share)}, but torch sees no GPU on {', '.join(refused)}")


def _ask_nodes(probe: Any, nodes: Sequence[Node], gpus: float, *arguments: Any) -> tuple[list[str], list[str]]:
    """Call a remote function with a share of a GPU on every node.

    Returns:
        The names of the nodes where it returned False, and of those where it did not return within PROBE_SECONDS.
    """
    hosts = {
        probe.options(
            num_gpus=gpus, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(*arguments): node["NodeManagerHostname"]
        for node in nodes
    }
    ready, late = ray.wait(list(hosts), num_returns=len(hosts), timeout=PROBE_SECONDS) if hosts else ([], [])
    for answer in late:
        ray.cancel(answer)
    return sorted({hosts[r] for r in ready if not ray.get(r)}), sorted({hosts[r] for r in late})


@ray.remote(num_cpus=0, max_retries=0)
def _sees_file(ledger: Ledger, name: str) -> bool:
    """Return whether a worker of this node sees a file that the driver wrote."""
    try:
        return ledger.storage.exists(name)
    except OSError:
        return False


@ray.remote(num_cpus=0, max_retries=0)
def _answer(question: Callable[[], bool]) -> bool:
    """Return what a function returns in a worker of this node."""
    return question()
