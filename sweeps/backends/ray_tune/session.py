"""Ray on this machine: started or joined, guarded by its token, and the folder for what Tune writes."""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from sweeps.backends.ray_tune import nodes
from sweeps.data.datasets import Source, image_count, shape, test_half_count
from sweeps.ledger.storage import TEMPORARY, is_stale, temporary_name
from sweeps.plan.unit import Unit

ONE_ARENA = "MALLOC_ARENA_MAX"  # a trial is a thread, which glibc would give memory of its own, kept by other rules
OBJECT_STORE_MINIMUM = 128 * 2**20  # bytes; Ray's default is a third of the machine


def start(units: Sequence[Unit], workers: int, address: str | None) -> None:
    """Join the cluster at `address`, or start a Ray on this machine that is large enough for so many of these units and
    for their images.

    Raises:
        PlacementError: there is no cluster at the address.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if ONE_ARENA not in os.environ:
        quiet["runtime_env"] = {"env_vars": {ONE_ARENA: "1"}}
    if address is not None:
        nodes.connect(address, **quiet)
        print(f"Ray cluster at {address}: {nodes.described()}")
    else:
        images = sum(map(_bytes, {unit.settings.source for unit in units}))
        cpus = workers * max(unit.settings.resources.cpus for unit in units)
        ray.init(
            address="local",  # without an address, Ray joins whatever cluster is about
            num_cpus=math.ceil(cpus),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_MINIMUM + 2 * images,
            **quiet,
        )
    protect_token()


def protect_token() -> None:
    """Keep the token that guards Ray's ports from other users: Ray writes it into a file that all of them may read."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    with contextlib.suppress(OSError):
        path.chmod(0o600)


def scratch_folder() -> Path:
    """Make a new folder for what Tune writes and nobody reads, and remove those that killed drivers of this host left
    behind."""
    here = Path(tempfile.gettempdir())
    for left in here.glob(f"sweeps-tune.*{TEMPORARY}"):
        if is_stale(left.name):
            shutil.rmtree(left, ignore_errors=True)
    scratch = here / temporary_name("sweeps-tune")
    scratch.mkdir(mode=0o700)
    return scratch


def _bytes(source: Source) -> int:
    channels, side = shape(source.data)
    return (image_count(source.data) + test_half_count(source)) * channels * side**2
