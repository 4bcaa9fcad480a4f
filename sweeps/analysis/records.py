"""Rows of a table and comparisons as records for machines: full precision, no text made of numbers."""

import math
from typing import Any

from sweeps.analysis.differences import Comparison
from sweeps.analysis.results import KEYS, Table, TableRow
from sweeps.analysis.statistics import Sample


def record(table: Table, row: TableRow, scale: str | None = None) -> dict[str, Any]:
    """A row for machines: the settings that tell rows apart, and all statistics at full precision."""
    shown: dict[str, Any] = {"key": row.key}
    shown |= {name: row.settings.get(name) for name in dict.fromkeys([*KEYS, *table.columns])}
    shown |= {
        "folds": len(row.folds),
        "folds_wanted": row.wanted,
        "failed": len(row.failed),
        "collapsed": row.collapsed,
    }
    shown["error_unit"] = scale or row.scale
    for metric in table.metrics:
        values = _sample_record(row.sample(metric, scale))
        shown |= {f"{metric}_{name}": value for name, value in values.items()}
    return _numbers(shown)


def _numbers(shown: dict[str, Any]) -> dict[str, Any]:
    """None for what is no number: a spread of huge values may be infinite, and JSON has no word for it."""
    return {n: None if isinstance(value, float) and not math.isfinite(value) else value for n, value in shown.items()}


def _sample_record(sample: Sample | None) -> dict[str, float | None]:
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


def comparison_record(table: Table, c: Comparison) -> dict[str, Any]:
    """A comparison for machines."""
    shown: dict[str, Any] = {"metric": c.metric, "key": c.row.key}
    shown |= {name: c.row.settings.get(name) for name in dict.fromkeys([*KEYS, *table.columns])}
    shown["baseline_key"] = c.baseline.key if c.baseline else None
    found = c.difference
    shown |= {
        "folds": found.n if found else 0,
        "baseline": found.base if found else None,
        "difference": found.mean if found else None,
        "low": found.low if found else None,
        "high": found.high if found else None,
        "p": found.p if found else None,
        "p_holm": c.p_holm,
        "relative": found.relative if found else None,
        "effect": found.effect if found else None,
        "why_not": c.why_not or None,
    }
    return _numbers(shown)
