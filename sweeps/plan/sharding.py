"""Parts and order of a sweep: n shards for n independent jobs that share only the results folder."""

import heapq
import re
from collections.abc import Sequence

from sweeps.config.stages import STAGES
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.unit import Unit, UnitId
from sweeps.text import one_line


def flops(unit: Unit) -> int:
    """Return the floating-point operations of a unit, as its stage declares them."""
    return STAGES[unit.stage].flops(unit.settings) * unit.images_to_train


def longest_first(units: Sequence[Unit]) -> list[Unit]:
    """Sort units fold by fold, as in `Plan.missing`, and within each fold the longest first.

    So the last units to start are short, and no worker waits long for another at the end.
    """
    return sorted(units, key=lambda unit: (unit.fold, -flops(unit)))


def group_by_source(units: Sequence[Unit]) -> list[Unit]:
    """Sort units by their source of images, so that one process reads each source once."""
    order = {source: i for i, source in enumerate(dict.fromkeys(unit.settings.source for unit in units))}
    return sorted(units, key=lambda unit: order[unit.settings.source])


def parse(text: str) -> tuple[int, int]:
    """Parse "i/n" to (i, n). Raises ChoiceError for another text, or if i is not from 1 to n."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ChoiceError(f"--shard {one_line(text)}: it must be i/n, the i-th of n parts, such as 1/8")
    return int(match[1]), int(match[2])


def shard(units: Sequence[Unit], i: int, n: int) -> list[Unit]:
    """Return the i-th of n parts (from 1). Every unit is in exactly one part, however many units are done.

    All units that are built on the same training are in one part. The parts cost about the same: the most expensive
    units are dealt first, each to the part that costs least so far.
    """
    together: dict[UnitId, list[Unit]] = {}  # training -> the units that are built on it
    for unit in units:
        together.setdefault(unit.training_id, []).append(unit)
    parts: list[list[Unit]] = [[] for _ in range(n)]
    loads = [(0, part) for part in range(n)]
    for group, cost in sorted(((g, sum(map(flops, g))) for g in together.values()), key=lambda x: x[1], reverse=True):
        load, part = heapq.heappop(loads)
        parts[part] += group
        heapq.heappush(loads, (load + cost, part))
    return parts[i - 1]
