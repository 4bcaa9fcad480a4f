"""Finds the units and rows that `--only` and `--redo` name on the command line."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sweeps.config.labels import Row, find_rows_by_label
from sweeps.config.settings import flatten
from sweeps.plan.unit import Unit
from sweeps.text import nearest

MAX_LISTED = 3  # units that an error message names
_KEY = re.compile(r"(?<![0-9a-f])(?P<key>[0-9a-f]{12})(?:-fold(?P<fold>\d{1,4}))?(?![0-9a-z])")


class ChoiceError(ValueError):
    """The command line names no unit, or more than one where it must be one. The message is one line."""


@dataclass(frozen=True)
class NamedItem:
    """The names of a unit, or of a whole row if `fold` is None. `stage_label`: the label with a later stage."""

    key: str
    fold: int | None
    label: str
    row: Row
    stage_label: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All names: the key, the labels, and each of them with the fold."""
        names = (self.key, self.label, *([self.stage_label] if self.stage_label else []))
        if self.fold is None:
            return names
        return *names, f"{self.key}-fold{self.fold}", *[f"{name}, fold {self.fold}" for name in names[1:]]

    def covers_fold(self, fold: int | None) -> bool:
        """Whether it is the unit of a fold, or a whole row; every item covers None."""
        return fold is None or self.fold in (None, fold)


def matching_indices(items: Sequence[NamedItem], pattern: str) -> list[int]:
    """Return the indices of the items that a pattern names.

    A pattern is a full name, a shell-style pattern, a copied key or label, or a part of a name. The first of these that
    names any item decides. So `fold1` finds that fold of every row, and a full name is never taken for the beginning of
    a longer one.
    """

    def indices(matches: Callable[[str], bool]) -> list[int]:
        return [i for i, item in enumerate(items) if any(map(matches, item.texts))]

    ways: list[Callable[[], list[int]]] = [
        lambda: indices(lambda name: name == pattern),
        lambda: indices(lambda name: fnmatchcase(name, pattern)),
        lambda: _indices_by_key(items, pattern) or _indices_by_label(items, pattern),
        lambda: indices(lambda name: fnmatchcase(name, f"*{pattern}*")),
    ]
    return next((found for way in ways if (found := way())), []) if pattern else []


def _indices_by_key(items: Sequence[NamedItem], text: str) -> list[int]:
    """Return the indices of the items whose key is in a text, such as a line of the status or a TensorBoard run."""
    keys = {item.key for item in items}
    match = next((match for match in _KEY.finditer(text) if match["key"] in keys), None)
    if match is None:
        return []
    fold = int(match["fold"]) if match["fold"] else None
    return [i for i, item in enumerate(items) if item.key == match["key"] and item.covers_fold(fold)]


def _indices_by_label(items: Sequence[NamedItem], text: str) -> list[int]:
    """Return the indices of the items that have all the settings in a label."""
    rows = {id(item.row): item.row for item in items}
    found = find_rows_by_label(list(rows.values()), text)
    if found is None:
        return []
    ids = list(rows)
    row_ids = {ids[i] for i in found[0]}
    return [i for i, item in enumerate(items) if id(item.row) in row_ids and item.covers_fold(found[1])]


def _named_units(units: Sequence[Unit]) -> list[NamedItem]:
    """Return the names of each unit. The folds of a row share its settings."""
    rows = {id(unit.settings): unit.settings for unit in units}
    flats = {id_: flatten(settings) for id_, settings in rows.items()}
    return [NamedItem(u.key, u.fold, u.label, flats[id(u.settings)], u.stage_label) for u in units]


def matching(units: Sequence[Unit], pattern: str) -> list[Unit]:
    """Return the units that a pattern names, as in `matching_indices`."""
    return [units[i] for i in matching_indices(_named_units(units), pattern)]


def select(units: Sequence[Unit], pattern: str, option: str) -> list[Unit]:
    """Return the units that a pattern names. Raises ChoiceError if it names none."""
    found = matching(units, pattern)
    if not found:
        near = nearest(pattern, dict.fromkeys(text for item in _named_units(units) for text in item.texts))
        raise ChoiceError(f"{option} {pattern}: no such unit{near or '; --status shows the rows'}")
    return found


def select_one(units: Sequence[Unit], pattern: str, option: str) -> Unit:
    """Return the unit that a pattern names. Raises ChoiceError if it names none, or more than one."""
    found = select(units, pattern, option)
    if len(found) > 1:
        shown = "; ".join(map(str, found[:MAX_LISTED])) + ("; ..." if len(found) > MAX_LISTED else "")
        raise ChoiceError(f"{option} {pattern}: {len(found)} units match, name one: {shown}")
    return found[0]
