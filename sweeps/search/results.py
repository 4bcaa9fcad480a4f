"""What is known of the units of a search, and what that means for its configurations."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from statistics import fmean

from sweeps.analysis.objective import objective_value
from sweeps.config.search import Search
from sweeps.ledger.ledger import Ledger
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.plan.work_source import Record
from sweeps.search.objective import bounded_numbers, known_numbers, search_columns, violations
from sweeps.search.space import Params
from sweeps.search.study import Trial


class Results:
    """The results of units, as far as a search needs them."""

    def __init__(self, search: Search, ledger: Ledger, retry: bool = False, done: Sequence[Record] | None = None):
        """Read the ledger.

        Args:
            retry: whether failed units count as missing.
            done: the records of all done units, with the columns of `search_columns`; None: they are read.
        """
        self.search, self.ledger, self.columns = search, ledger, search_columns(search)
        self.done: set[UnitId] = set()
        self.failed: dict[UnitId, str] = {}
        self.values: dict[UnitId, float] = {}
        self.numbers: dict[UnitId, Mapping[str, float]] = {}
        self.seconds: dict[UnitId, float] = {}
        self.read_done(done)
        if not retry:
            for record in ledger.read("failed", ["reason"])[0]:
                self.failed[record["key"], record["fold"]] = record["reason"] or "no reason is recorded"

    def read_done(self, done: Sequence[Record] | None = None) -> None:
        """Take in the records of all done units, which are read unless they are given."""
        for record in self.ledger.read("units", self.columns)[0] if done is None else done:
            self._take((record["key"], record["fold"]), record)

    def note(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        """Take note of how a unit ended."""
        if outcome is Outcome.FAILED:
            self.failed[unit.id] = self._why_failed(unit)
        elif outcome.is_done and record is not None:
            self._take(unit.id, record)
        elif outcome.is_done:  # another driver has compacted its file, or it cannot be read
            self.done.add(unit.id)
            self.read_done()

    def look_up(self, units: Sequence[Unit]) -> None:
        """Read how units of another driver have ended by now."""
        done, failed = self.ledger.units(), self.ledger.units("failed")
        for unit in units:
            if unit.id in done and unit.id not in self.done:
                table, _ = self.ledger.try_read(f"units/{unit.name}.parquet", self.columns)
                self.note(unit, Outcome.DONE_BEFORE, None if table is None else table.to_pylist()[0])
            elif unit.id in failed and unit.id not in self.failed and unit.id not in self.done:
                self.failed[unit.id] = self._why_failed(unit)

    def missing(self, units: Sequence[Unit]) -> list[Unit]:
        """Return the units that are neither done nor failed, and do not require a failed one."""
        open_units = [unit for unit in units if unit.id not in self.done and unit.id not in self.failed]
        return [unit for unit in open_units if not any(self._is_lost(id_) for id_ in unit.requires)]

    def hours(self, units: Sequence[Unit]) -> float:
        """Return how many hours the done ones of these units took in all."""
        return sum(self.seconds.get(unit.id, 0.0) for unit in units) / 3600

    def trial(self, number: int | None, params: Params, units: Sequence[Unit], stopped: str | None) -> Trial:
        """Return a configuration as it is told to the sampler.

        It is complete only with the values of all folds; a partial mean is never told as a value.

        Args:
            stopped: why a race stopped it; None if none did.
        """
        by_fold = dict(sorted((unit.fold, self.values[unit.id]) for unit in units if unit.id in self.values))
        folds = units[0].settings.folds.n_splits
        bounded = violations(self.search.constraints, self._bounded(units))
        failed = next((f"fold {u.fold}: {self.failed[u.id]}" for u in units if self._is_lost(u.id)), "")
        if all(unit.id in self.done for unit in units):
            if len(by_fold) == folds:
                return Trial(number, params, "complete", fmean(by_fold.values()), constraints=bounded)
            column = self.search.objective.column
            return Trial(number, params, "failed", constraints=bounded, reason=f"not every fold has a finite {column}")
        if failed:
            return Trial(number, params, "failed", constraints=bounded, reason=failed)
        if stopped is not None:
            steps = {n: total / n for n, total in enumerate(accumulate(by_fold.values()), start=1)}
            return Trial(number, params, "pruned", steps=steps, constraints=bounded, reason=stopped)
        return Trial(number, params, "running")

    def _bounded(self, units: Sequence[Unit]) -> dict[str, float]:
        """Return the numbers that constraints bound: known ones, and means over the done folds of the others."""
        found: dict[str, list[float]] = {}
        for unit in units:
            for name, number in self.numbers.get(unit.id, {}).items():
                found.setdefault(name, []).append(number)
        return known_numbers(units[0].settings) | {name: fmean(numbers) for name, numbers in found.items()}

    def _is_lost(self, id_: UnitId) -> bool:
        return id_ in self.failed and id_ not in self.done

    def _take(self, id_: UnitId, record: Record) -> None:
        self.done.add(id_)
        self.failed.pop(id_, None)
        if (value := objective_value(self.search.objective, record)) is not None:
            self.values[id_] = value
        self.numbers[id_] = bounded_numbers(self.search, record)
        self.seconds[id_] = record["seconds"] or 0.0

    def _why_failed(self, unit: Unit) -> str:
        table, _ = self.ledger.try_read(f"failed/{unit.name}.parquet", ["reason"])
        reason = None if table is None else table["reason"].to_pylist()[0]
        return reason or "no reason is recorded"
