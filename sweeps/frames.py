"""The ledger as pandas frames, for a notebook: `from sweeps import frames; frames.table("quick")`.

Every function takes a sweep's name and the folder of all results (a path, or a URI such as s3://bucket/results), raises
ReportError (a ValueError) for a sweep that is not there, and warns of files that cannot be read. Whole numbers, truth
values and text may be missing (`<NA>`); a missing real number is NaN. Lists are text, as in a grid file: "[32, 64]".
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from sweeps.analysis import differences as comparison
from sweeps.analysis.differences import Comparison
from sweeps.analysis.export import What, flat, parts
from sweeps.analysis.images import image_notes
from sweeps.analysis.records import comparison_record, record
from sweeps.analysis.results import METRICS, Table, find, read_table
from sweeps.ledger.ledger import Damage, Ledger, open_ledger
from sweeps.ledger.schema import UNIT_SCHEMA, Row

Results = str | Path

NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
WHOLE = ("folds", "folds_wanted", "failed", "collapsed")
TEXT = ("key", "error_unit", "metric", "baseline_key", "why_not")


def units(sweep: str, results: Results = "results") -> pd.DataFrame:
    """A row per done unit, those of earlier grids too: every column of the ledger but `history`, the seeds one by one
    (`seeds.fold`)."""
    return _exported(sweep, results, "units")


def curves(sweep: str, results: Results = "results") -> pd.DataFrame:
    """A row per done unit and epoch: key, fold, the settings that tell the units apart, and the history's columns, in
    the training loss's units."""
    return _exported(sweep, results, "curves")


def table(sweep: str, results: Results = "results") -> pd.DataFrame:
    """A row per configuration of the latest grid: its settings, as far as they differ, its folds, and of each metric
    the mean, population variance, sample standard deviation, 95 % interval (Nadeau and Bengio), median and range.

    `error_unit` says whether its two reconstruction errors are per pixel or per image, as the thesis prints the family.
    A spread that one fold does not tell is missing, and not 0.
    """
    found = _read(sweep, results)
    rows = [record(found, row) for row in found.rows]
    return _frame(rows, rows[0] if rows else {})


def differences(sweep: str, results: Results = "results") -> pd.DataFrame:
    """A row per configuration that is no baseline, and metric: how it differs from its baseline, fold by fold.

    `difference` (on the metric's scale), `low` and `high` (95 %), `relative` (to `baseline`, its mean: 0.1 is 10 %) and
    `effect` (in standard deviations of the differences) rest on `folds` folds; `p` is two-sided, of the corrected
    t-test, and `p_holm` corrected over all rows of the metric. Where there is none, `why_not` says why.
    """
    found = _read(sweep, results)
    rows = [comparison_record(found, c) for c in comparison.differences(found)]
    nothing = [Comparison(row, None, METRICS[0], None) for row in found.rows[:1]]  # columns, where all are baselines
    return _frame(rows, comparison_record(found, nothing[0]) if nothing else {})


def _frame(rows: Sequence[Row], columns: Row) -> pd.DataFrame:
    return _pandas(flat(pa.Table.from_pylist(rows, pa.schema([(name, _type(name)) for name in columns]))))


def _type(name: str) -> pa.DataType:
    """Of a column of a record: a setting's own, else by what the record is known to hold."""
    if name in UNIT_SCHEMA.names and name not in WHOLE:  # `collapsed` is a count here, and not a truth value
        return UNIT_SCHEMA.field(name).type
    return pa.int64() if name in WHOLE else pa.string() if name in TEXT else pa.float64()


def _pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=NULLABLE.get)


def _exported(sweep: str, results: Results, what: What) -> pd.DataFrame:
    damaged: Damage = []
    found = pa.concat_tables(parts(_ledger(sweep, results), what, damaged))
    _warn(damaged)
    return _pandas(found)


def _read(sweep: str, results: Results) -> Table:
    found = read_table(_ledger(sweep, results))
    _warn(found.damaged, [*found.notes, *image_notes(found)])
    return found


def _ledger(sweep: str, results: Results) -> Ledger:
    """Raises ReportError where there is no such sweep."""
    (name,) = find(str(results), sweep)
    return open_ledger(results, name)


def _warn(damaged: Damage, notes: Sequence[str] = ()) -> None:
    """Of each file that could not be read, on the caller's line."""
    for line in (*[f"not read: {name} ({why})" for name, why in damaged], *notes):
        warnings.warn(line, stacklevel=4)
