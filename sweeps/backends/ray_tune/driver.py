"""Ray Tune around `trial`: places units on workers. The ledger says what is done; Ray only places work.

Facts about Ray 2.60 that shape this file: `Tuner.fit` returning means "stopped", not "complete"; an actor that is not
reused costs seconds a trial; `ray.init()` without address joins whatever cluster is about; a `grid_search` is copied
for each of its values, and what `with_parameters` is given is unpickled for each trial: neither may hold all units.
"""

import contextlib
import gc
import logging
import math
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ |= {  # read by Ray when it is imported; a user's own values win
    name: os.environ.get(name, value)
    for name, value in {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "inf",  # a file of all trials that nobody reads
    }.items()
}

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.backends.base import Job
from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune import gpu_sharing, nodes
from sweeps.backends.ray_tune.callbacks import Callback, Placing, Stopper
from sweeps.backends.retries import ALLOWED, Deaths
from sweeps.backends.stop import Stop, StopFile
from sweeps.data.datasets import DataError, Loaded, Source, image_count, load_noted, shape, test_half_count
from sweeps.ledger.storage import TEMPORARY, StorageError, is_stale, temporary_name
from sweeps.plan.unit import PlacementError, Unit

REPORT_SECONDS = 1.0  # how often a worker tells how far it is
ONE_ARENA = "MALLOC_ARENA_MAX"  # a trial is a thread, which glibc would give memory of its own, kept by other rules
OBJECT_STORE_MINIMUM = 128 * 2**20  # bytes; Ray's default is a third of the machine


def run_units(
    job: Job,
    progress: Progress,
    stop: Stop,
    workers: int,
    address: str | None,
    wait_seconds: float = 0.0,
    per_gpu: gpu_sharing.Wanted | None = None,
) -> None:
    """Trains the units on `workers` workers of this machine, or of the cluster at `address`.

    `wait_seconds`: for a node that is large enough for a unit, where there is none yet. `per_gpu`: units that share a
    GPU, where the grid's `resources.gpus` are not to say it.

    Returns when all units ended or when it was stopped: the caller counts what is done.

    Raises:
        DataError: a data set cannot be had.
        PlacementError: there is no cluster at the address, or not the resources asked for; or a node that joined later
            has a GPU which torch does not see.
        StorageError: a worker cannot write results.
    """
    if per_gpu is not None:
        job = replace(job, units=[unit.with_gpus(1.0) for unit in job.units])
    ours = not ray.is_initialized()  # a notebook or a test may have started one; then it stays
    if ours:
        _start(job.units, workers, address)
        stop.listen()  # again: Ray's own SIGTERM handler aborts the process
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    scratch, flag = _scratch(), StopFile(job.ledger.storage)
    stop.listeners.append(flag.raise_)
    try:
        nodes.check_resources(job.units, wait_seconds)
        nodes.check_gpus(job.units)
        if address is not None:
            nodes.check_storage(job.ledger)
        images, deaths = _images(job.units, progress), Deaths(job.ledger)
        if per_gpu is not None:
            job = replace(job, units=gpu_sharing.shared(job.units, images, per_gpu, progress.say))
        while job.units and not stop.requested:  # a second time for those that were not given up
            trainable = tune.with_parameters(_trial, job=replace(job, units=()), images=images, flag=flag)
            callback = Callback(job, progress, deaths)
            _fit(trainable, callback, Stopper(stop, progress, callback), workers, scratch)
            if callback.over is not None:
                raise callback.over
            job = replace(job, units=callback.again)
    finally:
        stop.listeners.remove(flag.raise_)
        flag.clear()
        if ours:
            ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)
        gc.collect()  # Tune's trials hold each other: the report may have their memory


def _scratch() -> str:
    """A new folder for what Tune writes and nobody reads. Those that killed drivers of this host left behind go."""
    here = Path(tempfile.gettempdir())
    for left in here.glob(f"sweeps-tune.*{TEMPORARY}"):
        if is_stale(left.name):
            shutil.rmtree(left, ignore_errors=True)
    scratch = here / temporary_name("sweeps-tune")
    scratch.mkdir(mode=0o700)
    return str(scratch)


def _start(units: Sequence[Unit], workers: int, address: str | None) -> None:
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
            address="local",
            num_cpus=math.ceil(cpus),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_MINIMUM + 2 * images,
            **quiet,
        )
    _protect_token()


def _protect_token() -> None:
    """Ray guards its ports with a token, and writes it into a file that everybody on the machine may read."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    with contextlib.suppress(OSError):
        path.chmod(0o600)


def _bytes(source: Source) -> int:
    channels, side = shape(source.data)
    return (image_count(source.data) + test_half_count(source)) * channels * side**2


@ray.remote(num_cpus=0)
def _load(source: Source) -> Any:
    """Reads a data set in a worker of this node, so that the driver needs neither torch nor the memory, and the other
    nodes no data set: the images travel through the object store."""
    return load_noted(source)


def _images(units: Sequence[Unit], progress: Progress) -> dict[Source, Any]:
    """The images of every source once in the object store; what there is to say of them is said."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    sources = {unit.settings.source for unit in units}
    references = {source: _load.options(scheduling_strategy=here).remote(source) for source in sources}
    for reference in references.values():
        try:
            ray.wait([reference], fetch_local=False)
            loaded: Loaded = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DataError):
                raise error.cause from None
            raise
        progress.say(loaded.notes)
    return references


def _fit(trainable: Any, callback: Callback, stopper: Stopper, workers: int, scratch: str) -> None:
    """Tune's run of all units of the callback; returns when they ended or were stopped."""
    left = iter(callback.units)

    def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([nodes.asked(config["unit"])])

    tune.Tuner(
        tune.with_resources(trainable, resources),
        param_space={"unit": tune.sample_from(lambda config: next(left))},  # asked once a trial, when it is made
        tune_config=tune.TuneConfig(
            num_samples=len(callback.units),
            scheduler=Placing(),
            reuse_actors=True,
            max_concurrent_trials=workers,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=tempfile.mkdtemp(dir=scratch),
            verbose=0,
            stop=stopper,
            callbacks=[callback],
            failure_config=tune.FailureConfig(max_failures=ALLOWED - 1),
        ),
    ).fit()


def _trial(config: dict[str, Any], job: Job, images: dict[Source, Any], flag: StopFile) -> None:
    """One trial: one unit, in a worker. The job names no units."""
    from sweeps.worker.devices import pick_device
    from sweeps.worker.run_unit import run_unit

    unit: Unit = config["unit"]
    trained, reported_at = 0, -math.inf  # where the unit starts is reported at once

    def on_progress(n: int) -> None:
        nonlocal trained, reported_at
        trained = n
        if time.monotonic() - reported_at > REPORT_SECONDS:
            reported_at = time.monotonic()
            tune.report({"images": trained})

    pixels, notes = ray.get(images[unit.settings.source])
    try:
        # The share that the scheduler gave, not what torch can see: a CPU worker on a GPU machine sees every GPU.
        device = pick_device(unit.settings.resources.gpus)
        outcome = run_unit(
            unit, pixels, job.ledger, device, job.provenance, on_progress, flag.is_raised, job.tensorboard, notes
        )
    except (StorageError, PlacementError) as error:  # no reason to try again: the driver ends the sweep, and says it
        tune.report({"over": error})
        return
    tune.report({"images": trained, "outcome": outcome})
