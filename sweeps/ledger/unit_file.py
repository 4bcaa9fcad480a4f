"""A Parquet file of units, or of a grid's rows: written, read, and told from a file that is none of ours."""

from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from mtvae.config.setting import NO_VALUE
from sweeps.config.settings import ABOUT, column
from sweeps.config.stages import TRAINING
from sweeps.ledger import casting
from sweeps.ledger.schema import BUILT_IN, FAMILY_COLUMN, REQUIRED, Row, described_schema
from sweeps.ledger.storage import Storage, StorageError
from sweeps.plan.unit import UnitId
from sweeps.text import error_line

_NEUTRAL = {column(path): about.neutral for path, about in ABOUT.items() if about.neutral is not NO_VALUE}
_NEUTRAL["stage"] = TRAINING
_TABULATED = ("collapsed", *[name for metric in BUILT_IN if metric.tabulated for name in metric.columns])


class Damaged(ValueError):
    """What a file holds is not what it should; the message says why."""


@contextmanager
def open_file(storage: Storage, name: str) -> Iterator[pa.NativeFile]:
    """Open a file to read units or rows from it.

    Raises:
        Damaged: its content is not what it should be: the only reason to take it for lost.
        FileNotFoundError, NotADirectoryError: there is no such file.
        StorageError: the machine cannot read it now, or it is a link that leads nowhere. The file may be as good as
            ever.
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
    """A file of rows; columns that they lack are null. Raises KeyError for one that the schema lacks."""
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise KeyError(f"no such columns: {sorted(unknown)}")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema), sink)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def ids(table: pa.Table) -> list[UnitId]:
    """Whose rows these are."""
    return list(zip(table["key"].to_pylist(), table["fold"].to_pylist(), strict=True))


def take_rows(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Some rows. (pyarrow would import pandas, which costs half a second, to make an index of a list.)"""
    buffer = pa.py_buffer(array("q", rows))
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, buffer]))


def first_of_each_key(table: pa.Table) -> pa.Table:
    """The first row of each configuration, in order of appearance: the folds of one share their settings."""
    first: dict[str, int] = {}
    for i, key in enumerate(table["key"].to_pylist()):
        first.setdefault(key, i)
    return take_rows(table, list(first.values()))


def without_units(table: pa.Table, unwanted: Collection[UnitId]) -> pa.Table:
    """The rows of all other units."""
    return take_rows(table, [i for i, id_ in enumerate(ids(table)) if id_ not in unwanted]) if unwanted else table


