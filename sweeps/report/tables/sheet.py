"""A sheet: what a table shows, in whatever format it will be written."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cell:
    """`best`: to be marked."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table with its title, what all rows share, and notes.

    `breaks` are the rows before which a new group begins; of the first `keys` columns, what repeats from row to row may
    be left out.
    """

    name: str
    title: str
    head: list[str]
    rows: list[list[Cell]]
    numeric: list[bool]
    above: list[str] = field(default_factory=list)
    breaks: frozenset[int] = frozenset()
    keys: int = 0
    notes: list[str] = field(default_factory=list)
    make_records: Callable[[], list[dict[str, Any]]] = list

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows for machines: full precision, no text made of numbers."""
        return self.make_records()

    def texts(self) -> list[list[Cell]]:
        """The rows with the repeats of their leading columns left out."""
        shown, before = [], [Cell("")] * self.keys
        for row in self.rows:
            same = 0
            while same < self.keys and before[same] == row[same]:
                same += 1
            shown.append([Cell("")] * same + row[same:])
            before = row[: self.keys]
        return shown
