"""The ledger as one flat file for other tools: its units, or every epoch of them, as Parquet or CSV."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from sweeps.analysis.results import ReportError, read_table
from sweeps.ledger import unit_file
from sweeps.ledger.ledger import BATCH, Damage, Ledger
from sweeps.ledger.storage import Storage
from sweeps.text import FORMULA

What = Literal["units", "curves"]
"""A row per done unit, or a row per unit and epoch."""

WRITERS = {".parquet": pq.ParquetWriter, ".csv": pv.CSVWriter}


def export(ledger: Ledger, path_or_uri: str | Path, what: What) -> tuple[int, Damage]:
    """Writes all done units, those of earlier grids too, whole or not at all, as Parquet or CSV by the file's ending.

    Lists become text ("[32, 64]"), the seeds columns of their own (`seeds.fold`). In a CSV, text that a spreadsheet
    would take for a formula gets a leading apostrophe; numbers stay as they are.

    Returns: the rows written, and the unit files that could not be read.

    Raises:
        ReportError: another ending.
        StorageError: it cannot be written there.
    """
    storage, name = _target(str(path_or_uri))
    ending = Path(name).suffix.lower()
    if ending not in WRITERS:
        raise ReportError(f"{path_or_uri}: the file's name must end in {' or '.join(WRITERS)}")
    rows = 0
    damaged: Damage = []
    stream = parts(ledger, what, damaged)
    schema = next(stream).schema
    with storage.writing(name) as sink, WRITERS[ending](sink, schema) as writer:
        for part in stream:
            writer.write_table(_harmless(part) if ending == ".csv" else part)
            rows += len(part)
    return rows, damaged


def parts(ledger: Ledger, what: What, damaged: Damage) -> Iterator[pa.Table]:
    """The rows of an export, some at a time; the first part has none, and is there for its schema. What cannot be read
    is added to `damaged`."""
    telling = read_table(ledger, all_rows=True).columns if what == "curves" else []
    schema = ledger.schema()
    for part in itertools.chain([schema.empty_table()], ledger.batches(BATCH, damaged)):
        table = unit_file.conform(part, schema)
        yield _curves(table, telling) if what == "curves" else _units(table)


def flat_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of whole numbers as the text that a grid file has; other columns as they are."""
    if not pa.types.is_list(column.type):
        return column
    inner = pc.binary_join(column.cast(pa.list_(pa.string())), ", ")
    return pc.binary_join_element_wise("[", inner, "]", "")


def flat(table: pa.Table) -> pa.Table:
    """`table` with lists as text."""
    arrays = [flat_column(column) for column in table.columns]
    fields = [field.with_type(array.type) for field, array in zip(table.schema, arrays, strict=True)]
    return pa.table(arrays, pa.schema(fields))


def _units(table: pa.Table) -> pa.Table:
    """All columns but the history, the seeds one by one."""
    return flat(table.drop_columns(["history"]).flatten().replace_schema_metadata(None))


def _curves(table: pa.Table, telling: Sequence[str]) -> pa.Table:
    """A row per epoch: whose it is, the given settings, and the columns of the history."""
    history = table["history"].combine_chunks()
    units = flat(table.select(["key", "fold", *telling])).take(pc.list_parent_indices(history))
    epochs = pc.list_flatten(history)
    for field, values in zip(epochs.type, epochs.flatten(), strict=True):
        units = units.append_column(field, values)
    return units.replace_schema_metadata(None)


def _harmless(table: pa.Table) -> pa.Table:
    """For a spreadsheet: text that it would take for a formula begins with an apostrophe."""
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(i, field, pc.replace_substring_regex(table[i], f"^([{FORMULA}])", r"'\1"))
    return table


def _target(path_or_uri: str) -> tuple[Storage, str]:
    """The folder of a file to write, and its name there. Raises StorageError for what is neither path nor URI."""
    file = Storage(path_or_uri)
    folder, _, name = file.root.rpartition("/")
    return Storage(folder, file.filesystem), name
