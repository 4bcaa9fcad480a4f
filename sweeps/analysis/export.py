"""Exports the ledger as one flat file for other tools: its units, or every epoch of them, as Parquet or CSV."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from sweeps.analysis.results import read_table
from sweeps.analysis.table_row import ReportError
from sweeps.ledger import unit_file
from sweeps.ledger.ledger import BATCH, Damage, Ledger
from sweeps.ledger.schema import OWN_SIZES, with_own_sizes
from sweeps.ledger.storage import Storage
from sweeps.text import FORMULA, value_text

ExportKind = Literal["units", "curves", "given_pixels"]
"""What a row of an export is: a done unit, an epoch of a unit, or a unit's samples given pixels by one condition."""

NESTED = {"curves": "history", "given_pixels": "given_pixels"}
"""The columns of lists with an entry for each row of an export."""

WRITERS = {".parquet": pq.ParquetWriter, ".csv": pv.CSVWriter}


def export(ledger: Ledger, path_or_uri: str | Path, kind: ExportKind) -> tuple[int, Damage]:
    """Write all done units, those of earlier grids too, as Parquet or CSV by the file's ending.

    The file is written completely or not at all. Lists become text ("[32, 64]"), and each seed becomes a column
    (`seeds.fold`). In a CSV, text that a spreadsheet would take for a formula gets a leading apostrophe; numbers are
    not changed.

    Returns: how many rows were written, and the unit files that could not be read.

    Raises:
        ReportError: the file's name has another ending.
        StorageError: the file cannot be written.
    """
    storage, name = _split_target(str(path_or_uri))
    ending = Path(name).suffix.lower()
    if ending not in WRITERS:
        raise ReportError(f"{path_or_uri}: the file's name must end in {' or '.join(WRITERS)}")
    rows = 0
    damaged: Damage = []
    stream = export_batches(ledger, kind, damaged)
    schema = next(stream).schema
    with storage.writing(name) as sink, WRITERS[ending](sink, schema) as writer:
        for part in stream:
            writer.write_table(_escape_formulas(part) if ending == ".csv" else part)
            rows += len(part)
    return rows, damaged


def export_batches(ledger: Ledger, kind: ExportKind, damaged: Damage) -> Iterator[pa.Table]:
    """Yield the rows of an export in batches. The first batch has no rows and gives the schema.

    Files that cannot be read are added to `damaged`.
    """
    distinguishing = _distinguishing(ledger) if kind in NESTED else []
    schema = ledger.schema()
    for part in itertools.chain([schema.empty_table()], ledger.batches(BATCH, damaged)):
        table = unit_file.conform(part, schema)
        yield _entry_rows(table, distinguishing, NESTED[kind]) if kind in NESTED else _unit_rows(table)


def _distinguishing(ledger: Ledger) -> list[str]:
    """Return the settings that tell the rows apart, of models and of later stages."""
    table = read_table(ledger, all_rows=True)
    tables = (table, *table.later.values())
    return list(dict.fromkeys(name for one in tables for name in one.columns))


def flat_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of lists of whole numbers as text, as in a grid file; return other columns as they are."""
    if not pa.types.is_list(column.type):
        return column
    inner = pc.binary_join(column.cast(pa.list_(pa.string())), ", ")
    return pc.binary_join_element_wise("[", inner, "]", "")


def flat(table: pa.Table) -> pa.Table:
    """Return a table in which lists are text."""
    arrays = [flat_column(column) for column in table.columns]
    fields = [field.with_type(array.type) for field, array in zip(table.schema, arrays, strict=True)]
    return pa.table(arrays, pa.schema(fields))


def _unit_rows(table: pa.Table) -> pa.Table:
    """Return all columns except the nested ones, with one column for each seed."""
    return flat(table.drop_columns(list(NESTED.values())).flatten().replace_schema_metadata(None))


def _entry_rows(table: pa.Table, distinguishing: Sequence[str], nested: str) -> pa.Table:
    """Return one row per entry of a column of lists: the unit's key and fold, the given settings, and the entry."""
    lists = table[nested].combine_chunks()
    known = flat(_with_settings(table, distinguishing))
    units = known.take(pc.list_parent_indices(lists))
    entries = pc.list_flatten(lists)
    for field, values in zip(entries.type, entries.flatten(), strict=True):
        units = units.append_column(field, values)
    return units.replace_schema_metadata(None)


def _with_settings(table: pa.Table, settings: Sequence[str]) -> pa.Table:
    """Return key, fold and these settings. The sizes that only a plug-in has are text, as a grid file has them."""
    known = table.select(["key", "fold", *[name for name in settings if name in table.column_names]])
    own = [with_own_sizes({OWN_SIZES: text}) for text in table[OWN_SIZES].to_pylist()]
    for name in [name for name in settings if name not in table.column_names]:
        texts = [value_text(sizes[name]) if name in sizes else None for sizes in own]
        known = known.append_column(name, pa.array(texts, pa.string()))
    return known


def _escape_formulas(table: pa.Table) -> pa.Table:
    """Put an apostrophe before text that a spreadsheet would take for a formula."""
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            table = table.set_column(i, field, pc.replace_substring_regex(table[i], f"^([{FORMULA}])", r"'\1"))
    return table


def _split_target(path_or_uri: str) -> tuple[Storage, str]:
    """Return the folder of a file, and its name there. Raises StorageError if the text is neither a path nor a URI."""
    file = Storage(path_or_uri)
    folder, _, name = file.root.rpartition("/")
    return Storage(folder, file.filesystem), name
