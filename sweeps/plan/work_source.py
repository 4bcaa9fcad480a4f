"""Which unit is next: what a plan or a search hands out, one unit at a time, and a back end runs."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.data.datasets import Source
from sweeps.data.splits import FoldDraw
from sweeps.plan.unit import Outcome, Unit, UnitId

Record = Mapping[str, Any]
"""Columns of a done unit by name."""


@dataclass(frozen=True)
class Wait:
    """There is no unit now, and there may be one later."""


@dataclass(frozen=True)
class Done:
    """There is no unit any more."""


@dataclass(frozen=True)
class Envelope:
    """What must be known of a work source before anything starts.

    `units`: examples. Every unit that the source will hand out needs the images, the folds, the resources and the
    memory of one of them. `known`: how many units the source has to hand out, as far as it knows. `columns`: the
    columns of a done unit's record that the source wants to be told; with none, no record is read.
    """

    units: tuple[Unit, ...]
    known: int
    columns: tuple[str, ...] = ()

    @property
    def sources(self) -> list[Source]:
        """The images that units need, each source once."""
        return list(dict.fromkeys(unit.settings.source for unit in self.units))

    def drawn(self, source: Source) -> list[FoldDraw]:
        """The folds that units of a source need, each once."""
        units = [unit.settings for unit in self.units if unit.settings.source == source]
        return list(dict.fromkeys(FoldDraw.of(settings.folds, settings.seed) for settings in units))


class WorkSource(Protocol):
    """Hands out units. Used by one thread."""

    def next(self) -> Unit | Wait | Done:
        """Return a unit that nobody has been given yet and whose required units are done. Asked many times a second."""

    def finished(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        """Hear how a unit ended that was handed out: once for each, but for those that a stop or an error cut off.

        `record`: the columns that the envelope asks for, of a done unit; None where there are none.
        """

    def envelope(self) -> Envelope:
        """Return what must be known before the first unit starts."""


class GridSource:
    """Hands out a plan's missing units in their order. A unit waits until the units that it requires are done; it is
    blocked where one of them failed, or is neither done nor among the missing ones."""

    def __init__(self, missing: Sequence[Unit], done: frozenset[UnitId] = frozenset()):
        """`done`: the units that were done before."""
        self._units = missing
        self._open: dict[int, set[UnitId]] = {}  # a waiting unit's place -> the units that it waits for
        self._children: defaultdict[UnitId, list[int]] = defaultdict(list)
        self._ready: list[int] = []  # places, as a heap
        self._running: set[UnitId] = set()
        self._blocked: dict[int, Unit] = {}
        for place, unit in enumerate(missing):
            if required := set(unit.requires) - done:
                self._open[place] = required
                for parent in required:
                    self._children[parent].append(place)
            else:
                self._ready.append(place)
        for parent in self._children.keys() - {unit.id for unit in missing}:
            self._block(parent)

    @property
    def blocked(self) -> list[Unit]:
        """The units that are never handed out, in the plan's order."""
        return [self._blocked[place] for place in sorted(self._blocked)]

    def next(self) -> Unit | Wait | Done:
        if self._ready:
            unit = self._units[heapq.heappop(self._ready)]
            self._running.add(unit.id)
            return unit
        return Wait() if self._open and self._running else Done()

    def finished(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        self._running.discard(unit.id)
        if outcome.is_done:
            for place in self._children.pop(unit.id, ()):
                if place in self._open:
                    self._open[place].discard(unit.id)
                    if not self._open[place]:
                        del self._open[place]
                        heapq.heappush(self._ready, place)
        elif outcome is Outcome.FAILED:
            self._block(unit.id)

    def _block(self, parent: UnitId) -> None:
        """Block everything that requires a unit, directly or through others."""
        parents = [parent]
        while parents:
            for place in self._children.pop(parents.pop(), ()):
                if self._open.pop(place, None) is not None:
                    self._blocked[place] = self._units[place]
                    parents.append(self._units[place].id)

    def envelope(self) -> Envelope:
        going = [unit for place, unit in enumerate(self._units) if place not in self._blocked]
        return Envelope(tuple(examples(going)), len(going))


def examples(units: Iterable[Unit]) -> Iterable[Unit]:
    """Return one unit of each shape, folds and resources, the first of each."""
    of_settings = {
        (id(unit.settings), unit.stage): unit for unit in reversed(list(units))
    }  # folds share their settings
    of_kind = {
        (u.shape, FoldDraw.of(u.settings.folds, u.settings.seed), u.settings.resources): u for u in of_settings.values()
    }
    return reversed(of_kind.values())
