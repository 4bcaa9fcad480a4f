"""Casts of the columns of a file that another tool has rewritten back to our types, without changing a value.

pandas turns integers with gaps into floats, polars turns strings and lists into large ones, DuckDB narrows integers.
"""

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from sweeps.text import error_line

_TEXT = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_binary,
    types.is_large_binary,
    types.is_binary_view,
)
_NUMBER = (types.is_integer, types.is_floating)
_LISTS = (
    types.is_list,
    types.is_large_list,
    types.is_fixed_size_list,
    types.is_list_view,
    types.is_large_list_view,
)


def cast_column(name: str, column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """Cast a column to another type.

    Raises:
        ValueError: a value would change; the message names the column.
    """
    wrong = f"{name} is {column.type}, not {to}"
    try:
        return pa.chunked_array([_cast(chunk, to) for chunk in column.chunks], to)
    except pa.ArrowException as error:
        raise ValueError(f"{wrong}: {error_line(error)}") from error
    except TypeError as error:
        raise ValueError(wrong) from error


def is_any_list(found: pa.DataType) -> bool:
    """Return whether a type is any of Arrow's list types."""
    return any(is_type(found) for is_type in _LISTS)


def _cast(array: pa.Array, to: pa.DataType) -> pa.Array:
    """Cast an array. Raise TypeError for values of another kind, and ArrowException for a value that would change."""
    if array.type == to:
        return array
    if array.null_count == len(array):  # without a value the other tool had to guess the type
        return pa.nulls(len(array), to)
    if types.is_dictionary(array.type):
        return _cast(array.dictionary_decode(), to)
    if types.is_list(to) and is_any_list(array.type):
        return _cast_list(array, to)
    if types.is_struct(to) and types.is_struct(array.type):
        return _cast_struct(array, to)
    if not _is_castable(array.type, to):
        raise TypeError(f"{array.type}, not {to}")
    if types.is_boolean(to) and not pc.all(pc.is_in(array.drop_null(), pa.array([0, 1], array.type))).as_py():
        raise pa.ArrowInvalid("it holds other numbers than 0 and 1")
    if types.is_integer(to) and types.is_floating(array.type):  # NaN is no integer: it marks a gap
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    return array.cast(to)


def _is_castable(found: pa.DataType, to: pa.DataType) -> bool:
    """Return whether one type may be cast to the other. Text never becomes a number, nor a number text."""
    kinds = (_TEXT, _NUMBER, (types.is_timestamp,))
    to_bool = types.is_boolean(to) and any(is_type(found) for is_type in _NUMBER)
    return to_bool or any(
        any(is_type(found) for is_type in kind) and any(is_type(to) for is_type in kind) for kind in kinds
    )


def _cast_list(array: pa.Array, to: pa.ListType) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    values = _cast(array.flatten(), to.value_type)
    return pa.ListArray.from_arrays(offsets.cast(pa.int32()), values, type=to, mask=array.is_null())


def _cast_struct(array: pa.Array, to: pa.StructType) -> pa.Array:
    """Cast the fields by name. A missing field becomes null.

    Raises:
        TypeError: the array has an unknown field that is not all null.
    """
    found = dict(zip((field.name for field in array.type), array.flatten(), strict=True))
    parts = [_cast(found.pop(field.name, pa.nulls(len(array))), field.type) for field in to]
    if any(part.null_count < len(part) for part in found.values()):
        raise TypeError(f"unknown fields: {', '.join(found)}")
    return pa.StructArray.from_arrays(parts, fields=list(to), mask=array.is_null())
