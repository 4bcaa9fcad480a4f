"""What the driver does when a Tune trial starts, reports or ends, and when it stops all trials."""

import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

from ray import tune
from ray.exceptions import RayTaskError

from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune.gpu_sharing import with_larger_share
from sweeps.backends.ray_tune.internals import forget, record_error
from sweeps.backends.ray_tune.suggestions import PickledEmpty, Suggestions
from sweeps.backends.retries import MAX_DEATHS, WorkerDeaths
from sweeps.backends.stop import Stop
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.text import error_line, number_text

GRACE_SECONDS = 6.0  # that workers have to save their units after a stop is requested
KEPT_IN_RESULTS = frozenset({"images", "outcome", "fatal_error", "done", "training_iteration"})
"""Names kept in a trial's result: what our workers report, and what Tune itself needs."""

Hook = TypeVar("Hook", bound=Callable[..., None])


def errors_end_sweep(hook: Hook) -> Hook:
    """Decorate a callback's hook, so that an error in it ends the sweep as that error.

    Tune would take it for a failure of the trial: a unit that is done would be recorded as one whose worker died.
    """

    @wraps(hook)
    def call(self: "Callback", *args: Any, **named: Any) -> None:
        try:
            hook(self, *args, **named)
        except Exception as error:
            self.suggestions.fatal_error = self.suggestions.fatal_error or error

    return cast(Hook, call)


class Callback(PickledEmpty, tune.Callback):
    """Reports what trials do to screen and source, retries units, and records units whose workers kept dying."""

    def __init__(self, suggestions: Suggestions, progress: Progress):
        self.suggestions, self.progress = suggestions, progress
        self.ledger = suggestions.context.ledger
        self.deaths = WorkerDeaths(self.ledger)
        self.error: Exception | None = None  # that ended the latest trial

    def unit_of(self, trial: Any) -> Unit:
        unit: Unit = trial.config["unit"]
        return unit

    @errors_end_sweep
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        record_error(trial, partial(setattr, self, "error"))
        self.deaths.started(self.unit_of(trial))
        self.progress.started(self.unit_of(trial))

    @errors_end_sweep
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.suggestions.fatal_error = self.suggestions.fatal_error or result.get("fatal_error")
        if "images" in result:
            losses = result.get("losses", {})
            self.progress.trained(self.unit_of(trial), result["images"], lambda: losses)
        for name in result.keys() - KEPT_IN_RESULTS:  # Tune keeps results of all trials, with statistics of each number
            del result[name]

    @errors_end_sweep
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        unit, outcome = self.unit_of(trial), trial.last_result.get("outcome")
        if outcome is Outcome.CROWDED:
            self._retry_with_larger_share(unit)
        elif outcome:  # a trial that was stopped has none
            self.ledger.add_to_log(unit, self.deaths.summary(unit))
            self.progress.finished(unit, outcome)
            self.suggestions.finished(unit, outcome)
        forget(trial)

    @errors_end_sweep
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Count a death where Tune itself restarts a trial: its node was taken away with a warning."""
        self._record_death(trial)
        self.error = None

    @errors_end_sweep
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Retry a unit whose worker died or raised an error, or record it as failed.

        Tune is set to try no trial twice: it would count deaths even if progress was made between them.
        """
        unit = self.unit_of(trial)
        if self._record_death(trial):
            self.progress.finished(unit, Outcome.STOPPED)
            self.suggestions.retry(unit, last=False)
        else:
            error = self._worker_error()
            what = "its worker died" if error is None else f"{type(error).__name__}: {error_line(error)[:300]},"
            reason = f"{what} {MAX_DEATHS} times without progress"
            self.ledger.write_log(unit, f"{unit}\n{reason}\n{self.deaths.summary(unit)}{self.error or ''}\n")
            self.ledger.write_failed(unit, reason)
            self.progress.finished(unit, Outcome.FAILED)
            self.suggestions.finished(unit, Outcome.FAILED)
        self.error = None
        forget(trial)

    def _record_death(self, trial: Any) -> int:
        """Count and log that a worker died or raised an error. Return how many more the unit may have."""
        unit = self.unit_of(trial)
        left = self.deaths.record(unit, raised=self._worker_error() is not None)
        self.ledger.write_log(unit, f"{unit}\n{self.deaths.summary(unit)}{self.error or ''}\n")
        return left

    def _worker_error(self) -> Exception | None:
        """Return what the worker raised; None if it died."""
        return self.error.cause if isinstance(self.error, RayTaskError) else None

    def _retry_with_larger_share(self, unit: Unit) -> None:
        larger = with_larger_share(unit)
        had, has = number_text(unit.settings.resources.gpus), number_text(larger.settings.resources.gpus)
        self.progress.say([f"out of memory on {had} of a GPU, resumes later on {has}: {unit}"])
        self.progress.finished(unit, Outcome.STOPPED)
        self.suggestions.retry(larger, last=True)


class Stopper(PickledEmpty, tune.Stopper):
    """Ends all trials after a fatal error, or after a stop once the units that ran then are saved or time is up."""

    def __init__(self, stop: Stop, progress: Progress, suggestions: Suggestions):
        self.stop, self.progress, self.suggestions = stop, progress, suggestions
        self.waiting_for: frozenset[UnitId] | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self.suggestions.fatal_error is not None:
            return True
        if self.stop.requested_at is None:
            return False
        running = frozenset(self.progress.running)
        self.waiting_for = running if self.waiting_for is None else self.waiting_for & running
        return not self.waiting_for or time.monotonic() - self.stop.requested_at > GRACE_SECONDS
