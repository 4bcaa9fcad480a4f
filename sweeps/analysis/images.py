"""What is to be said of the images that the rows of a table rest on: whether all of them saw the same."""

from collections import defaultdict
from collections.abc import Sequence

from sweeps.analysis.results import Table, TableRow
from sweeps.config.settings import column
from sweeps.data.datasets import Data

MOST_LINES = 20
_DATA = [column(f"data.{leaf}") for leaf in Data.model_fields if leaf not in ("root", "max_skipped")]


def image_notes(table: Table) -> list[str]:
    """Lines on rows whose folds saw different images, on rows of one data set that did, and on images that were decoded
    in more than one way."""
    mixed = [_of_row(table, row) for row in table.rows if len(row.image_sets) > 1]
    lines = mixed[:MOST_LINES]
    if len(mixed) > MOST_LINES:
        lines.append(f"... and {len(mixed) - MOST_LINES:,} more rows over different images")
    groups: dict[object, list[TableRow]] = defaultdict(list)
    for row in table.rows:
        half = row.settings.get("folds.selection") == "test_half"
        groups[(*[row.settings.get(name) for name in _DATA], half)].append(row)
    for rows in groups.values():
        lines += _of_data_set(table, rows)
    return lines + _decoded(table.rows)


def _of_row(table: Table, row: TableRow) -> str:
    folds = ", ".join(f"fold {fold} saw {name or 'unknown ones'}" for fold, name in row.images.items())
    return f"different images in one row: {table.label(row)}: {folds}; its means are over all of them"


def _of_data_set(table: Table, rows: Sequence[TableRow]) -> list[str]:
    """A line where rows of one data set saw different images."""
    of_set: dict[str | None, list[TableRow]] = defaultdict(list)
    for row in rows:
        for name in row.image_sets:
            of_set[name].append(row)
    if len(of_set) < 2:
        return []
    sets = "; ".join(f"{name or 'unknown'}: {_named(table, saw)}" for name, saw in of_set.items())
    return [
        f"different images of {rows[0].settings.get('dataset')}: {sets}; folds over different ones are not compared"
    ]


def _named(table: Table, rows: Sequence[TableRow]) -> str:
    more = f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""
    return f"{table.label(rows[0])}{more}"


def _decoded(rows: Sequence[TableRow]) -> list[str]:
    """A line for images that were read from the same files and decoded to different pixels."""
    pixels: dict[str | None, set[str]] = defaultdict(set)
    for row in rows:
        for fold, name in row.images.items():
            pixels[name].add(row.folds[fold]["data_hash"])
    return [
        f"images {name}: the same files, decoded to {len(found)} sets of pixels by versions of an image library"
        for name, found in pixels.items()
        if name is not None and len(found) > 1
    ]
