"""The ledger as pandas frames, for a notebook: `from sweeps import frames; frames.table("quick")`.

Every function takes a sweep's name and the folder of all results (a path, or a URI such as s3://bucket/results). It
raises ReportError (a ValueError) if the sweep does not exist, and warns about files that cannot be read. Whole numbers,
truth values and text may be missing (`<NA>`); a missing real number is NaN. Lists are text, as in a grid file:
"[32, 64]".
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mtvae.config import UNCONDITIONED
from mtvae.config.prior import STAGE as PRIOR
from sweeps.analysis import differences as comparison
from sweeps.analysis.columns import METRICS, own_size_names
from sweeps.analysis.differences import Comparison
from sweeps.analysis.export import ExportKind, export_batches, flat
from sweeps.analysis.flags import FLAGS, history_columns
from sweeps.analysis.images import image_notes
from sweeps.analysis.records import comparison_record, row_record
from sweeps.analysis.results import Table, find_sweeps, read_table
from sweeps.analysis.table_row import TableRow
from sweeps.config.stages import STAGES
from sweeps.ledger.ledger import Damage, Ledger, open_ledger
from sweeps.ledger.schema import UNIT_SCHEMA, Row
from sweeps.text import value_text

Results = str | Path

NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype()}
WHOLE = ("suggestion", "folds", "folds_wanted", "failed", *[flag.name for flag in FLAGS])
TEXT = ("key", "model_key", "stopped", "error_unit", "metric", "baseline_key", "why_not")


def units(sweep: str, results: Results = "results") -> pd.DataFrame:
    """Return one row per done unit, those of earlier grids too.

    The columns are those of the ledger without `history` and `given_pixels`, and one for each seed (`seeds.fold`).
    """
    return _exported(sweep, results, "units")


def curves(sweep: str, results: Results = "results") -> pd.DataFrame:
    """Return one row per done unit and epoch.

    The columns are key, fold, the settings that tell the units apart, and those of the history, which are on the scales
    of the training loss.
    """
    return _exported(sweep, results, "curves")


def given_pixels(sweep: str, results: Results = "results") -> pd.DataFrame:
    """Return one row per done unit with samples given pixels, sampler and number of pixels.

    The scores are those of `mtvae.prior.given_pixels.GivenPixels`; `trained`: the training drew such pixels.
    """
    return _exported(sweep, results, "given_pixels")


def table(sweep: str, results: Results = "results") -> pd.DataFrame:
    """Return one row per configuration of the latest grid.

    The columns are the settings that differ, the folds, and for each metric the mean, population variance, sample
    standard deviation, 95 % interval (Nadeau and Bengio), median and range. `error_unit` says whether the two
    reconstruction errors are per pixel or per image, which is as the thesis prints the family. With one fold the spread
    is missing, and not 0. `stopped` says why a race ended a configuration before it had all folds. `collapsed` and the
    other flags (docs/report.md) count folds, and are missing where the ledger does not tell.
    """
    found = _read(sweep, results)
    rows = [row_record(found, row) for row in found.rows]
    return _frame(rows, rows[0] if rows else {})


def priors(sweep: str, results: Results = "results") -> pd.DataFrame:
    """Return one row per prior of the latest grid, with the columns of `table` and the metrics of its stage.

    `key` is the prior's, and `model_key` its model's. `sweeps.kept.load_generator(sweep, key)` loads both; its method
    `sample` draws images.
    """
    found = _read(sweep, results).later.get(PRIOR)
    rows = [] if found is None else [_prior_record(found, row) for row in found.rows]
    return _frame(rows, rows[0] if rows else {})


def _prior_record(priors: Table, row: TableRow) -> Row:
    metrics = [metric.name for metric in STAGES[PRIOR].metrics]
    own = row_record(priors, row, metrics=[*metrics, UNCONDITIONED.name])
    return {"key": row.key, "model_key": priors.models[row.key], "prior.kind": row.settings["prior.kind"]} | own


def differences(sweep: str, results: Results = "results") -> pd.DataFrame:
    """Return one row per metric and configuration that is no baseline: its difference to the baseline, paired by fold.

    `difference` (on the metric's scale), `low` and `high` (95 %), `relative` (to `baseline`, the baseline's mean: 0.1
    is 10 %) and `effect` (in standard deviations of the differences) rest on `folds` folds. `p` is the two-sided p of
    the corrected t-test, and `p_holm` is corrected over all rows of the metric. `why_not` says why they are missing.
    """
    found = _read(sweep, results)
    rows = [comparison_record(found, c) for c in comparison.differences(found)]
    nothing = [
        Comparison(row, None, METRICS[0], None) for row in found.rows[:1]
    ]  # gives the columns if all rows are baselines
    return _frame(rows, comparison_record(found, nothing[0]) if nothing else {})


def _frame(rows: Sequence[Row], columns: Row) -> pd.DataFrame:
    own: Row = {name: _size_type([row[name] for row in rows]) for name in own_size_names([columns])}
    as_text = [name for name in own if own[name] == pa.string()]
    rows = [row | {name: None if row[name] is None else value_text(row[name]) for name in as_text} for row in rows]
    return _pandas(flat(pa.Table.from_pylist(rows, pa.schema([(n, own.get(n) or _type(n)) for n in columns]))))


def _size_type(values: Sequence[object]) -> pa.DataType:
    """Return the type of a size that only a plug-in has: a number's, or else text."""
    kinds = {type(value) for value in values if value is not None}
    return pa.int64() if kinds == {int} else pa.float64() if kinds <= {int, float} else pa.string()


def _type(name: str) -> pa.DataType:
    """Return the type of a record's column: the ledger's type for a setting, otherwise by the column's name."""
    if name in UNIT_SCHEMA.names and name not in WHOLE:  # `collapsed` is a count here, and not a truth value
        return UNIT_SCHEMA.field(name).type
    return pa.int64() if name in WHOLE else pa.string() if name in TEXT else pa.float64()


def _pandas(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(types_mapper=NULLABLE.get)


def _exported(sweep: str, results: Results, kind: ExportKind) -> pd.DataFrame:
    damaged: Damage = []
    found = pa.concat_tables(export_batches(_ledger(sweep, results), kind, damaged))
    _warn(damaged)
    return _pandas(found)


def _read(sweep: str, results: Results) -> Table:
    ledger = _ledger(sweep, results)
    found = read_table(ledger, extra_columns=history_columns(ledger))
    _warn(found.damaged, [*found.notes, *image_notes(found)])
    return found


def _ledger(sweep: str, results: Results) -> Ledger:
    """Open a sweep's ledger. Raises ReportError if there is no such sweep."""
    (name,) = find_sweeps(str(results), sweep)
    return open_ledger(results, name)


def _warn(damaged: Damage, notes: Sequence[str] = ()) -> None:
    """Warn about each file that could not be read, and with each note, on the line of the user's call."""
    for line in (*[f"not read: {name} ({why})" for name, why in damaged], *notes):
        warnings.warn(line, stacklevel=4)
