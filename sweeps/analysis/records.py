"""Rows of a table and comparisons as records for other programs, with all numbers at full precision."""

import math
from collections.abc import Sequence
from typing import Any

from sweeps.analysis.columns import SEPARATE_COLUMNS
from sweeps.analysis.differences import Comparison
from sweeps.analysis.flags import FLAGS, flagged
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import Sample
from sweeps.analysis.table_row import TableRow


def row_record(
    table: Table, row: TableRow, scale: str | None = None, metrics: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the record of a row: the settings that tell rows apart, its folds and flags, and all statistics.

    In a sweep with a search it has the number of the row's suggestion, which is None for a row of the grid.

    Args:
        metrics: those with statistics; None for the table's.
    """
    record: dict[str, Any] = {"key": row.key}
    if table.searched is not None:
        record["suggestion"] = table.searched.numbers.get(row.key)
    record |= {name: row.settings.get(name) for name in dict.fromkeys([*SEPARATE_COLUMNS, *table.columns])}
    record |= {
        "folds": len(row.folds),
        "folds_wanted": row.folds_wanted,
        "failed": len(row.failed),
        "stopped": row.stopped,
    }
    record |= {flag.name: flagged(flag, row) for flag in FLAGS}
    record["error_unit"] = scale or row.scale
    for metric in (*table.metrics, *table.further_metrics) if metrics is None else metrics:
        values = sample_record(row.sample(metric, scale))
        record |= {f"{metric}_{name}": value for name, value in values.items()}
    return _without_infinities(record)


def _without_infinities(record: dict[str, Any]) -> dict[str, Any]:
    """Replace infinite values and NaN by None. JSON has neither, and the spread of huge values may be infinite."""
    return {n: None if isinstance(value, float) and not math.isfinite(value) else value for n, value in record.items()}


def sample_record(sample: Sample | None) -> dict[str, float | None]:
    """Return the statistics of a sample by name; None for each without one."""
    if sample is None or sample.summary is None:
        return dict.fromkeys(("mean", "variance", "sd", "ci95_low", "ci95_high", "median", "min", "max"))
    summary, half = sample.summary, sample.half_width()
    return {
        "mean": summary.mean,
        "variance": summary.variance if summary.n > 1 else None,
        "sd": summary.sd,
        "ci95_low": None if half is None else summary.mean - half,
        "ci95_high": None if half is None else summary.mean + half,
        "median": summary.median,
        "min": summary.minimum,
        "max": summary.maximum,
    }


def comparison_record(table: Table, comparison: Comparison) -> dict[str, Any]:
    """Return the record of a comparison."""
    record: dict[str, Any] = {"metric": comparison.metric, "key": comparison.row.key}
    record |= {name: comparison.row.settings.get(name) for name in dict.fromkeys([*SEPARATE_COLUMNS, *table.columns])}
    record["baseline_key"] = comparison.baseline.key if comparison.baseline else None
    difference = comparison.difference
    record |= {
        "folds": difference.n if difference else 0,
        "baseline": difference.base if difference else None,
        "difference": difference.mean if difference else None,
        "low": difference.low if difference else None,
        "high": difference.high if difference else None,
        "p": difference.p if difference else None,
        "p_holm": comparison.p_holm,
        "relative": difference.relative if difference else None,
        "effect": difference.effect if difference else None,
        "why_not": comparison.why_not or None,
    }
    return _without_infinities(record)
