"""What the driver hears of Tune's trials, and when it ends them. Imported by `cluster`, which sets Ray up first."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler

from sweeps.backends.base import Job
from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune.gpu_sharing import larger
from sweeps.backends.retries import ALLOWED, Deaths
from sweeps.backends.stop import Stop
from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import PlacementError, Unit, UnitId
from sweeps.text import number_text

GRACE_SECONDS = 6.0  # that workers have to save themselves when a stop is asked for
HEARD = frozenset({"images", "outcome", "over", "done", "training_iteration"})
"""What is kept of a result: a worker's own words, and what Tune goes by."""


class _OfTheDriver:
    """Tune pickles what it is given into a file that nobody reads; what lives in this process cannot be pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Callback(_OfTheDriver, tune.Callback):
    """Tells the driver's screen what the trials do, and records units whose workers kept dying.

    `again`: units to be placed once more: those that Tune gave up and we do not (it counts deaths whatever was done
    between them), and those that found too little memory on a GPU that they shared. `over`: what ends the sweep: a
    worker, or this process, that cannot write results, or a worker without the GPU that it was given.
    """

    def __init__(self, job: Job, progress: Progress, deaths: Deaths):
        self.units, self.ledger, self.progress, self.deaths = job.units, job.ledger, progress, deaths
        self.again: list[Unit] = []
        self.over: StorageError | PlacementError | None = None

    def unit(self, trial: Any) -> Unit:
        unit: Unit = trial.config["unit"]
        return unit

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.deaths.started(self.unit(trial))
        self.progress.started(self.unit(trial))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.over = self.over or result.get("over")
        if "images" in result:
            self.progress.trained(self.unit(trial), result["images"])
        for name in result.keys() - HEARD:  # Tune keeps it, with statistics of each number, for every trial there was
            del result[name]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        unit, outcome = self.unit(trial), trial.last_result.get("outcome")
        if outcome == "crowded":
            self._again_with_more(unit)
        elif outcome:  # none: stopped on the way
            with self._writing():
                self.ledger.add_to_log(unit, self.deaths.said(unit))
            self.progress.finished(unit, outcome)
        _forget(trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        unit = self.unit(trial)
        left = self.deaths.died(unit)
        trial.max_failures = trial.num_failures + left - 1  # Tune's own limit knows nothing of progress
        with self._writing():
            self.ledger.write_log(unit, f"{unit}\n{self.deaths.said(unit)}{trial.get_error() or ''}\n")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        unit = self.unit(trial)
        if self.deaths.died(unit):
            self.again.append(unit)
            self.progress.finished(unit, "stopped")
            return
        reason = f"its worker died {ALLOWED} times without progress"
        with self._writing():
            said = f"{unit}\n{reason}\n{self.deaths.said(unit)}"
            self.ledger.write_log(unit, f"{said}{trial.get_error() or ''}\n")
            self.ledger.write_failed(unit, reason)
        self.progress.finished(unit, "failed")

    def _again_with_more(self, unit: Unit) -> None:
        more = larger(unit)
        had, has = number_text(unit.settings.resources.gpus), number_text(more.settings.resources.gpus)
        self.progress.say([f"out of memory on {had} of a GPU, goes on later with {has}: {unit}"])
        self.again.append(more)
        self.progress.finished(unit, "stopped")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tune makes a failure of its own of an error in here."""
        try:
            yield
        except StorageError as error:
            self.over = self.over or error


def _forget(trial: Any) -> None:
    """Of a trial that ended. What Tune counts of it, and the 10 kB that describe it in a last file of all trials, are
    for nobody: a sweep's ledger says what is done."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    trial.get_json_state = lambda: ("{}", "{}")


class Placing(FIFOScheduler):
    """First come, first served, as Tune does without being told. Its own scheduler looks through all trials that there
    ever were, at every step, for one to start first."""

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None


class Stopper(_OfTheDriver, tune.Stopper):
    """Ends the trials when the sweep is over before its time, and, when a stop was asked for, once those that ran then
    have saved themselves, or did not in time."""

    def __init__(self, stop: Stop, progress: Progress, callback: Callback):
        self.stop, self.progress, self.callback = stop, progress, callback
        self.waiting_for: frozenset[UnitId] | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.callback.over is not None:
            return True
        if self.stop.requested_at is None:
            return False
        running = frozenset(self.progress.running)
        self.waiting_for = running if self.waiting_for is None else self.waiting_for & running
        return not self.waiting_for or time.monotonic() - self.stop.requested_at > GRACE_SECONDS
