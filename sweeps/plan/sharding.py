"""A sweep in n parts, for n independent jobs that share nothing but the results folder."""

import heapq
import re
from collections.abc import Sequence

from sweeps.config.stages import STAGES
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.unit import Unit, UnitId
from sweeps.text import one_line


def flops(unit: Unit) -> int:
    """Floating-point operations of a unit, as its stage declares them."""
    return STAGES[unit.stage].flops(unit.settings) * unit.images_to_train


def longest_first(units: Sequence[Unit]) -> list[Unit]:
    """Fold by fold, as `Plan.missing` has them, and in each fold the longest first: none that starts last is long, so
    that no worker waits long for another at the end."""
    return sorted(units, key=lambda unit: (unit.fold, -flops(unit)))


def by_source(units: Sequence[Unit]) -> list[Unit]:
    """All units of one source of images after those of another: one process reads each source once."""
    order = {source: i for i, source in enumerate(dict.fromkeys(unit.settings.source for unit in units))}
    return sorted(units, key=lambda unit: order[unit.settings.source])


def parse(text: str) -> tuple[int, int]:
    """(i, n) of "i/n". Raises ChoiceError for anything else, or an i that is not from 1 to n."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ChoiceError(f"--shard {one_line(text)}: it must be i/n, the i-th of n parts, as 1/8")
    return int(match[1]), int(match[2])


def shard(units: Sequence[Unit], i: int, n: int) -> list[Unit]:
    """The i-th of n parts, from 1. Every unit is in exactly one part, whatever is done of them, with all units that are
    built on the same training. The parts cost about the same: the largest go first, each to the part with the least."""
    together: dict[UnitId, list[Unit]] = {}
    for unit in units:
        together.setdefault(unit.root, []).append(unit)
    parts: list[list[Unit]] = [[] for _ in range(n)]
    loads = [(0, part) for part in range(n)]
    for built, cost in sorted(((b, sum(map(flops, b))) for b in together.values()), key=lambda x: x[1], reverse=True):
        load, part = heapq.heappop(loads)
        parts[part] += built
        heapq.heappush(loads, (load + cost, part))
    return parts[i - 1]