def read(file: pa.NativeFile, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
    """The asked columns of a file of units, in their order; those of a later version than the file's are null. Where
    `declarations` is asked for, the metrics follow that families of somebody else's have of their own.

    Raises:
        ValueError, pyarrow.ArrowException: it holds something else than units of ours.
    """
    parquet = pq.ParquetFile(file)
    names, own = _columns_to_read(parquet, columns, schema)
    # No threads: one of pyarrow's pool that still holds our bytes when the interpreter ends aborts the process (seen:
    # exit code 134 after a finished sweep).
    return _complete(parquet.read([*names, *(own or ())], use_threads=False), columns, schema, own)


def batches(file: pa.NativeFile, schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """All columns of a file of units, `size` rows at a time. Raises as `read`."""
    parquet = pq.ParquetFile(file)
    names, own = _columns_to_read(parquet, schema.names, schema)
    for batch in parquet.iter_batches(size, columns=[*names, *(own or ())], use_threads=False):
        yield _complete(pa.Table.from_batches([batch]), schema.names, schema, own)


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of several. A column that some lack is null there, and every history has the terms of all."""
    if all(table.schema.equals(tables[0].schema) for table in tables):
        return pa.concat_tables(tables).combine_chunks()
    fields: dict[str, pa.Field] = {}
    for field in (field for table in tables for field in table.schema):
        known = fields.setdefault(field.name, field)
        if field.type != known.type:  # only a history's may differ
            fields[field.name] = known.with_type(_merge_histories(known.type, field.type))
    schema = pa.schema(fields.values())
    return pa.concat_tables([conform(table, schema) for table in tables]).combine_chunks()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a schema: those that it lacks are null, histories take further terms."""
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
    """A history with the fields of both."""
    fields = {field.name: field for type_ in (history, other) for field in type_.value_type}
    return pa.list_(pa.struct(list(fields.values())))


def _required(schema: pa.Schema) -> list[str]:
    """The columns without which a file does not hold what the schema says."""
    return [name for name in (*REQUIRED, "order") if name in schema.names]


FamilyColumns = dict[str, pa.Field]
"""The metrics that families have of their own, as columns."""


def _columns_to_read(
    parquet: pq.ParquetFile, columns: Sequence[str], schema: pa.Schema
) -> tuple[list[str], FamilyColumns | None]:
    """The asked columns that a file has, and the metrics of its own families; None for those of a file of this version,
    whose columns need no second look.

    Raises:
        ValueError: it holds something else than units of ours.
    """
    found, required = parquet.schema_arrow, _required(schema)
    if not set(required) <= set(found.names):
        raise ValueError(f"not a unit: its columns are {', '.join(found.names[:5])}")
    names = [name for name in dict.fromkeys([*required, *columns]) if name in found.names]
    if found.equals(schema):  # all that follows takes half as long as reading the file
        return names, None
    names += [name for name in _mistyped_scores(found, schema) if name not in names]
    own = _family_columns(parquet, schema) if "declarations" in columns else {}
    if twice := [name for name in (*names, *own) if found.names.count(name) > 1]:
        raise ValueError(f"it has two columns {twice[0]}")
    return names, own


def _mistyped_scores(found: pa.Schema, schema: pa.Schema) -> list[str]:
    """The columns of scores that have another type: a table rests on them, so they must fit whatever is asked for. Else
    a run would take for done what no report can read."""
    both = [name for name in _TABULATED if name in schema.names and found.get_field_index(name) >= 0]
    return [name for name in both if found.field(name).type != schema.field(name).type]


def _family_columns(parquet: pq.ParquetFile, schema: pa.Schema) -> FamilyColumns:
    """The metrics that the families in a file have of their own. What is said of its columns is lost where another tool
    has rewritten it: then its declarations tell these metrics from columns that somebody added."""
    found = parquet.schema_arrow
    further = [field for field in found if field.name not in schema.names]
    if marked := {field.name: field for field in further if FAMILY_COLUMN in (field.metadata or {})}:
        return marked
    if not further or "declarations" not in found.names:
        return {}
    try:
        texts = parquet.read(["declarations"], use_threads=False)["declarations"].unique().to_pylist()
        described = described_schema(filter(None, texts))
    except (AttributeError, KeyError, TypeError, ValueError):  # a report says so where it needs them
        return {}
    return {field.name: described.field(field.name) for field in further if field.name in described.names}


def _type_of(field: pa.Field, expected: pa.DataType) -> pa.DataType:
    """The type in which a column is read: a history keeps the further terms that it has, in its own order."""
    if field.name != "history" or not casting.is_any_list(field.type) or not pa.types.is_struct(field.type.value_type):
        return expected
    known = {term.name: term for term in expected.value_type}
    terms = {term.name: known.get(term.name, pa.field(term.name, pa.float64())) for term in field.type.value_type}
    return pa.list_(pa.struct(list((terms | known).values())))


def _complete(table: pa.Table, columns: Sequence[str], schema: pa.Schema, own: FamilyColumns | None) -> pa.Table:
    """The asked columns in their order, then the own ones; where the file has none, the setting's neutral value, or
    null. `own`: as `_columns_to_read` returns it.

    Raises:
        ValueError: a row has no key, fold or settings, or a value does not fit into its column.
    """
    if own is not None:
        table = _cast_columns(table, schema, own)
    if not len(table) or any(table[name].null_count for name in _required(schema)):
        raise ValueError("not a unit: it has no row, or one without key, fold or settings")
    if own is None and table.column_names == list(columns):
        return table
    own = own or {}
    arrays = [table[n] if n in table.column_names else _default_column(n, len(table), schema) for n in (*columns, *own)]
    fields = [own.get(n) or schema.field(n) for n in (*columns, *own)]
    return pa.table(arrays, pa.schema([f.with_type(a.type) for f, a in zip(fields, arrays, strict=True)]))


def _cast_columns(table: pa.Table, schema: pa.Schema, own: FamilyColumns) -> pa.Table:
    """The known columns alone, as they are where this version wrote them, else cast."""
    columns = {}
    for field in table.schema:
        if field.name in own or field.name in schema.names:
            to = pa.float64() if field.name in own else _type_of(field, schema.field(field.name).type)
            column = table[field.name]
            columns[field.name] = column if field.type == to else casting.cast_column(field.name, column, to)
    return pa.table(columns)


def _default_column(name: str, n: int, schema: pa.Schema) -> pa.Array:
    """A column that a file of an earlier version lacks: rows of one configuration must not differ by their age."""
    return pa.repeat(pa.scalar(_NEUTRAL.get(name), schema.field(name).type), n)
