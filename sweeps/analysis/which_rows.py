"""Which rows a table has, and what is said of those that it has not."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import pyarrow as pa

from sweeps.ledger import rows as grid_rows
from sweeps.ledger.schema import Row
from sweeps.ledger.storage import Storage
from sweeps.plan.unit import UnitId
from sweeps.text import count_text

T = TypeVar("T")


def listed(storage: Storage, in_hand: Sequence[Row] | None) -> tuple[Sequence[Row] | None, str, list[str]]:
    """The rows of the grid in hand, or else of the latest one that is kept.

    Returns: the rows, None where none can be read; why rows.parquet cannot be read, "" where it can; notes.
    """
    kept, why = grid_rows.read(storage)
    if in_hand is None:
        return kept, why, []
    others = kept is not None and {row["key"] for row in kept} != {row["key"] for row in in_hand}
    note = (
        f"another grid of this name wrote its rows to {storage.path(grid_rows.ROWS)}; the table holds those of this "
        f"run's grid: python -m sweeps.report {storage.root.rpartition('/')[2]} shows the latest grid's, --all all"
    )
    return in_hand, why, [note] * others


def in_order(rows: Mapping[str, T], keys: Sequence[str]) -> tuple[dict[str, T], list[str]]:
    """The rows of the latest grid that have a unit, by the keys in grid.yaml, and a note on the others: their settings
    stand in grid.yaml alone, which is for people. All rows where it names none of them: somebody has changed it, or no
    unit of its grid is done."""
    known = {key: rows[key] for key in keys if key in rows}
    without = f"since there is no {grid_rows.ROWS} to read"
    missing = len(keys) - len(known)
    notes = [f"not shown: {missing} rows of grid.yaml without any unit, {without}"] * bool(missing)
    if rows and not known:
        return dict(rows), [
            *notes,
            f"all rows are shown: grid.yaml names none of them, and there is no {grid_rows.ROWS}",
        ]
    return known, notes


def left_out(tables: Sequence[pa.Table], rows: Collection[str]) -> list[str]:
    """Count the rows of other grids that the units of these tables, done and failed ones, belong to."""
    found: dict[str, set[UnitId]] = {}
    for table in tables:
        for key, fold, parent in zip(*(table[n].to_pylist() for n in ("key", "fold", "parent_key")), strict=True):
            if (parent or key) not in rows:
                found.setdefault(parent or key, set()).add((key, fold))
    trained = [ids for row, ids in found.items() if any(key == row for key, _ in ids)]  # no other is a row of a table
    units = sum(map(len, trained))
    if not trained:
        return []
    rows_and_units = f"{count_text(len(trained), 'row')} ({count_text(units, 'unit')})"
    return [f"not shown: {rows_and_units} of other grids; the report's --all shows them"]
