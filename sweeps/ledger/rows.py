"""The rows of the latest grid as a file, so that a report parses no YAML, validates no setting and computes no key.

DIR/<sweep>/rows.parquet    one row for each row of the grid: key, order, every setting. grid.yaml is for people.
"""

import json
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from sweeps.config.settings import Settings
from sweeps.ledger import unit_file
from sweeps.ledger.schema import ROWS_SCHEMA, Row, declarations, settings_columns
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import key_of, units_of

ROWS = "rows.parquet"


class Resolved(Protocol):
    """A grid whose defaults are filled in."""

    @property
    def rows(self) -> tuple[Settings, ...]: ...

    def dump(self, keys: Sequence[str]) -> str:
        """Return the grid as a file for people, with the key of each row."""


def write(storage: Storage, keys: Sequence[str], rows: Sequence[Settings]) -> None:
    """Write the file, unless it holds exactly these rows. Raise StorageError if it cannot be written."""
    storage.write_if_changed(ROWS, _encoded(keys, rows))


def resolved(grid: Resolved) -> list[Row]:
    """Return the rows of a grid as `read` would from its file."""
    return _decoded(pa.BufferReader(_encoded([key_of(settings) for settings in grid.rows], grid.rows)))


def _encoded(keys: Sequence[str], rows: Sequence[Settings]) -> bytes:
    records = [
        {"key": key, "order": order, "declarations": declarations(settings), "stages": _stages(settings)}
        | settings_columns(settings)
        for order, (key, settings) in enumerate(zip(keys, rows, strict=True))
    ]
    return unit_file.encode(records, ROWS_SCHEMA)


def _stages(settings: Settings) -> str | None:
    """Return the column `stages` of a row."""
    keys = {unit.stage: unit.key for unit in units_of(settings) if unit.requires}
    return json.dumps(keys) if keys else None


def _decoded(file: pa.NativeFile) -> list[Row]:
    rows: list[Row] = unit_file.read(file, ROWS_SCHEMA.names, ROWS_SCHEMA).to_pylist()
    return sorted(rows, key=lambda row: row["order"])


def read(storage: Storage) -> tuple[list[Row] | None, str]:
    """Return the rows in the grid's order and "", or None and how the file is damaged ("" if there is no file).

    Raises:
        StorageError: the machine cannot read the file now.
    """
    try:
        with unit_file.open_file(storage, ROWS) as file:
            return _decoded(file), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, ""
    except unit_file.Damaged as error:
        return None, str(error)
