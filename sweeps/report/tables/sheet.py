"""A sheet: the content of a printed table, independent of the format that it is written in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A text, marked in bold or with a star where it is the best."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Sheet:
    """A printed table.

    Attributes:
        name: the name in files and anchors.
        head: the names of the columns.
        numeric: whether each column is aligned as numbers.
        above: lines between title and table: the settings that all rows share.
        breaks: indices of rows before which a new group begins.
        keys: how many leading columns are left blank where they repeat the row before.
        notes: lines below the table.
        make_records: makes the rows for JSON and CSV.
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
        """The rows as records for JSON and CSV, with numbers at full precision."""
        return self.make_records()

    def rows_without_repeats(self) -> list[list[Cell]]:
        """Return the rows, with blanks for leading cells that repeat those of the row before."""
        rows, before = [], [Cell("")] * self.keys
        for row in self.rows:
            same = 0
            while same < self.keys and before[same] == row[same]:
                same += 1
            rows.append([Cell("")] * same + row[same:])
            before = row[: self.keys]
        return rows
