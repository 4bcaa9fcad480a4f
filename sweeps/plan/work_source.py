"""Work sources: a plan or a search hands out one unit at a time, and a back end runs it."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sweeps.data.datasets import Source
from sweeps.data.splits import FoldDraw
from sweeps.plan.unit import Outcome, Unit, UnitId

Record = Mapping[str, Any]
"""Columns of a done unit, by name."""


@dataclass(frozen=True)
class Wait:
    """No unit is ready now, but there may be one later."""


@dataclass(frozen=True)
class Done:
    """There are no more units."""


@dataclass(frozen=True)
class Envelope:
    """What a back end must know of a work source before anything starts.

    Attributes:
        units: examples. Every unit that the source will hand out needs the images, the folds, the resources and the
            memory of one of them.
        n_units: how many units the source will hand out, as far as it knows.
        columns: the columns of a done unit's record that `WorkSource.finished` needs; if empty, no record is read.
    """

    units: tuple[Unit, ...]
    n_units: int
    columns: tuple[str, ...] = ()

    @property
    def sources(self) -> list[Source]:
        """The sources of the images that units need, each once."""
        return list(dict.fromkeys(unit.settings.source for unit in self.units))

    def drawn(self, source: Source) -> list[FoldDraw]:
        """Return the folds that units of a source need, each once."""
        units = [unit.settings for unit in self.units if unit.settings.source == source]
        return list(dict.fromkeys(FoldDraw.of(settings.folds, settings.seed) for settings in units))


class WorkSource(Protocol):
    """Hands out units. Only one thread uses it."""

    def next(self) -> Unit | Wait | Done:
        """Return a unit that was not returned before and whose required units are done. Called many times a second."""

    def finished(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        """Take note of how a unit ended. Called once for each unit that no stop or error cut off.

        `record` holds the columns that the envelope asks for; None if the unit is not done, or if there are none.
        """

    def drop(self, key: str, reason: str) -> None:
        """Hand out no further unit of a configuration, because a race has stopped it.

        Units of it that are running may still finish, and units of it that were handed out may never start: the race
        holds units back. So the source must not wait for any unit of it.

        Args:
            key: the key of the configuration's training, which its later stages are built on.
            reason: one line for people, which a search records.
        """

    def envelope(self) -> Envelope:
        """Return what a back end must know before the first unit starts."""


class GridSource:
    """Hands out a plan's missing units in their order.

    A unit waits until the units that it requires are done. It is blocked if one of them failed, or is neither done nor
    among the missing ones.
    """

    def __init__(self, missing: Sequence[Unit], done: frozenset[UnitId] = frozenset()):
        """Take the missing units, and the ids of the units that were done before."""
        self._units = missing
        self._waiting: dict[int, set[UnitId]] = {}  # index of a waiting unit -> the units that it waits for
        self._children: defaultdict[UnitId, list[int]] = defaultdict(list)
        self._ready: list[int] = []  # indices of the units to hand out, as a heap
        self._running: dict[UnitId, str] = {}  # with the key of the training that the unit is built on
        self._blocked: dict[int, Unit] = {}
        for i, unit in enumerate(missing):
            if required := set(unit.requires) - done:
                self._waiting[i] = required
                for parent in required:
                    self._children[parent].append(i)
            else:
                self._ready.append(i)
        for parent in self._children.keys() - {unit.id for unit in missing}:
            self._block(parent)

    @property
    def blocked(self) -> list[Unit]:
        """The units that will never be handed out, in the plan's order."""
        return [self._blocked[i] for i in sorted(self._blocked)]

    def next(self) -> Unit | Wait | Done:
        if self._ready:
            unit = self._units[heapq.heappop(self._ready)]
            self._running[unit.id] = unit.training_id[0]
            return unit
        return Wait() if self._waiting and self._running else Done()

    def finished(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        self._running.pop(unit.id, None)
        if outcome.is_done:
            for i in self._children.pop(unit.id, ()):
                if i in self._waiting:
                    self._waiting[i].discard(unit.id)
                    if not self._waiting[i]:
                        del self._waiting[i]
                        heapq.heappush(self._ready, i)
        elif outcome is Outcome.FAILED:
            self._block(unit.id)

    def drop(self, key: str, reason: str) -> None:
        self._ready = [i for i in self._ready if self._units[i].training_id[0] != key]
        heapq.heapify(self._ready)
        for i in [i for i in self._waiting if self._units[i].training_id[0] == key]:
            del self._waiting[i]
        self._running = {id_: parent for id_, parent in self._running.items() if parent != key}

    def _block(self, parent: UnitId) -> None:
        """Block all units that require a unit, directly or through other units."""
        parents = [parent]
        while parents:
            for i in self._children.pop(parents.pop(), ()):
                if self._waiting.pop(i, None) is not None:
                    self._blocked[i] = self._units[i]
                    parents.append(self._units[i].id)

    def envelope(self) -> Envelope:
        runnable = [unit for i, unit in enumerate(self._units) if i not in self._blocked]
        return Envelope(tuple(examples(runnable)), len(runnable))


def examples(units: Iterable[Unit]) -> Iterable[Unit]:
    """Return the first unit of each kind: of each memory class, folds and resources."""
    # The folds of a row share one settings object, so most units are dropped without computing their kind.
    by_settings = {(id(unit.settings), unit.stage): unit for unit in reversed(list(units))}
    by_kind = {
        (u.memory_class, FoldDraw.of(u.settings.folds, u.settings.seed), u.settings.resources): u
        for u in by_settings.values()
    }
    return reversed(by_kind.values())
