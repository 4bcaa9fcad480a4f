"""What the driver hears of Tune's trials, and when it ends them."""

import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

from ray import tune
from ray.exceptions import RayTaskError

from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune.gpu_sharing import larger
from sweeps.backends.ray_tune.internals import forget, record_error
from sweeps.backends.ray_tune.suggestions import OfTheDriver, Suggestions
from sweeps.backends.retries import ALLOWED, Deaths
from sweeps.backends.stop import Stop
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.text import error_line, number_text

GRACE_SECONDS = 6.0  # that workers have to save themselves when a stop is asked for
HEARD = frozenset({"images", "outcome", "fatal_error", "done", "training_iteration"})
"""What is kept of a result: a worker's own words, and what Tune goes by."""

Hook = TypeVar("Hook", bound=Callable[..., None])


def heard(hook: Hook) -> Hook:
    """Let an error in a hook end the sweep as that error. Tune would make a failure of the trial of it: a unit that is
    done would be recorded as one whose worker died."""

    @wraps(hook)
    def call(self: "Callback", *args: Any, **named: Any) -> None:
        try:
            hook(self, *args, **named)
        except Exception as error:
            self.suggestions.fatal_error = self.suggestions.fatal_error or error

    return cast(Hook, call)


class Callback(OfTheDriver, tune.Callback):
    """Tells the screen and the source what the trials do, gives back units that are to be tried again, and records
    units whose workers kept dying."""

    def __init__(self, suggestions: Suggestions, progress: Progress):
        self.suggestions, self.progress = suggestions, progress
        self.ledger = suggestions.context.ledger
        self.deaths = Deaths(self.ledger)
        self.error: Exception | None = None  # of the trial that ended last

    def unit(self, trial: Any) -> Unit:
        unit: Unit = trial.config["unit"]
        return unit

    @heard
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        record_error(trial, partial(setattr, self, "error"))
        self.deaths.started(self.unit(trial))
        self.progress.started(self.unit(trial))

    @heard
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.suggestions.fatal_error = self.suggestions.fatal_error or result.get("fatal_error")
        if "images" in result:
            self.progress.trained(self.unit(trial), result["images"])
        for name in result.keys() - HEARD:  # Tune keeps it, with statistics of each number, for every trial there was
            del result[name]

    @heard
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        unit, outcome = self.unit(trial), trial.last_result.get("outcome")
        if outcome is Outcome.CROWDED:
            self._again_with_more(unit)
        elif outcome:  # none: stopped on the way
            self.ledger.add_to_log(unit, self.deaths.summary(unit))
            self.progress.finished(unit, outcome)
            self.suggestions.finished(unit, outcome)
        forget(trial)

    @heard
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Hear that Tune itself starts a trial again: its node was taken away with a warning."""
        self._died(trial)
        self.error = None

    @heard
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Try a unit again whose worker died or ended with an error, or give it up. Tune itself tries no trial twice:
        it would count deaths whatever was done between them."""
        unit = self.unit(trial)
        if self._died(trial):
            self.progress.finished(unit, Outcome.STOPPED)
            self.suggestions.try_again(unit, later=False)
        else:
            error = self._error()
            what = "its worker died" if error is None else f"{type(error).__name__}: {error_line(error)[:300]},"
            reason = f"{what} {ALLOWED} times without progress"
            self.ledger.write_log(unit, f"{unit}\n{reason}\n{self.deaths.summary(unit)}{self.error or ''}\n")
            self.ledger.write_failed(unit, reason)
            self.progress.finished(unit, Outcome.FAILED)
            self.suggestions.finished(unit, Outcome.FAILED)
        self.error = None
        forget(trial)

    def _died(self, trial: Any) -> int:
        """Count and log a death. Return how many more the unit may have."""
        unit = self.unit(trial)
        left = self.deaths.died(unit, of_error=self._error() is not None)
        self.ledger.write_log(unit, f"{unit}\n{self.deaths.summary(unit)}{self.error or ''}\n")
        return left

    def _error(self) -> Exception | None:
        """Return what a worker raised; None where it died."""
        return self.error.cause if isinstance(self.error, RayTaskError) else None

    def _again_with_more(self, unit: Unit) -> None:
        more = larger(unit)
        had, has = number_text(unit.settings.resources.gpus), number_text(more.settings.resources.gpus)
        self.progress.say([f"out of memory on {had} of a GPU, goes on later with {has}: {unit}"])
        self.progress.finished(unit, Outcome.STOPPED)
        self.suggestions.try_again(more, later=True)


class Stopper(OfTheDriver, tune.Stopper):
    """Ends the trials when the sweep is over before its time, and, when a stop was asked for, once those that ran then
    have saved themselves, or did not in time."""

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
