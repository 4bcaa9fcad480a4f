"""A Tune searcher that hands out the units of a work source."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from sweeps.backends.base import RunContext
from sweeps.backends.stop import Stop
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.plan.work_source import Done, Wait, WorkSource


class PickledEmpty:
    """Pickles without its attributes, which cannot be pickled: Tune pickles it into a file that nobody reads."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Suggestions(PickledEmpty, Searcher):
    """Gives Tune one unit for each trial: the source's units, and those to be tried again.

    Tune asks about ten times a second while there is room for a trial. `fatal_error` ends the sweep: a worker or this
    process cannot write results, a worker lacks the GPU that it was given, or the source raised.
    """

    def __init__(
        self,
        source: WorkSource,
        columns: Sequence[str],
        context: RunContext,
        stop: Stop,
        with_share: Callable[[Unit], Unit],
    ):
        """Set up a searcher.

        Args:
            columns: those that the source's envelope asks for.
            with_share: gives a unit its share of a GPU.
        """
        super().__init__()
        self.source, self.columns, self.context, self.stop, self.with_share = source, columns, context, stop, with_share
        self.retry_first: deque[Unit] = deque()  # units whose workers died: most of their work is saved
        self.retry_last: deque[Unit] = deque()  # units for which other units on the GPU left too little memory
        self.handed_out: set[UnitId] = set()
        self.fatal_error: Exception | None = None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """Return a trial's settings, which hold a unit; None to be asked again later; or FINISHED."""
        if self.fatal_error is not None or self.stop.requested:
            return self.FINISHED
        try:
            unit = self._next()
        except Exception as error:  # Tune would wrap it in an error of its own
            self.fatal_error = error
            return self.FINISHED
        if isinstance(unit, Wait):
            return None
        if isinstance(unit, Done):
            return None if self.handed_out else self.FINISHED  # a running unit may have to be tried again
        self.handed_out.add(unit.id)
        return {"unit": unit}

    def _next(self) -> Unit | Wait | Done:
        if self.retry_first:
            return self.retry_first.popleft()
        unit = self.source.next()
        if isinstance(unit, Unit):
            return self.with_share(unit)
        return self.retry_last.popleft() if self.retry_last else unit

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Do nothing: Tune calls the callback right after this, with the trial and its error."""

    def finished(self, unit: Unit, outcome: Outcome) -> None:
        """Tell the source how a unit ended."""
        self.handed_out.discard(unit.id)
        try:
            self.source.finished(unit, outcome, self.context.record(unit, outcome, self.columns))
        except Exception as error:  # Tune would take it for a failure of the trial
            self.fatal_error = self.fatal_error or error

    def retry(self, unit: Unit, last: bool) -> None:
        """Give the unit to another trial: to the next one, or with `last` once the source has no other unit."""
        self.handed_out.discard(unit.id)
        (self.retry_last if last else self.retry_first).append(unit)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the ledger says what is done."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing."""
