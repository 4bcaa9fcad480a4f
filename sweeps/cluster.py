"""Ray Tune around `trial`: places units on workers. The ledger says what is done; Ray only places work.

Facts about Ray 2.60 that shape this file: `Tuner.fit` returning means "stopped", not "complete"; an actor that is not
reused costs seconds a trial; `ray.init()` without address joins whatever cluster is about.
"""

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from typing import Any

os.environ |= {  # read by Ray when it is imported; a user's own values win
    name: os.environ.get(name, value)
    for name, value in {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }.items()
}

import ray
from ray import tune

from sweeps.data import DataError, Source, image_count, load, shape, test_half_count
from sweeps.ledger import Ledger, Row
from sweeps.plan import PlacementError, Unit
from sweeps.progress import Progress

WORKER_DEATHS = 3  # a unit whose worker died so often is failed
REPORT_SECONDS = 1.0  # how often a worker tells how far it is
OBJECT_STORE_MINIMUM = 128 * 2**20  # bytes; Ray's default is a third of the machine


def run_units(
    units: Sequence[Unit], ledger: Ledger, provenance: Row, progress: Progress, workers: int, address: str | None
) -> None:
    """Trains the units on `workers` workers of this machine, or of the cluster at `address`.

    Returns when all units ended or when it was stopped (SIGINT, SIGTERM): the caller counts what is done.

    Raises:
        DataError: a data set cannot be had.
        PlacementError: the resources asked for are not there.
    """
    ours = not ray.is_initialized()  # a notebook or a test may have started one; then it stays
    if ours:
        _start(units, workers, address)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    scratch = tempfile.mkdtemp(prefix="sweeps-tune-")
    try:
        _check_resources(units)
        # Ray's own SIGTERM handler aborts the process; Tune's SIGUSR1 handler stops gracefully.
        previous = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGUSR1))
        try:
            _fit(units, ledger, provenance, progress, workers, scratch)
        finally:
            signal.signal(signal.SIGTERM, previous)
    finally:
        if ours:
            ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


def _start(units: Sequence[Unit], workers: int, address: str | None) -> None:
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is not None:
        ray.init(address=address, **quiet)
    else:
        images = sum(map(_bytes, {unit.settings.source for unit in units}))
        cpus = workers * max(unit.settings.resources.cpus for unit in units)
        ray.init(
            address="local",
            num_cpus=int(-(-cpus // 1)),
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_MINIMUM + 2 * images,
            **quiet,
        )


def _check_resources(units: Sequence[Unit]) -> None:
    wanted = max(unit.settings.resources.gpus for unit in units)
    if wanted > ray.cluster_resources().get("GPU", 0):
        raise PlacementError(f"resources.gpus is {wanted:g}, but Ray sees no such GPU here")


def _bytes(source: Source) -> int:
    channels, side = shape(source.data)
    return (image_count(source.data) + test_half_count(source)) * channels * side**2


@ray.remote(num_cpus=0)
def _load(source: Source) -> Any:
    """Reads a data set in a worker, so that the driver needs neither torch nor the memory."""
    return load(source)


def _images(units: Sequence[Unit]) -> dict[Source, Any]:
    """The images of every source once in the object store."""
    references = {source: _load.remote(source) for source in {unit.settings.source for unit in units}}
    for reference in references.values():
        try:
            ray.wait([reference], fetch_local=False)
            ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DataError):
                raise error.cause from None
            raise
    return references


def _fit(
    units: Sequence[Unit], ledger: Ledger, provenance: Row, progress: Progress, workers: int, scratch: str
) -> None:
    def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        asked = units[config["index"]].settings.resources
        return tune.PlacementGroupFactory([{"CPU": asked.cpus, "GPU": asked.gpus}])

    trainable = tune.with_parameters(
        _trial, units=list(units), images=_images(units), ledger=ledger, provenance=provenance
    )
    tune.Tuner(
        tune.with_resources(trainable, resources),
        param_space={"index": tune.grid_search(list(range(len(units))))},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            max_concurrent_trials=workers,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=scratch,
            verbose=0,
            callbacks=[_Callback(units, ledger, progress)],
            failure_config=tune.FailureConfig(max_failures=WORKER_DEATHS - 1),
        ),
    ).fit()


def _trial(
    config: dict[str, Any], units: list[Unit], images: dict[Source, Any], ledger: Ledger, provenance: Row
) -> None:
    """One trial: one unit, in a worker."""
    from sweeps.trial import pick_device, run_unit

    unit = units[config["index"]]
    trained, reported_at = 0, time.monotonic()

    def on_epoch(n: int) -> None:
        nonlocal trained, reported_at
        trained += n
        if time.monotonic() - reported_at > REPORT_SECONDS:
            reported_at = time.monotonic()
            tune.report({"images": trained})

    pixels = ray.get(images[unit.settings.source])
    # The share that the scheduler gave, not what torch can see: a CPU worker on a GPU machine sees every GPU.
    outcome = run_unit(unit, pixels, ledger, pick_device(unit.settings.resources.gpus), provenance, on_epoch)
    tune.report({"images": trained, "outcome": outcome})


class _Callback(tune.Callback):
    """Tells the driver's screen what the trials do, and records units whose workers kept dying."""

    def __init__(self, units: Sequence[Unit], ledger: Ledger, progress: Progress):
        self.units, self.ledger, self.progress = units, ledger, progress

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks into a file that nobody reads; a live screen cannot be pickled

    def unit(self, trial: Any) -> Unit:
        unit: Unit = self.units[trial.config["index"]]
        return unit

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.progress.started(self.unit(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "images" in result:
            self.progress.trained(self.unit(trial), result["images"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        outcome = trial.last_result.get("outcome")
        if outcome:  # none: stopped on the way
            self.progress.finished(self.unit(trial), outcome)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        unit = self.unit(trial)
        reason = f"its worker died {WORKER_DEATHS} times"
        self.ledger.write_log(unit, f"{unit}\n{reason}\n{trial.get_error() or ''}\n")
        self.ledger.write_failed(unit, reason)
        self.progress.finished(unit, "failed")
