"""What stands in the cells of a sheet: settings, folds and numbers as text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mtvae.config import SCALE_DIGITS, Scale
from sweeps.analysis.columns import SEPARATE_COLUMNS
from sweeps.analysis.results import Table, TableRow
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
    """How numbers are shown. `scale`: of reconstruction errors, None for the thesis's of each family."""

    spread: Spread = "variance"
    scale: Scale | None = None


THESIS = NumberFormat()
"""Mean ± variance, per image or per pixel by family, as the thesis prints its table."""


def setting_text(value: object) -> str:
    """A setting as a grid file has it. A foreign file's text cannot write to the screen through it."""
    return "-" if value is None else one_line(value_text(value))


def settings_text(row: TableRow, names: Sequence[str]) -> str:
    """The settings of a row in a reader's words; "-" where none applies."""
    return ", ".join(setting_texts(row.settings, names)) or "-"


def decimals(row: TableRow, metric: str, scale: Scale | None) -> int:
    """Digits behind the point, as the metric declares them; 4 for other numbers of the ledger."""
    known = row.metric(metric)
    if known is None:
        return OTHER_DIGITS
    return SCALE_DIGITS[scale or row.scale] if known.scaled else known.digits


def number(value: float | None, digits: int) -> str:
    """A number with its digits behind the point, a huge one with a power of ten; "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:.{digits}e}" if abs(value) >= HUGE else f"{value:.{digits}f}"


def metric_text(row: TableRow, metric: str, number_format: NumberFormat) -> str:
    """Mean ± spread; one fold has no spread."""
    sample = row.sample(metric, number_format.scale)
    if sample is None or sample.summary is None:
        return "-"
    digits = decimals(row, metric, number_format.scale)
    if sample.n < 2:
        return f"{number(sample.mean, digits)} ± ?"
    spreads = {"variance": f"{sample.summary.variance:.1e}", "sd": number(sample.sd, digits)}
    return f"{number(sample.mean, digits)} ± {spreads.get(number_format.spread) or number(sample.half_width(), digits)}"


def folds_text(row: TableRow) -> str:
    """Done folds of those wanted, how many failed, and whether they saw different images."""
    remarks = [f"{len(row.failed)} failed"] if row.failed else []
    remarks += [f"{len(row.image_sets)} sets of images"] if len(row.image_sets) > 1 else []
    return f"{len(row.folds)}/{row.folds_wanted}" + (f" ({', '.join(remarks)})" if remarks else "")


def shared_lines(table: Table) -> list[str]:
    """The settings that all rows share, a line per group."""
    groups: dict[str, list[str]] = {}
    for name, value in table.shared.items():
        section, dot, leaf = name.rpartition(".")
        groups.setdefault(section, []).append(f"{leaf if dot else name} {setting_text(value)}")
    return [(f"{section}: " if section else "") + ", ".join(items) for section, items in groups.items()]


def identity(table: Table) -> tuple[list[str], list[str]]:
    """The settings that tell the rows apart: those with a column of their own, and those that share one."""
    keys = [name for name in SEPARATE_COLUMNS if name in table.columns]
    return keys, [name for name in table.columns if name not in SEPARATE_COLUMNS]


def identity_cells(table: Table) -> tuple[list[str], Callable[[TableRow], list[str]]]:
    """The head and the cells that say which row it is."""
    keys, rest = identity(table)
    head = [*keys, *(["settings"] if rest else [])]

    def cells(row: TableRow) -> list[str]:
        own = [setting_text(row.settings.get(name)) for name in keys]
        return own + ([settings_text(row, rest)] if rest else [])

    return head, cells


def breaks(table: Table) -> frozenset[int]:
    """The places of rows at which a new model or method begins."""
    found, seen = set(), None
    for i, row in enumerate(table.shown):
        this = [row.settings.get(name) for name in SEPARATE_COLUMNS]
        if seen is not None and this != seen:
            found.add(i)
        seen = this
    return frozenset(found)
