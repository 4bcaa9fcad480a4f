"""Work sources in tests: units that require each other, and a source run without a back end."""

import itertools
from dataclasses import replace

from sweeps.plan.unit import Unit
from sweeps.plan.work_source import Done


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
        source.finished(ended, "failed" if ended.id in failing else "done", None)
