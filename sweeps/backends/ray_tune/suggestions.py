"""The work source, as Tune asks it for trials."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from sweeps.backends.base import RunContext
from sweeps.backends.stop import Stop
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.plan.work_source import Done, Wait, WorkSource


class OfTheDriver:
    """Tune pickles what it is given into a file that nobody reads; what lives in this process cannot be pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Suggestions(OfTheDriver, Searcher):
    """Gives Tune the source's units, one a trial, and once more those that are to be tried again. Tune asks about ten
    times a second while there is room for a trial.

    `fatal_error` ends the sweep: a worker or this process cannot write results, a worker has not the GPU that it was
    given, or the source raised.
    """

    def __init__(
        self,
        source: WorkSource,
        columns: Sequence[str],
        context: RunContext,
        stop: Stop,
        given: Callable[[Unit], Unit],
    ):
        """`columns`: those of the source's envelope. `given`: a unit with its share of a GPU."""
        super().__init__()
        self.source, self.columns, self.context, self.stop, self.given = source, columns, context, stop, given
        self.at_once: deque[Unit] = deque()  # units whose workers died: most of their work is saved
        self.later: deque[Unit] = deque()  # units that found too little memory beside others
        self.out: set[UnitId] = set()
        self.fatal_error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a word
        """Return a unit as a trial's settings, None to be asked again, or FINISHED."""
        if self.fatal_error is not None or self.stop.requested:
            return self.FINISHED
        try:
            unit = self._next()
        except Exception as error:  # Tune would wrap it
            self.fatal_error = error
            return self.FINISHED
        if isinstance(unit, Wait):
            return None
        if isinstance(unit, Done):
            return None if self.out else self.FINISHED  # one that runs may have to be tried again
        self.out.add(unit.id)
        return {"unit": unit}

    def _next(self) -> Unit | Wait | Done:
        if self.at_once:
            return self.at_once.popleft()
        unit = self.source.next()
        if isinstance(unit, Unit):
            return self.given(unit)
        return self.later.popleft() if self.later else unit

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: the callback hears of the same end right after this, with the unit and its error."""

    def finished(self, unit: Unit, outcome: Outcome) -> None:
        """Tell the source how a unit ended."""
        self.out.discard(unit.id)
        try:
            self.source.finished(unit, outcome, self.context.record(unit, outcome, self.columns))
        except Exception as error:  # Tune would make a failure of the trial of it
            self.fatal_error = self.fatal_error or error

    def try_again(self, unit: Unit, later: bool) -> None:
        """Give the unit to another trial; `later`: when the source has no other unit."""
        self.out.discard(unit.id)
        (self.later if later else self.at_once).append(unit)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger says what is done."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing."""
