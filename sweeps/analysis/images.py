"""Notes on a table's images: which rows and folds saw different ones."""

from collections import defaultdict
from collections.abc import Sequence

from sweeps.analysis.columns import data_text
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.config.settings import column
from sweeps.data.datasets import Data
from sweeps.data.splits import HALVES

MOST_LINES = 20
_DATA = [column(f"data.{leaf}") for leaf in Data.model_fields if leaf not in ("root", "max_skipped")]


def image_notes(table: Table) -> list[str]:
    """Return notes, one line each, on the images that a table's rows saw.

    They name rows whose folds saw different images, rows of one data set that saw different images, and images that
    were decoded in more than one way.
    """
    mixed = [_mixed_row_note(table, row) for row in table.rows if len(row.image_sets) > 1]
    lines = mixed[:MOST_LINES]
    if len(mixed) > MOST_LINES:
        lines.append(f"... and {len(mixed) - MOST_LINES:,} more rows over different images")
    groups: dict[object, list[TableRow]] = defaultdict(list)
    for row in table.rows:
        selection = row.settings.get("folds.selection")
        half = selection if selection in HALVES else None
        drawn = row.settings.get("data.sample") not in (None, "first") and row.settings.get("seed")
        groups[(*[row.settings.get(name) for name in _DATA], half, drawn)].append(row)
    for rows in groups.values():
        lines += _data_set_notes(table, rows)
    return lines + _decoding_notes(table.rows)


def _mixed_row_note(table: Table, row: TableRow) -> str:
    folds = ", ".join(f"fold {fold} saw {name or 'unknown images'}" for fold, name in row.images.items())
    return f"different images in one row: {table.label(row)}: {folds}; its means mix these images"


def _data_set_notes(table: Table, rows: Sequence[TableRow]) -> list[str]:
    """Return one line if rows of one data set saw different images."""
    rows_by_images: dict[str | None, list[TableRow]] = defaultdict(list)
    for row in rows:
        for name in row.image_sets:
            rows_by_images[name].append(row)
    if len(rows_by_images) < 2:
        return []
    sets = "; ".join(f"{name or 'unknown'}: {_rows_text(table, same)}" for name, same in rows_by_images.items())
    dataset = data_text(rows[0].settings)
    return [f"different images of {dataset}: {sets}; folds that saw different images are not compared"]


def _rows_text(table: Table, rows: Sequence[TableRow]) -> str:
    more = f" and {len(rows) - 1:,} more" if len(rows) > 1 else ""
    return f"{table.label(rows[0])}{more}"


def _decoding_notes(rows: Sequence[TableRow]) -> list[str]:
    """Return one line for each set of images whose files were decoded to different pixels."""
    pixels: dict[str | None, set[str]] = defaultdict(set)
    for row in rows:
        for fold, name in row.images.items():
            pixels[name].add(row.folds[fold]["data_hash"])
    return [
        f"images {name}: versions of an image library decoded the same files to {len(found)} different sets of pixels"
        for name, found in pixels.items()
        if name is not None and len(found) > 1
    ]
