"""Parquet files of units and of a grid's rows: writing, reading, and checking that they are ours."""

from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from mtvae.config.setting import NO_VALUE
from sweeps.config.settings import SETTING_INFO, column
from sweeps.config.stages import TRAINING
from sweeps.ledger import casting
from sweeps.ledger.schema import BUILT_IN, FAMILY_COLUMN, REQUIRED, Row, described_schema
from sweeps.ledger.storage import Storage, StorageError
from sweeps.plan.unit import UnitId
from sweeps.text import error_line

_NEUTRAL = {column(path): about.neutral for path, about in SETTING_INFO.items() if about.neutral is not NO_VALUE}
_NEUTRAL["stage"] = TRAINING
_TABULATED = ("collapsed", *[name for metric in BUILT_IN if metric.tabulated for name in metric.columns])


class Damaged(ValueError):
    """A file's content is damaged or not ours; the message says how."""


@contextmanager
def open_file(storage: Storage, name: str) -> Iterator[pa.NativeFile]:
    """Open a file to read units or rows from it.

    Raises:
        Damaged: its content is damaged or not ours. Only then is the file lost.
        FileNotFoundError, NotADirectoryError: there is no such file.
        StorageError: the machine cannot read it now, or it is a dead link. The file itself may be undamaged.
    """
    try:
        with storage.reading(name) as file:
            yield file
    except FileNotFoundError:
        storage.refuse_dead_link(name)
        raise
    except (StorageError, NotADirectoryError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damaged(error_line(error)[:200]) from error


def encode(rows: Sequence[Row], schema: pa.Schema) -> bytes:
    """Encode rows as a Parquet file. Columns that a row lacks are null. Raise KeyError for unknown columns."""
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise KeyError(f"no such columns: {sorted(unknown)}")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def ids(table: pa.Table) -> list[UnitId]:
    """Return the unit of each row."""
    return list(zip(table["key"].to_pylist(), table["fold"].to_pylist(), strict=True))


def take_rows(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Return the rows with these indices. Given a list, pyarrow would import pandas, which costs half a second."""
    buffer = pa.py_buffer(array("q", rows))
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, buffer]))


def first_of_each_key(table: pa.Table) -> pa.Table:
    """Return the first row of each configuration, in order of appearance. Its folds share their settings."""
    first: dict[str, int] = {}
    for i, key in enumerate(table["key"].to_pylist()):
        first.setdefault(key, i)
    return take_rows(table, list(first.values()))


def without_units(table: pa.Table, unwanted: Collection[UnitId]) -> pa.Table:
    """Return the rows of all other units."""
    return take_rows(table, [i for i, id_ in enumerate(ids(table)) if id_ not in unwanted]) if unwanted else table


def read(file: pa.NativeFile, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
    """Read columns of a file of units, in the given order. Columns that its version did not have are null.

    If `columns` holds `declarations`, the metrics of plug-in families follow as further columns.

    Raises:
        ValueError, pyarrow.ArrowException: the file does not hold our units.
    """
    parquet = pq.ParquetFile(file)
    names, own = _columns_to_read(parquet, columns, schema)
    # No threads: if a thread of pyarrow's pool still holds our bytes when the interpreter ends, the process aborts
    # (seen: exit code 134 after a finished sweep).
    return _complete(parquet.read([*names, *(own or ())], use_threads=False), columns, schema, own)


def batches(file: pa.NativeFile, schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """Read all columns of a file of units, `size` rows at a time. Raise as `read`."""
    parquet = pq.ParquetFile(file)
    names, own = _columns_to_read(parquet, schema.names, schema)
    for batch in parquet.iter_batches(size, columns=[*names, *(own or ())], use_threads=False):
        yield _complete(pa.Table.from_batches([batch]), schema.names, schema, own)


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables into one. Columns that a table lacks are null there, and every history gets the terms of all."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables).combine_chunks()
    fields: dict[str, pa.Field] = {}
    for field in (field for table in tables for field in table.schema):
        known = fields.setdefault(field.name, field)
        if field.type != known.type:  # only histories differ in type
            fields[field.name] = known.with_type(_merge_histories(known.type, field.type))
    schema = pa.schema(fields.values())
    return pa.concat_tables([conform(table, schema) for table in tables]).combine_chunks()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the columns of a schema. Columns that it lacks are null; histories get further terms."""
    if table.schema.equals(schema):
        return table
    arrays = []
    for field in schema:
        if field.name not in table.column_names:
            arrays.append(_default_column(field.name, len(table), schema))
        elif table[field.name].type == field.type:
            arrays.append(table[field.name])
        else:
            arrays.append(pa.array(table[field.name].to_pylist(), field.type))
    return pa.table(arrays, schema)


def _merge_histories(history: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type of a history with the terms of both."""
    fields = {field.name: field for type_ in (history, other) for field in type_.value_type}
    return pa.list_(pa.struct(list(fields.values())))


def _required(schema: pa.Schema) -> list[str]:
    """Return the columns that every file of this schema has."""
    return [name for name in (*REQUIRED, "order") if name in schema.names]


FamilyColumns = dict[str, pa.Field]
"""The metrics of plug-in families, as columns."""


def _columns_to_read(
    parquet: pq.ParquetFile, columns: Sequence[str], schema: pa.Schema
) -> tuple[list[str], FamilyColumns | None]:
    """Return which of the columns a file has, and its plug-in metrics, or None if its schema is that of this version.

    Raises:
        ValueError: the file does not hold our units.
    """
    required = _required(schema)
    if _has_schema(parquet, schema):  # the checks below take half as long as reading the file
        return [*dict.fromkeys([*required, *columns])], None
    found = parquet.schema_arrow
    if not set(required) <= set(found.names):
        raise ValueError(f"not a unit: its columns are {', '.join(found.names[:5])}")
    names = [name for name in dict.fromkeys([*required, *columns]) if name in found.names]
    names += [name for name in _mistyped_scores(found, schema) if name not in names]
    own = _family_columns(parquet, schema) if "declarations" in columns else {}
    if twice := [name for name in (*names, *own) if found.names.count(name) > 1]:
        raise ValueError(f"it has two columns {twice[0]}")
    return names, own


_seen: dict[bytes, tuple[pa.Schema, pq.ParquetSchema]] = {}
"""Schemas that files were found to have: by pyarrow's description in the file, with the file's own."""


def _has_schema(parquet: pq.ParquetFile, schema: pa.Schema) -> bool:
    """Whether a file has exactly this schema.

    Decoding pyarrow's description of the schema takes a quarter of the time of reading a file, so each is decoded once.
    """
    description = (parquet.metadata.metadata or {}).get(b"ARROW:schema", b"")
    if (seen := _seen.get(description)) and seen[0] is schema and parquet.schema.equals(seen[1]):
        return True
    same = bool(parquet.schema_arrow.equals(schema))
    if same and description:
        _seen[description] = schema, parquet.schema
    return same


def _mistyped_scores(found: pa.Schema, schema: pa.Schema) -> list[str]:
    """Return the columns of scores that have another type. They are always read, so that their cast is tried.

    Otherwise a run that asks for no scores would count a unit as done that no report can read.
    """
    both = [name for name in _TABULATED if name in schema.names and found.get_field_index(name) >= 0]
    return [name for name in both if found.field(name).type != schema.field(name).type]


def _family_columns(parquet: pq.ParquetFile, schema: pa.Schema) -> FamilyColumns:
    """Return the metrics of a file's plug-in families, by the metadata of its columns.

    A file that another tool has rewritten has no such metadata. There the `declarations` tell these metrics from
    columns that somebody added.
    """
    found = parquet.schema_arrow
    further = [field for field in found if field.name not in schema.names]
    if marked := {field.name: field for field in further if FAMILY_COLUMN in (field.metadata or {})}:
        return marked
    if not further or "declarations" not in found.names:
        return {}
    try:
        texts = parquet.read(["declarations"], use_threads=False)["declarations"].unique().to_pylist()
        described = described_schema(filter(None, texts))
    except (AttributeError, KeyError, TypeError, ValueError):  # a report that needs them reports this
        return {}
    return {field.name: described.field(field.name) for field in further if field.name in described.names}


def _type_of(field: pa.Field, expected: pa.DataType) -> pa.DataType:
    """Return the type as which a column is read. A history keeps its further terms, in its own order."""
    if field.name != "history" or not casting.is_any_list(field.type) or not pa.types.is_struct(field.type.value_type):
        return expected
    known = {term.name: term for term in expected.value_type}
    terms = {term.name: known.get(term.name, pa.field(term.name, pa.float64())) for term in field.type.value_type}
    return pa.list_(pa.struct(list((terms | known).values())))


def _complete(table: pa.Table, columns: Sequence[str], schema: pa.Schema, own: FamilyColumns | None) -> pa.Table:
    """Return the columns in the given order, then the plug-in metrics. Missing ones get their neutral value or null.

    Args:
        own: the plug-in metrics, as `_columns_to_read` returns them.

    Raises:
        ValueError: a row has no key, fold or settings, or a value does not fit into its column.
    """
    if own is not None:
        table = _cast_columns(table, schema, own)
    required = _required(schema)
    empty = not len(table) and "order" not in required  # a search without a grid has no rows before it suggests any
    if empty or any(table[name].null_count for name in required):
        raise ValueError("not a unit: it has no row, or one without key, fold or settings")
    if own is None and table.column_names == list(columns):
        return table
    own = own or {}
    arrays = [table[n] if n in table.column_names else _default_column(n, len(table), schema) for n in (*columns, *own)]
    fields = [own.get(n) or schema.field(n) for n in (*columns, *own)]
    return pa.table(arrays, pa.schema([f.with_type(a.type) for f, a in zip(fields, arrays, strict=True)]))


def _cast_columns(table: pa.Table, schema: pa.Schema, own: FamilyColumns) -> pa.Table:
    """Return only the known columns, cast to our types where another tool or version wrote other ones."""
    columns = {}
    for field in table.schema:
        if field.name in own or field.name in schema.names:
            to = pa.float64() if field.name in own else _type_of(field, schema.field(field.name).type)
            column = table[field.name]
            columns[field.name] = column if field.type == to else casting.cast_column(field.name, column, to)
    return pa.table(columns)


def _default_column(name: str, n: int, schema: pa.Schema) -> pa.Array:
    """Return a column that an earlier version did not write: the setting's neutral value, or null.

    So the rows of one configuration do not differ by the version that wrote them.
    """
    return pa.repeat(pa.scalar(_NEUTRAL.get(name), schema.field(name).type), n)
