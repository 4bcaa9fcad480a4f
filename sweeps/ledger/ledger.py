"""The ledger: one Parquet file per finished unit. Only these files say what is done.

DIR/<sweep>/units/<key>-fold<k>.parquet    a done unit, one row
DIR/<sweep>/units.parquet                  compacted done units, one row each; a unit's own file takes precedence
DIR/<sweep>/failed/<key>-fold<k>.parquet   why a unit failed; a done unit stays done
DIR/<sweep>/redo/<key>-fold<k>             marks a done unit that is to be trained again (`redo.py`)
DIR/<sweep>/search/<number>.json           a suggestion of a search (`suggestions.py`)
DIR/<sweep>/stopped/<key>.json             marks a configuration that a race has stopped (`suggestions.py`)
DIR/<sweep>/checkpoints/<key>-fold<k>.pt   a unit in progress (`checkpoint.py`)
DIR/<sweep>/models/<key>-fold<k>.safetensors   the best weights (`kept_models.py`)
DIR/<sweep>/logs/<key>-fold<k>.log         a unit's log, for people
DIR/<sweep>/rows.parquet                   the rows of the latest run's grid (`rows.py`)
DIR/<sweep>/search.json                    what the latest run's search looks for (`search_file.py`)
DIR/<sweep>/confirm.json                   configurations trained again on new splits and seeds (`confirmations.py`)
DIR/<sweep>/grid.yaml                      the same grid for people; earlier grids are grid-<n>.yaml
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from sweeps.config.settings import Settings
from sweeps.ledger import redo, rows, unit_file
from sweeps.ledger.rows import Resolved
from sweeps.ledger.schema import (
    FAILED_SCHEMA,
    REQUIRED,
    UNIT_SCHEMA,
    Row,
    declarations,
    described_schema,
    settings_row,
    unit_schema,
)
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import key_of
from sweeps.plan.unit import Unit, UnitId, parse_unit_name

DAMAGED = ".damaged"
COMPACTED = "units.parquet"
BATCH = 500  # units in memory at a time: about 10 kB each at 100 epochs, ten times that as curves
_KEY = re.compile(r"(?:^|[\s}])#\s*([0-9a-f]{12})(?!\S)")
"""The key in the comment that `Grid.dump` writes behind a row. Editors may have changed line ends and spaces."""
_ENDING = ".parquet"

Damage = list[tuple[str, str]]
"""Files that could not be read, as (name, why)."""


class Ledger:
    """The results of one sweep."""

    def __init__(self, storage: Storage):
        """`storage`: the sweep's folder."""
        self.storage = storage
        self._compacted: tuple[object, frozenset[UnitId]] = (None, frozenset())
        self.damaged_compacted = ""
        """How the compacted file was damaged when it was last read, or "" if it was not."""

    def units(self, folder: Literal["units", "failed"] = "units") -> frozenset[UnitId]:
        """Return the units that have a file and the compacted ones, but no done unit that is marked for redo."""
        own = frozenset(files(self.storage, folder).values())
        return (own | self.compacted()) - redo.marked(self.storage) if folder == "units" else own

    def compacted(self) -> frozenset[UnitId]:
        """Return the units in the compacted file; none if its content is damaged.

        Raises:
            StorageError: the machine cannot read it now. This is not cached as "none".
        """
        stamp = self.storage.stamp(COMPACTED)
        if stamp != self._compacted[0]:
            table, self.damaged_compacted = self.try_read(COMPACTED, ("key", "fold"))
            self._compacted = stamp, frozenset() if table is None else frozenset(unit_file.ids(table))
        return self._compacted[1]

    def has(self, unit: Unit) -> bool:
        """Look up whether a unit is done now."""
        there = self.storage.exists(f"units/{unit.name}.parquet") or unit.id in self.compacted()
        return there and not redo.is_marked(self.storage, unit)

    def write(self, unit: Unit, results: Row) -> None:
        """Record a unit as done, and remove its earlier failure and its mark for redo."""
        row = settings_row(unit) | {"declarations": declarations(unit.settings, unit.stage)} | results
        schema = unit_schema(unit.settings.family, unit.stage)
        self.storage.write(f"units/{unit.name}.parquet", unit_file.encode([row], schema))
        self.storage.remove(f"failed/{unit.name}.parquet")
        redo.unmark(self.storage, unit)

    def record(self, unit: Unit) -> Row | None:
        """Return the record of one done unit; None if it has none that can be read."""
        columns = UNIT_SCHEMA.names
        table, _ = self._try_read_unit(f"units/{unit.name}.parquet", unit.id, columns)
        for part in [table] if table is not None else self.batches(BATCH, []):
            for i in [i for i, id_ in enumerate(unit_file.ids(part)) if id_ == unit.id]:
                found: Row = part.slice(i, 1).to_pylist()[0]
                return found
        return None

    def adopt(self, same: Mapping[UnitId, Unit]) -> int:
        """Record units as done with the results of done units that are the same work under another key.

        Kept models are copied. Return how many units were recorded.
        """
        adopted = 0
        if not same:
            return 0
        for part in self.batches(BATCH, []):
            for i, id_ in enumerate(unit_file.ids(part)):
                if (unit := same.get(id_)) is not None:
                    row = part.slice(i, 1).to_pylist()[0] | settings_row(unit)
                    model = self.storage.try_read("models/{}-fold{}.safetensors".format(*id_))
                    if model is not None:
                        self.storage.write(f"models/{unit.name}.safetensors", model)
                    self.storage.write(f"units/{unit.name}.parquet", unit_file.encode([row], part.schema))
                    adopted += 1
        return adopted

    def write_failed(self, unit: Unit, reason: str) -> None:
        """Record why a unit failed. If it is done, it stays done."""
        row = settings_row(unit) | {"reason": reason, "log": self.log_path(unit)}
        self.storage.write(f"failed/{unit.name}.parquet", unit_file.encode([row], FAILED_SCHEMA))

    def log_path(self, unit: Unit) -> str:
        return self.storage.path(f"logs/{unit.name}.log")

    def write_log(self, unit: Unit, text: str) -> None:
        self.storage.write(f"logs/{unit.name}.log", text.encode())

    def add_to_log(self, unit: Unit, text: str) -> None:
        """Append to a unit's log. An empty text writes nothing."""
        if text:
            before = self.storage.try_read(f"logs/{unit.name}.log") or b""
            self.storage.write(f"logs/{unit.name}.log", before + text.encode())

    def table(
        self, folder: Literal["units", "failed"] = "units", columns: Sequence[str] | None = None
    ) -> tuple[pa.Table, Damage]:
        """Return all units of a folder and the compacted ones, one row each, and the files that could not be read.

        Done units that are marked for redo are left out. No file is changed.

        Args:
            columns: columns of the schema; None: all. Columns that an earlier version did not write are null.
        """
        schema = FAILED_SCHEMA if folder == "failed" else UNIT_SCHEMA
        names = schema.names if columns is None else list(dict.fromkeys([*REQUIRED, *columns]))
        parts: list[pa.Table] = []
        few: list[pa.Table] = []  # a table of one row takes 100 kB, so tables are joined in between
        damaged: Damage = []
        again = redo.marked(self.storage) if folder == "units" else frozenset()
        for part, name, why in self._tables(folder, names):
            if part is None:
                damaged.append((name, why))
            else:
                few.append(unit_file.without_units(part, again))
            if len(few) == BATCH:
                parts.append(unit_file.join(few))
                few.clear()
        if not parts and not few:
            return pa.Table.from_batches([], pa.schema([schema.field(name) for name in names])), damaged
        return unit_file.join(parts + few), damaged

    def read(
        self, folder: Literal["units", "failed"] = "units", columns: Sequence[str] | None = None
    ) -> tuple[list[Row], Damage]:
        """Return `table` as a dictionary per row."""
        table, damaged = self.table(folder, columns)
        return table.to_pylist(), damaged

    def _tables(self, folder: str, names: Sequence[str]) -> Iterator[tuple[pa.Table | None, str, str]]:
        """Yield every file of a folder as (table or None, name, how it is damaged), the compacted file last.

        A compacted unit is left out if it has a readable file of its own. A file that is gone since the folder was
        listed is skipped: another process has compacted it.
        """
        own: set[UnitId] = set()
        for name, id_ in files(self.storage, folder).items():
            table, why = self._try_read_unit(f"{folder}/{name}", id_, names)
            if table is not None:
                own.add(id_)
            if table is not None or why:
                yield table, name, why
        if folder == "units":
            table, why = self.try_read(COMPACTED, names)
            if table is not None or why:
                yield (None if table is None else unit_file.without_units(table, own)), COMPACTED, why

    def schema(self) -> pa.Schema:
        """Return one schema for all done units, with the metrics and terms of their plug-in families."""
        names = {id_[0]: f"units/{name}" for name, id_ in files(self.storage, "units").items()}  # one unit of each key
        compacted = [COMPACTED] if self.storage.exists(COMPACTED) else []
        tables = [self.try_read(name, ["declarations"])[0] for name in [*names.values(), *compacted]]
        texts = {text for table in tables if table is not None for text in table["declarations"].to_pylist() if text}
        return described_schema(sorted(texts))

    def batches(self, size: int, damaged: Damage) -> Iterator[pa.Table]:
        """Yield all columns of every done unit, `size` units at a time, as `table` has them.

        Args:
            damaged: files that cannot be read are appended to it.
        """
        own: set[UnitId] = set()
        listed = list(files(self.storage, "units").items())
        for start in range(0, len(listed), size):
            tables = []
            for name, id_ in listed[start : start + size]:
                table, why = self._try_read_unit(f"units/{name}", id_, UNIT_SCHEMA.names)
                if table is not None:
                    tables.append(table)
                    own.add(id_)
                elif why:
                    damaged.append((name, why))
            if tables:
                yield unit_file.join(tables)
        try:
            with unit_file.open_file(self.storage, COMPACTED) as file:
                for table in unit_file.batches(file, UNIT_SCHEMA, size):
                    yield unit_file.without_units(table, own)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except unit_file.Damaged as error:
            damaged.append((COMPACTED, str(error)))

    def _try_read_unit(self, name: str, id_: UnitId, columns: Sequence[str]) -> tuple[pa.Table | None, str]:
        """Read a file as `try_read` does; a file that holds another unit counts as damaged."""
        table, why = self.try_read(name, columns)
        if table is not None and unit_file.ids(table) != [id_]:
            return None, "it holds {}-fold{}".format(*unit_file.ids(table)[0])
        return table, why

    def try_read(self, name: str, columns: Sequence[str]) -> tuple[pa.Table | None, str]:
        """Return a file's table and "", or None and how its content is damaged ("" if there is no such file).

        Raises:
            StorageError: the machine cannot read it now.
        """
        try:
            with unit_file.open_file(self.storage, name) as file:
                return unit_file.read(file, columns, FAILED_SCHEMA if name.startswith("failed/") else UNIT_SCHEMA), ""
        except (FileNotFoundError, NotADirectoryError):
            return None, ""
        except unit_file.Damaged as error:
            return None, str(error)

    def set_damaged_aside(self, columns: Sequence[str]) -> tuple[pa.Table, Damage]:
        """Rename damaged files to `*.damaged`, so that their units are trained again, and return `table`'s result."""
        table, damaged = self.table("units", columns)
        damaged = [(name if name == COMPACTED else f"units/{name}", why) for name, why in damaged]
        for name, _ in damaged:
            self.storage.rename(name, name + DAMAGED)
        return table, damaged

    def write_rows(self, configurations: Sequence[Settings]) -> None:
        """Keep the rows that a report shows as rows.parquet. Without rows nothing is written."""
        if configurations:
            rows.write(self.storage, [key_of(settings) for settings in configurations], configurations)

    def write_grid(self, grid: Resolved, configurations: Sequence[Settings] | None = None) -> None:
        """Keep the resolved grid as rows.parquet and grid.yaml. An earlier grid.yaml becomes grid-<n>.yaml.

        The rows are written first, and reports read only them. After a kill in between, a report shows the earlier
        grid or this one, and the next run writes grid.yaml.

        Args:
            configurations: the rows that a report shows: the grid's and those that its search has suggested; None for
                the grid's.
        """
        self.write_rows(grid.rows if configurations is None else configurations)
        text = grid.dump([key_of(settings) for settings in grid.rows]).encode()
        before = self.storage.try_read("grid.yaml")
        if before == text:
            return
        if before is not None:
            latest = next((name.split("-")[1].split(".")[0] for name in earlier_grids(self.storage)), 0)
            self.storage.rename("grid.yaml", f"grid-{int(latest) + 1}.yaml")
        self.storage.write("grid.yaml", text)

    def keys(self, name: str = "grid.yaml") -> list[str] | None:
        """Return a grid's keys in its order, from the comments of its file; None if there is no such file."""
        text = self.storage.try_read(name)
        return None if text is None else list(dict.fromkeys(_KEY.findall(text.decode(errors="replace"))))


