"""The plan of a sweep: the units of its grid, and which of them are still to be trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sweeps.config.grid import Grid
from sweeps.config.labels import Labels
from sweeps.config.settings import Settings, flatten
from sweeps.config.stages import TRAINING
from sweeps.plan.identity import LABEL_ORDER, LATER_SETTINGS, units_of
from sweeps.plan.unit import Unit, UnitId


@dataclass(frozen=True)
class Plan:
    """The units of a grid, with the done and the failed units of its ledger.

    Attributes:
        chosen: the units to which the plan is restricted; None for all units.
        stopped: the keys of configurations that a race has stopped. Their missing units are not to be trained.
    """

    grid: Grid
    done: frozenset[UnitId]
    failed: frozenset[UnitId]
    chosen: frozenset[UnitId] | None = None
    stopped: frozenset[str] = frozenset()

    @cached_property
    def _labelled(self) -> tuple[list[list[Unit]], list[str]]:
        """The units of all models with what is built on them, and the settings that tell the configurations apart."""
        if not self.grid.rows:  # a search that has asked for nothing yet
            return [], []
        flats = [flatten(settings) for settings in self.grid.rows]
        searched = () if self.grid.search is None else self.grid.search.space
        labels = Labels(flats, LABEL_ORDER, searched)
        later = Labels(flats, [*LABEL_ORDER, *LATER_SETTINGS], searched)
        rows: dict[Settings, dict[UnitId, Unit]] = {}
        for settings, flat in zip(self.grid.rows, flats, strict=True):
            units = units_of(settings, flat, labels.label(flat), later.label(flat))
            model = settings.without_later.model_copy(update={"keep_models": "none"})
            row = rows.setdefault(model, {})
            # Configurations that share a training list it once. It keeps its models if a later stage needs them.
            row |= {unit.id: unit for unit in units if unit.id not in row or unit.settings.keep_models == "all"}
        return [_training_first(row.values()) for row in rows.values()], later.names

    @property
    def label_settings(self) -> list[str]:
        """The settings that the labels of the grid's rows show."""
        return self._labelled[1]

    @cached_property
    def rows(self) -> list[list[Unit]]:
        """The units of each model, its training's first, and of all that is built on it, in the grid's order."""
        rows, _ = self._labelled
        if self.chosen is None:
            return rows
        chosen = [[unit for unit in row if unit.id in self.chosen] for row in rows]
        return [row for row in chosen if row]

    @cached_property
    def units(self) -> list[Unit]:
        return [unit for row in self.rows for unit in row]

    def with_children(self, units: Sequence[Unit]) -> list[Unit]:
        """Return these units and all units that are built on them, in the plan's order."""
        ids = {unit.id for unit in units}  # one pass is enough, because a stage comes after the stages that it requires
        for unit in self.units:
            if ids.intersection(unit.requires):
                ids.add(unit.id)
        return [unit for unit in self.units if unit.id in ids]

    def missing(self, retry: bool = False) -> list[Unit]:
        """Return the units to train: those that are neither done nor failed, and with `retry` the failed ones too.

        They come fold by fold through all rows, so that an early stop leaves each row with about as many folds. A unit
        that is done never counts as failed. Units of stopped configurations are left out.
        """
        skip = self.done if retry else self.done | self.failed
        units = [unit for unit in self.units if unit.id not in skip and not self.is_stopped(unit)]
        return sorted(units, key=lambda unit: unit.fold)

    def is_stopped(self, unit: Unit) -> bool:
        """Whether a race has stopped a unit's configuration."""
        return unit.training_id[0] in self.stopped

    def replaced(self, **changes: Any) -> "Plan":
        """Return a plan of the same grid with other `done`, `failed` or `chosen` units. It shares this plan's units."""
        other = replace(self, **changes)
        if "_labelled" in self.__dict__:
            other.__dict__["_labelled"] = self._labelled
        return other

    def only(self, units: Sequence[Unit]) -> "Plan":
        """Return a plan of the same grid that is restricted to these units."""
        return self.replaced(chosen=frozenset(unit.id for unit in units))

    def retraining(self, units: Sequence[Unit]) -> "Plan":
        """Return a plan in which these units count as neither done nor failed, so that they are trained again."""
        ids = {unit.id for unit in units}
        return self.replaced(done=self.done - ids, failed=self.failed - ids)

    def count(self, ids: frozenset[UnitId]) -> int:
        """Return how many of this plan's units are among `ids`."""
        return sum(unit.id in ids for unit in self.units)

    @property
    def still_failed(self) -> list[Unit]:
        """The units that failed and have not been done since."""
        return [unit for unit in self.units if unit.id in self.failed - self.done]


def _training_first(units: Iterable[Unit]) -> list[Unit]:
    return sorted(units, key=lambda unit: unit.stage != TRAINING)


def seconds_left(missing: Sequence[Unit], seconds_by_key: Mapping[str, Sequence[float]]) -> tuple[float, int]:
    """Estimate how many seconds the missing units will take on one worker.

    Returns the estimate, by the mean of the done units of the same configuration, and how many units are not in it
    because no unit of their configuration is done.
    """
    measured = [seconds_by_key[unit.key] for unit in missing if seconds_by_key.get(unit.key)]
    return sum(sum(seconds) / len(seconds) for seconds in measured), len(missing) - len(measured)
