"""Functions that read a Parquet file and write it again as other tools do. Each takes the file's path."""

import duckdb
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def pandas(path):
    """Turn integers with gaps into floats, texts into large texts, and drop the type of empty columns."""
    pd.read_parquet(path).to_parquet(path)


def pandas_with_an_index(path):
    pd.read_parquet(path).set_index(["key", "method"]).to_parquet(path, compression="gzip")


def pandas_sorted_and_with_a_note(path):
    """Add two columns: a note, and the index, because it is no range after sorting."""
    pd.read_parquet(path).assign(note="mine").sort_values("key", ascending=False).to_parquet(path)


def pandas_with_its_own_types(path):
    """Turn floats that are whole into integers."""
    pd.read_parquet(path).convert_dtypes().to_parquet(path)


def pandas_with_categories(path):
    frame = pd.read_parquet(path)
    texts = frame.columns[frame.dtypes == "str"]
    frame.astype(dict.fromkeys(texts, "category")).to_parquet(path)


def pandas_in_another_zone(path):
    frame = pd.read_parquet(path)
    for name in frame.columns.intersection(["finished_at"]):
        frame[name] = frame[name].astype("datetime64[ns, UTC]").dt.tz_convert("Asia/Tokyo")
    frame.to_parquet(path)


def polars_(path):
    polars.read_parquet(path).write_parquet(path, compression="zstd")


def polars_with_categories(path):
    frame = polars.read_parquet(path)
    frame.with_columns(polars.selectors.string().cast(polars.Categorical)).write_parquet(path)


def polars_from_pandas(path):
    """Turn a list column without any list into a text column."""
    polars.from_pandas(pd.read_parquet(path)).write_parquet(path)


def polars_narrow(path):
    """Store integers in the fewest bytes that hold all of them."""
    frame = polars.read_parquet(path)
    whole = frame.select(polars.selectors.integer())
    frame.with_columns(*[column.shrink_dtype() for column in whole]).write_parquet(path)


def duckdb_(path):
    duckdb.sql(f"copy (select *, 1 as note from '{path}' order by key desc) to '{path}' (format parquet)")


def duckdb_from_pandas(path):
    frame = pd.read_parquet(path)  # noqa: F841, used by its name below
    duckdb.sql(f"copy (select * from frame) to '{path}' (format parquet, codec zstd)")


def arrow_views(path):
    """Store texts as views, dictionaries, bytes or large texts, times without a zone, and booleans as integers."""
    table = pq.read_table(path)
    others = [pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string()), pa.large_string()]
    for i, field in enumerate(table.schema):
        column = table[i]
        if pa.types.is_string(field.type):
            column = column.cast(others[i % len(others)])
        elif pa.types.is_timestamp(field.type):
            column = column.cast(pa.timestamp("ns"))
        elif pa.types.is_boolean(field.type):
            column = column.cast(pa.uint8())
        table = table.set_column(i, field.name, column)
    pq.write_table(table, path, compression="none")


def arrow_other_fields(path):
    """Reverse the order of the columns, and of the fields of structs."""
    table = pq.read_table(path)
    table = table.select(table.column_names[::-1])
    for i, field in enumerate(table.schema):
        if pa.types.is_struct(field.type):
            whole = table[i].combine_chunks()
            names = [f.name for f in field.type][::-1]
            table = table.set_column(i, field.name, pc.make_struct(*map(whole.field, names), field_names=names))
        elif field.name == "history":
            reverse = pa.list_(pa.struct(list(field.type.value_type)[::-1]))
            table = table.set_column(i, field.name, pa.array(table[i].to_pylist(), reverse))
    pq.write_table(table, path)


WAYS = [
    pandas,
    pandas_with_an_index,
    pandas_sorted_and_with_a_note,
    pandas_with_its_own_types,
    pandas_with_categories,
    pandas_in_another_zone,
    polars_,
    polars_with_categories,
    polars_from_pandas,
    polars_narrow,
    duckdb_,
    duckdb_from_pandas,
    arrow_views,
    arrow_other_fields,
]
