"""The units of a grid, and what a sweep still has to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sweeps.config.grid import Grid
from sweeps.config.labels import Labels
from sweeps.config.settings import flatten
from sweeps.plan.identity import NAMING, units_of
from sweeps.plan.unit import Unit, UnitId


@dataclass(frozen=True)
class Plan:
    """The units of a grid against what the ledger holds. `chosen`: those of them that count, None for all."""

    grid: Grid
    done: frozenset[UnitId]
    failed: frozenset[UnitId]
    chosen: frozenset[UnitId] | None = None

    @cached_property
    def _labelled(self) -> tuple[list[list[Unit]], list[str]]:
        """The units of all configurations, and the settings that tell these apart."""
        flats = [flatten(settings) for settings in self.grid.rows]
        labels = Labels(flats, NAMING)
        rows = [units_of(s, flat, labels.label(flat)) for s, flat in zip(self.grid.rows, flats, strict=True)]
        return rows, labels.names

    @property
    def label_settings(self) -> list[str]:
        """The settings that the labels of the grid's rows say."""
        return self._labelled[1]

    @cached_property
    def rows(self) -> list[list[Unit]]:
        """The units of each configuration, in the grid's order."""
        rows, _ = self._labelled
        if self.chosen is None:
            return rows
        chosen = [[unit for unit in row if unit.id in self.chosen] for row in rows]
        return [row for row in chosen if row]

    @cached_property
    def units(self) -> list[Unit]:
        return [unit for row in self.rows for unit in row]

    def with_children(self, units: Sequence[Unit]) -> list[Unit]:
        """These units and all that are built on them, in the plan's order. A stage stands after those it requires."""
        ids = {unit.id for unit in units}
        for unit in self.units:
            if ids.intersection(unit.requires):
                ids.add(unit.id)
        return [unit for unit in self.units if unit.id in ids]

    def missing(self, retry: bool = False) -> list[Unit]:
        """Units to train: neither done nor failed, with `retry` the failed ones too. A done unit never counts as
        failed. Fold by fold through all rows, so that an early stop leaves every row with about as many folds."""
        skip = self.done if retry else self.done | self.failed
        return sorted((unit for unit in self.units if unit.id not in skip), key=lambda unit: unit.fold)

    def replaced(self, **changes: Any) -> "Plan":
        """The same grid's plan with other `done`, `failed` or `chosen` units; its units are not made again."""
        other = replace(self, **changes)
        if "_labelled" in self.__dict__:
            other.__dict__["_labelled"] = self._labelled
        return other

    def only(self, units: Sequence[Unit]) -> "Plan":
        """The same of these units alone."""
        return self.replaced(chosen=frozenset(unit.id for unit in units))

    def retraining(self, units: Sequence[Unit]) -> "Plan":
        """The same with these units to be trained, whatever the ledger holds of them."""
        ids = {unit.id for unit in units}
        return self.replaced(done=self.done - ids, failed=self.failed - ids)

    def count(self, ids: frozenset[UnitId]) -> int:
        """How many of this plan's units are among `ids`."""
        return sum(unit.id in ids for unit in self.units)

    @property
    def still_failed(self) -> list[Unit]:
        """Units that failed and were not done since."""
        return [unit for unit in self.units if unit.id in self.failed - self.done]


def seconds_left(missing: Sequence[Unit], seconds_by_key: Mapping[str, Sequence[float]]) -> tuple[float, int]:
    """Seconds of one worker that the missing units will take, by the mean of the done units of their own configuration,
    and how many units have no such measurement."""
    known = [seconds_by_key[unit.key] for unit in missing if seconds_by_key.get(unit.key)]
    return sum(sum(measured) / len(measured) for measured in known), len(missing) - len(known)
