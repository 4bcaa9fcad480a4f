"""Work sources in tests: units that require each other, and a source run without a back end."""

import itertools
from dataclasses import replace

from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import Outcome, Unit
from sweeps.plan.work_source import Done, GridSource, Wait


def chain(units):
    """The units, each requiring the one before it."""
    return [units[0]] + [replace(unit, requires=(parent.id,)) for parent, unit in itertools.pairwise(units)]


def drain(source, failing=frozenset()):
    """Run a source's units two at a time, without doing anything. Return them in the order they were handed out."""
    handed, out = [], []
    while True:
        unit = source.next()
        if isinstance(unit, Unit):
            handed.append(unit)
            out.append(unit)
            if len(out) == 1:
                continue
        elif not out:
            assert isinstance(unit, Done), "it waits for nothing"
            return handed
        ended = out.pop(0)
        source.finished(ended, Outcome.FAILED if ended.id in failing else Outcome.DONE, None)


class Watched(GridSource):
    """A grid's source that keeps what it hears, and first says to wait so many times."""

    def __init__(self, units, columns=(), waits=0):
        super().__init__(units)
        self.heard, self.columns, self.waits = [], columns, waits

    def next(self):
        if self.waits:
            self.waits -= 1
            return Wait()
        return super().next()

    def finished(self, unit, outcome, record):
        self.heard.append((unit.name, outcome, record))
        super().finished(unit, outcome, record)

    def envelope(self):
        return replace(super().envelope(), columns=self.columns)


class Broken(GridSource):
    """A source that cannot read what it must know."""

    def next(self):
        raise StorageError("cannot read the suggestions")
