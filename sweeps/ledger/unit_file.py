"""A Parquet file of units, or of a grid's rows: written, read, and told from a file that is none of ours."""

from array import array
from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.ledger.schema import REQUIRED, Row, column
from sweeps.plan.identity import NEUTRAL
from sweeps.plan.unit import UnitId

_NEUTRAL = {column(path): value for path, value in NEUTRAL.items()}


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


def take(table: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Some rows. (pyarrow would import pandas, which costs half a second, to make an index of a list.)"""
    buffer = pa.py_buffer(array("q", rows))
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, buffer]))


def without(table: pa.Table, unwanted: Collection[UnitId]) -> pa.Table:
    """The rows of all other units."""
    return take(table, [i for i, id_ in enumerate(ids(table)) if id_ not in unwanted]) if unwanted else table


def read(file: pa.NativeFile, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
    """The asked columns of a file of units, in their order; those of a later version than the file's are null.

    Raises:
        ValueError, pyarrow.ArrowException: it holds something else than units of ours.
    """
    parquet = pq.ParquetFile(file)
    names = _check(parquet.schema_arrow, columns, schema)
    # No threads: one of pyarrow's pool that still holds our bytes when the interpreter ends aborts the process (seen:
    # exit code 134 after a finished sweep).
    return _fill(parquet.read(names, use_threads=False), columns, schema)


def batches(file: pa.NativeFile, schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    """All columns of a file of units, `size` rows at a time. Raises as `read`."""
    parquet = pq.ParquetFile(file)
    names = _check(parquet.schema_arrow, schema.names, schema)
    for batch in parquet.iter_batches(size, columns=names, use_threads=False):
        yield _fill(pa.Table.from_batches([batch]), schema.names, schema)


def _required(schema: pa.Schema) -> list[str]:
    """The columns without which a file does not hold what the schema says."""
    return [name for name in (*REQUIRED, "order") if name in schema.names]


def _check(there: pa.Schema, columns: Sequence[str], schema: pa.Schema) -> list[str]:
    """The asked columns that a file has.

    Raises:
        ValueError: it holds something else than units of ours.
    """
    required = _required(schema)
    if not set(required) <= set(there.names):
        raise ValueError(f"not a unit: its columns are {', '.join(there.names[:5])}")
    names = [name for name in dict.fromkeys([*required, *columns]) if name in there.names]
    if there.equals(schema):  # as any file of this version; the loop takes half as long as reading the file
        return names
    for name in names:
        if there.field(name).type != schema.field(name).type:
            raise ValueError(f"{name} is {there.field(name).type}, not {schema.field(name).type}")
    return names


def _fill(table: pa.Table, columns: Sequence[str], schema: pa.Schema) -> pa.Table:
    """The asked columns in their order; where the file has none, the setting's neutral value, or null.

    Raises:
        ValueError: a row has no key, fold or settings.
    """
    if not len(table) or any(table[name].null_count for name in _required(schema)):
        raise ValueError("not a unit: it has no row, or one without key, fold or settings")
    if table.column_names == list(columns):
        return table
    arrays = [table[n] if n in table.column_names else _absent(n, len(table), schema) for n in columns]
    return pa.table(arrays, pa.schema([schema.field(name) for name in columns]))


def _absent(name: str, n: int, schema: pa.Schema) -> pa.Array:
    """A column that a file of an earlier version lacks: rows of one configuration must not differ by their age."""
    return pa.repeat(pa.scalar(_NEUTRAL.get(name), schema.field(name).type), n)
