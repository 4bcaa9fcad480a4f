"""Units that are named on the command line, by `--only` and `--redo`."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from sweeps.plan.unit import Unit, long_name
from sweeps.text import nearest

SHOWN = 3  # units that a refusal names


class ChoiceError(ValueError):
    """No unit, or not the one, is named; the message says so in one line."""


def names(unit: Unit) -> tuple[str, ...]:
    """What a unit goes by, the most telling last: its files' name, its configuration's key, and both in words."""
    words = long_name(unit.settings)
    return unit.key, words, unit.name, f"{words}, fold {unit.fold}"


def matching(units: Sequence[Unit], pattern: str) -> list[Unit]:
    """Units that a shell-style pattern names as a whole; where it names none, those that hold it somewhere. So `fold1`
    finds that fold of every row, and a name in full is never taken for the start of a longer one."""
    whole = [unit for unit in units if any(fnmatchcase(name, pattern) for name in names(unit))]
    return whole or [unit for unit in units if pattern and any(fnmatchcase(n, f"*{pattern}*") for n in names(unit))]


def some(units: Sequence[Unit], pattern: str, option: str) -> list[Unit]:
    """The units that a pattern names. Raises ChoiceError where there is none."""
    found = matching(units, pattern)
    if not found:
        near = nearest(pattern, dict.fromkeys(name for unit in units for name in names(unit)))
        raise ChoiceError(f"{option} {pattern}: no such unit{near or '; --status shows the rows'}")
    return found


def one(units: Sequence[Unit], pattern: str, option: str) -> Unit:
    """The unit that a pattern names. Raises ChoiceError where there is none, or more than one."""
    found = some(units, pattern, option)
    if len(found) > 1:
        shown = "; ".join(map(str, found[:SHOWN])) + ("; ..." if len(found) > SHOWN else "")
        raise ChoiceError(f"{option} {pattern}: {len(found)} units match, name one: {shown}")
    return found[0]
