"""Work sources for tests, and a function that runs a source without a back end."""

import itertools
from dataclasses import replace

from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import Outcome, Unit
from sweeps.plan.work_source import Done, GridSource, Wait


def chain(units):
    """Return the units, each requiring the one before it."""
    return [units[0]] + [replace(unit, requires=(parent.id,)) for parent, unit in itertools.pairwise(units)]


def drain(source, failing=frozenset()):
    """Take a source's units two at a time and do nothing with them. Return them in the order they were handed out."""
    handed, out = [], []
    while True:
        unit = source.next()
        if isinstance(unit, Unit):
            handed.append(unit)
            out.append(unit)
            if len(out) == 1:
                continue
        elif not out:
            assert isinstance(unit, Done), "the source waits although no unit is under way"
            return handed
        ended = out.pop(0)
        source.finished(ended, Outcome.FAILED if ended.id in failing else Outcome.DONE, None)


class Watched(GridSource):
    """A grid's source that records how units ended, and answers Wait to its first `waits` questions."""

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
    """A source whose files cannot be read."""

    def next(self):
        raise StorageError("cannot read the suggestions")