def earlier_grids(storage: Storage) -> list[str]:
    """Return the names of the files of earlier grids, the latest first."""
    found = {name: int(m[1]) for name in storage.names("") if (m := re.fullmatch(r"grid-(\d+)\.yaml", name))}
    return sorted(found, key=found.__getitem__, reverse=True)


def files(storage: Storage, folder: str) -> dict[str, UnitId]:
    """Return the unit files of a folder with their units, by the files' names.

    Raises:
        StorageError: the folder cannot be read, or a file is a dead link, whose unit may be done.
    """
    storage.refuse_dead_links(folder)
    names = [name for name in storage.names(folder) if name.endswith(_ENDING)]
    return {name: id_ for name in names if (id_ := parse_unit_name(name.removesuffix(_ENDING)))}


def sweeps(storage: Storage) -> list[str]:
    """Return the sweeps of a results folder: its folders that hold a grid, or done or failed units."""
    return [
        n
        for n in storage.folders("")
        if any(storage.exists(f"{n}/{name}") for name in ("grid.yaml", rows.ROWS, COMPACTED))
        or any(storage.names(f"{n}/{folder}") for folder in ("units", "failed"))
    ]


def open_ledger(results: str | Path, sweep: str) -> Ledger:
    return Ledger(Storage(results).folder(sweep))
