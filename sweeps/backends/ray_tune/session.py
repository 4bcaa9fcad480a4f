"""Start Ray on this machine or join a cluster, protect its token, and make the folder that Tune writes into."""

import contextlib
import math
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray

from sweeps.backends.malloc import malloc_settings
from sweeps.backends.ray_tune import nodes, surroundings
from sweeps.backends.stop import children_ignore_signals
from sweeps.data.datasets import Source, image_count, shape, test_image_count
from sweeps.ledger.temporary import TEMPORARY, is_stale, temporary_name
from sweeps.plan.unit import PlacementError, Unit
from sweeps.text import error_line

OBJECT_STORE_MINIMUM = 128 * 2**20  # bytes; Ray's default is a third of the machine


@contextlib.contextmanager
def ray_running(units: Sequence[Unit], workers: int, address: str | None) -> Iterator[None]:
    """Call `start`; at the end of the block leave the cluster, or stop this machine's Ray."""
    with contextlib.nullcontext() if address is not None else surroundings.ray_folder() as folder:
        try:
            with children_ignore_signals():
                start(units, workers, address, folder)
            yield
        finally:
            ray.shutdown()


def start(units: Sequence[Unit], workers: int, address: str | None, folder: str | None = None) -> None:
    """Join the cluster at `address`, or start Ray on this machine.

    Ray on this machine gets the CPUs for `workers` of these units at a time, and the memory for their images.

    Args:
        folder: for Ray's files; None: the one that Ray chooses.

    Raises:
        PlacementError: there is no cluster at the address, or Ray cannot start.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    quiet["runtime_env"] = {"env_vars": malloc_settings()} | nodes.shipped_modules()
    if address is not None:
        nodes.connect(address, **quiet)
        print(f"Ray cluster at {address}: {nodes.describe_cluster()}")
    else:
        images = sum(map(_image_bytes, {unit.settings.source for unit in units}))
        cpus = workers * max(unit.settings.resources.cpus for unit in units)
        try:
            ray.init(
                address="local",  # without an address, Ray joins any cluster that it finds
                num_cpus=math.ceil(cpus),
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_MINIMUM + 2 * images,
                _temp_dir=folder,
                **quiet,
            )
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code == signal.SIGTERM:  # Ray's handler: a stop was requested
                raise KeyboardInterrupt from None
            why = error_line(error)[:300] or type(error).__name__
            raise PlacementError(f"Ray cannot start on this machine; --inline needs no Ray: {why}") from error
    make_token_private()


def make_token_private() -> None:
    """Let no other user read the token that guards Ray's ports: Ray writes it into a file that all users may read."""
    with contextlib.suppress(OSError, RuntimeError):  # a RuntimeError: there is no home folder
        Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser().chmod(0o600)


def scratch_folder() -> Path:
    """Make a new folder for files that Tune writes and nobody reads, and remove those that killed drivers left here.

    Raises:
        PlacementError: the folder cannot be made.
    """
    try:
        here = Path(tempfile.gettempdir())
        for left in here.glob(f"sweeps-tune.*{TEMPORARY}"):
            if is_stale(left.name):
                shutil.rmtree(left, ignore_errors=True)
        scratch = here / temporary_name("sweeps-tune")
        scratch.mkdir(mode=0o700)
    except OSError as error:
        raise PlacementError(f"no folder for temporary files; set TMPDIR to one: {error_line(error)}") from error
    return scratch


def _image_bytes(source: Source) -> int:
    channels, side = shape(source.data)
    return (image_count(source.data) + test_image_count(source)) * channels * side**2
