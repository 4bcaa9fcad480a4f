"""The cells of a sheet: settings, folds and numbers as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mtvae.config import SCALE_DIGITS, Scale
from sweeps.analysis.columns import TABLE_COLUMNS
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import Sample
from sweeps.analysis.table_row import TableRow
from sweeps.config.labels import setting_texts
from sweeps.text import one_line, value_text

Spread = Literal["variance", "sd", "ci95"]
OTHER_DIGITS = 4
HUGE = 1e9

SPREAD_NOTES = {
    "variance": "population variance over the folds",
    "sd": "sample standard deviation over the folds",
    "ci95": "half of the mean's 95 % interval (Student's t; variance corrected by Nadeau and Bengio for k folds)",
}


@dataclass(frozen=True)
class NumberFormat:
    """The spread behind ±, and the scale of reconstruction errors (None: each family's in the thesis)."""

    spread: Spread = "variance"
    scale: Scale | None = None


THESIS = NumberFormat()
"""Mean ± variance, per image or per pixel by family, as the thesis prints its table."""


def setting_text(value: object) -> str:
    """Return a setting as a grid file writes it, on one line and without terminal escapes."""
    return "-" if value is None else one_line(value_text(value))


def settings_text(row: TableRow, names: Sequence[str]) -> str:
    """Return the named settings of a row in words; "-" where none applies."""
    return ", ".join(setting_texts(row.settings, names)) or "-"


def decimals(row: TableRow, metric: str, scale: Scale | None) -> int:
    """Return the number of decimals that a metric declares; 4 for other numbers of the ledger."""
    declared = row.metric(metric)
    if declared is None:
        return OTHER_DIGITS
    return SCALE_DIGITS[scale or row.scale] if declared.scaled else declared.digits


def number(value: float | None, digits: int) -> str:
    """Return a number with this many decimals, a huge one with a power of ten; "-" for None."""
    if value is None:
        return "-"
    return f"{value:.{digits}e}" if abs(value) >= HUGE else f"{value:z.{digits}f}"  # z: no "-0.0"


def metric_text(row: TableRow, metric: str, number_format: NumberFormat) -> str:
    """Return mean ± spread of a metric; "?" stands for the spread of one fold."""
    sample = row.sample(metric, number_format.scale)
    return sample_text(sample, decimals(row, metric, number_format.scale), number_format)


def sample_text(sample: Sample | None, digits: int, number_format: NumberFormat) -> str:
    """Return mean ± spread with this many decimals; "-" without a sample, "?" for the spread of one fold."""
    if sample is None or sample.summary is None:
        return "-"
    if sample.n < 2:
        return f"{number(sample.mean, digits)} ± ?"
    spreads = {"variance": f"{sample.summary.variance:.1e}", "sd": number(sample.sd, digits)}
    return f"{number(sample.mean, digits)} ± {spreads.get(number_format.spread) or number(sample.half_width(), digits)}"


def folds_text(row: TableRow) -> str:
    """Return done/folds_wanted folds, with remarks on failed folds and on folds that saw different images.

    A row that a race has stopped says so.
    """
    remarks = [f"{len(row.failed)} failed"] if row.failed else []
    remarks += [f"{len(row.image_sets)} sets of images"] if len(row.image_sets) > 1 else []
    stopped = ", stopped" if row.stopped else ""
    return f"{len(row.folds)}/{row.folds_wanted}{stopped}" + (f" ({', '.join(remarks)})" if remarks else "")


def shared_lines(table: Table) -> list[str]:
    """Return the settings that all rows share, one line per section."""
    groups: dict[str, list[str]] = {}
    for name, value in table.shared.items():
        section, dot, leaf = name.rpartition(".")
        groups.setdefault(section, []).append(f"{leaf if dot else name} {setting_text(value)}")
    return [(f"{section}: " if section else "") + ", ".join(items) for section, items in groups.items()]


def identity(table: Table) -> tuple[list[str], list[str]]:
    """Return the settings that tell rows apart: those with a column of their own, and those that share one."""
    keys = [name for name in TABLE_COLUMNS if name in table.columns]
    return keys, [name for name in table.columns if name not in TABLE_COLUMNS]


def identity_cells(table: Table) -> tuple[list[str], Callable[[TableRow], list[str]]]:
    """Return the head and a function that makes the cells of the settings that tell rows apart."""
    keys, rest = identity(table)
    head = [*keys, *(["settings"] if rest else [])]

    def cells(row: TableRow) -> list[str]:
        own = [setting_text(row.settings.get(name)) for name in keys]
        return own + ([settings_text(row, rest)] if rest else [])

    return head, cells


def breaks(table: Table) -> frozenset[int]:
    """Return the indices of shown rows at which a new model or method begins."""
    starts, before = set(), None
    for i, row in enumerate(table.shown):
        this = [row.settings.get(name) for name in TABLE_COLUMNS]
        if before is not None and this != before:
            starts.add(i)
        before = this
    return frozenset(starts)
