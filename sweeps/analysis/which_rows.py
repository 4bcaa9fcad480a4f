"""Chooses the rows of a table, and makes notes on the rows that it leaves out."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import pyarrow as pa

from sweeps.ledger import rows as grid_rows
from sweeps.ledger.ledger import Ledger, earlier_grids
from sweeps.ledger.schema import Row
from sweeps.ledger.storage import Storage
from sweeps.plan.unit import UnitId
from sweeps.text import count_text

T = TypeVar("T")


def rows_to_show(storage: Storage, run_rows: Sequence[Row] | None) -> tuple[Sequence[Row] | None, str, list[str]]:
    """Return the rows of a run's own grid, or else those of the latest grid in the ledger.

    Returns: the rows, or None if none can be read; why rows.parquet cannot be read, or ""; and notes.
    """
    kept, why = grid_rows.read(storage)
    if run_rows is None:
        return kept, why, []
    others = kept is not None and {row["key"] for row in kept} != {row["key"] for row in run_rows}
    note = (
        f"another grid of this name wrote its rows to {storage.path(grid_rows.ROWS)}; the table holds the rows of this "
        f"run's grid. python -m sweeps.report {storage.root.rpartition('/')[2]} shows the latest grid's rows, and with "
        "--all all rows"
    )
    return run_rows, why, [note] * others


def rows_of_grid_yaml(rows: Mapping[str, T], keys: Sequence[str]) -> tuple[dict[str, T], list[str]]:
    """Return the rows whose keys are in grid.yaml, and a note on keys there without a unit.

    The settings of a row without a unit are in grid.yaml only, which is for people and is not parsed. If grid.yaml
    names none of the rows, because somebody has changed it or no unit of its grid is done, all rows are returned.
    """
    found = {key: rows[key] for key in keys if key in rows}
    missing = len(keys) - len(found)
    why = f"because there is no {grid_rows.ROWS} to read"
    notes = [f"not shown: {count_text(missing, 'row')} of grid.yaml without any unit, {why}"] * bool(missing)
    if rows and not found:
        all_rows = f"all rows are shown, because grid.yaml names none of them and there is no {grid_rows.ROWS}"
        return dict(rows), [*notes, all_rows]
    return found, notes


def in_grid_order(rows: Mapping[str, T], ledger: Ledger) -> dict[str, T]:
    """Return rows in the order of the latest grid, then of earlier grids, the latest first, then the others."""
    grids = [ledger.keys(name) or [] for name in ("grid.yaml", *earlier_grids(ledger.storage))]
    return {key: rows[key] for key in (*(key for keys in grids for key in keys), *rows) if key in rows}


def note_on_other_grids(tables: Sequence[pa.Table], rows: Collection[str]) -> list[str]:
    """Return a note that counts the rows of other grids, and their units, in these tables of done and failed units."""
    found: dict[str, set[UnitId]] = {}
    for table in tables:
        for key, fold, parent in zip(*(table[n].to_pylist() for n in ("key", "fold", "parent_key")), strict=True):
            if (parent or key) not in rows:
                found.setdefault(parent or key, set()).add((key, fold))
    # A row without any unit of its training is in no table.
    trained = [ids for row, ids in found.items() if any(key == row for key, _ in ids)]
    units = sum(map(len, trained))
    if not trained:
        return []
    rows_and_units = f"{count_text(len(trained), 'row')} ({count_text(units, 'unit')})"
    return [f"not shown: {rows_and_units} of other grids; the report's --all shows them"]
