"""Units and rows that are named on the command line, by `--only` and `--redo`."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sweeps.config.labels import Row, find_rows_by_label
from sweeps.config.settings import flatten
from sweeps.plan.unit import Unit
from sweeps.text import nearest

SHOWN = 3  # units that a refusal names
_KEY = re.compile(r"(?<![0-9a-f])(?P<key>[0-9a-f]{12})(?:-fold(?P<fold>\d{1,4}))?(?![0-9a-z])")


class ChoiceError(ValueError):
    """No unit, or not the one, is named; the message says so in one line."""


@dataclass(frozen=True)
class Names:
    """What a unit goes by, or without a fold a whole row."""

    key: str
    fold: int | None
    label: str
    row: Row

    @property
    def texts(self) -> tuple[str, ...]:
        """All names, the most telling last: the key, the label, and both with the fold."""
        if self.fold is None:
            return self.key, self.label
        return self.key, self.label, f"{self.key}-fold{self.fold}", f"{self.label}, fold {self.fold}"

    def has_fold(self, fold: int | None) -> bool:
        return fold is None or self.fold in (None, fold)


def named(known: Sequence[Names], pattern: str) -> list[int]:
    """The places of what a pattern names: by a name in full, as a shell-style pattern, by a key or a label that was
    copied, or by a part of a name. The first way that names any decides. So `fold1` finds that fold of every row, and a
    name in full is never taken for the start of a longer one."""

    def where(names_it: Callable[[str], bool]) -> list[int]:
        return [i for i, names in enumerate(known) if any(map(names_it, names.texts))]

    ways: list[Callable[[], list[int]]] = [
        lambda: where(lambda name: name == pattern),
        lambda: where(lambda name: fnmatchcase(name, pattern)),
        lambda: _of_key(known, pattern) or _of_label(known, pattern),
        lambda: where(lambda name: fnmatchcase(name, f"*{pattern}*")),
    ]
    return next((found for way in ways if (found := way())), []) if pattern else []


def _of_key(known: Sequence[Names], text: str) -> list[int]:
    """The places of what a text names by a key in it, as a line of the status or the name of a TensorBoard run does."""
    keys = {names.key for names in known}
    match = next((match for match in _KEY.finditer(text) if match["key"] in keys), None)
    if match is None:
        return []
    fold = int(match["fold"]) if match["fold"] else None
    return [i for i, names in enumerate(known) if names.key == match["key"] and names.has_fold(fold)]


def _of_label(known: Sequence[Names], text: str) -> list[int]:
    """The places of what has all the settings that a text says."""
    rows = {id(names.row): names.row for names in known}
    said = find_rows_by_label(list(rows.values()), text)
    if said is None:
        return []
    places = list(rows)
    meant = {places[i] for i in said[0]}
    return [i for i, names in enumerate(known) if id(names.row) in meant and names.has_fold(said[1])]


def _names(units: Sequence[Unit]) -> list[Names]:
    """Return what each unit goes by; the folds of a row share its settings."""
    rows = {id(unit.settings): unit.settings for unit in units}
    flats = {place: flatten(settings) for place, settings in rows.items()}
    return [Names(unit.key, unit.fold, unit.label, flats[id(unit.settings)]) for unit in units]


def matching(units: Sequence[Unit], pattern: str) -> list[Unit]:
    """The units that a pattern names, as `named`."""
    return [units[i] for i in named(_names(units), pattern)]


def select(units: Sequence[Unit], pattern: str, option: str) -> list[Unit]:
    """The units that a pattern names. Raises ChoiceError where there is none."""
    found = matching(units, pattern)
    if not found:
        near = nearest(pattern, dict.fromkeys(text for names in _names(units) for text in names.texts))
        raise ChoiceError(f"{option} {pattern}: no such unit{near or '; --status shows the rows'}")
    return found


def select_one(units: Sequence[Unit], pattern: str, option: str) -> Unit:
    """The unit that a pattern names. Raises ChoiceError where there is none, or more than one."""
    found = select(units, pattern, option)
    if len(found) > 1:
        shown = "; ".join(map(str, found[:SHOWN])) + ("; ..." if len(found) > SHOWN else "")
        raise ChoiceError(f"{option} {pattern}: {len(found)} units match, name one: {shown}")
    return found[0]
