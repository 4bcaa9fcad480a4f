"""The sheets made of a sweep's table: rows, statistics over the folds, and differences to the baseline."""

from collections.abc import Sequence

from mtvae.config import CONDITIONED, UNCONDITIONED
from sweeps.analysis.columns import METRICS, SETTING_COLUMNS, TABLE_COLUMNS, own_size_names
from sweeps.analysis.differences import Comparison, best_keys, differences
from sweeps.analysis.flags import BY_NAME, flagged, flags_to_show
from sweeps.analysis.records import comparison_record, row_record
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import LEVEL
from sweeps.analysis.table_row import ReportError, TableRow
from sweeps.ledger.schema import BUILT_IN
from sweeps.report.tables.cells import (
    SPREAD_NOTES,
    THESIS,
    NumberFormat,
    breaks,
    decimals,
    folds_text,
    identity,
    identity_cells,
    metric_text,
    number,
    setting_text,
    settings_text,
    shared_lines,
)
from sweeps.report.tables.notes import notes
from sweeps.report.tables.search_notes import search_notes
from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.text import nearest, one_line

RESULTS = (
    *[metric.name for metric in BUILT_IN], "mean_image_per_pixel", "best_epoch", "parameters", "images_trained",
    "seconds", "resumed", "peak_memory",
)  # fmt: skip
"""Numbers of the ledger that every table may show as a column: mean ± spread over the folds."""

VQ_LOSS, RELATIVE = "latent_loss", "relative_codebook_error"
"""The VQ loss depends on the scale of the encoder's output, so the error that does not stands beside it."""


def default_columns(table: Table) -> list[str]:
    """Return settings that tell rows apart, folds, metrics, and scale and flagged folds where a reader needs them."""
    head, _ = identity_cells(table)
    absent = {CONDITIONED.name} if all(row.is_baseline for row in table.rows) else set()
    metrics = [metric for metric in table.metrics if metric not in absent]
    mixed = len({row.scale for row in table.rows}) > 1
    if RELATIVE in table.further_metrics and VQ_LOSS in metrics:
        metrics.insert(metrics.index(VQ_LOSS) + 1, RELATIVE)
    return [*head, "folds", *metrics, *(["error"] if mixed else []), *flags_to_show(table.rows)]


def _numeric_columns(table: Table) -> list[str]:
    """Return the columns that hold mean ± spread: `RESULTS`, and the metrics of plug-in families and later stages."""
    own = [metric.name for row in table.rows for metric in (*row.family.metrics, *row.stage_metrics.values())]
    return list(dict.fromkeys([*RESULTS, *own]))


def check_columns(table: Table, columns: Sequence[str]) -> None:
    """Raise ReportError for a name that is no column of this table."""
    known = ["settings", "folds", "error", *BY_NAME, *_numeric_columns(table), *SETTING_COLUMNS]
    known += own_size_names(row.settings for row in table.rows)
    for name in columns:
        if name not in known:
            raise ReportError(f"no column {one_line(name)}{nearest(name, known)}")


def more_columns(columns: Sequence[str] | None) -> list[str]:
    """Return those of the columns that `read_table` reads only on request."""
    return [name for name in columns or () if name in RESULTS and name not in METRICS]


def main_sheet(
    name: str, table: Table, number_format: NumberFormat = THESIS, columns: Sequence[str] | None = None
) -> Sheet:
    """Make the thesis's table: a line per configuration, mean ± spread over its folds.

    Args:
        columns: names that `check_columns` accepts; None for `default_columns`.
    """
    numeric = _numeric_columns(table)
    shown = list(columns or default_columns(table))
    marked = {metric: best_keys(table, metric, number_format.scale) for metric in table.metrics if metric in shown}
    rows = [[_cell(table, row, column, number_format, marked) for column in shown] for row in table.shown]
    return Sheet(
        "table",
        name,
        [column.replace("_", " ") for column in shown],
        rows,
        [column in numeric for column in shown],
        shared_lines(table),
        breaks(table),
        next((i for i, column in enumerate(shown) if column not in TABLE_COLUMNS), len(shown)),
        [*notes(table, number_format, shown, any(marked.values())), *search_notes(table)],
        lambda: [row_record(table, row, number_format.scale) for row in table.shown],
    )


def _cell(table: Table, row: TableRow, column: str, number_format: NumberFormat, marked: dict[str, set[str]]) -> Cell:
    if column == "settings":
        return Cell(settings_text(row, identity(table)[1]))
    if column == "folds":
        return Cell(folds_text(row))
    if column == "error":
        return Cell((number_format.scale or row.scale).replace("_", " "))
    if column in BY_NAME:
        return Cell(_flag_text(row, column))
    if column in SETTING_COLUMNS or column in row.settings:
        return Cell(setting_text(row.settings.get(column)))
    text = metric_text(row, column, number_format)
    if column == UNCONDITIONED.name and row.method.footnote and row.folds:
        text += " †"
    return Cell(text, row.key in marked.get(column, ()))


def _flag_text(row: TableRow, name: str) -> str:
    """Return how many folds have a flag; "-" where the ledger does not tell."""
    return setting_text(flagged(BY_NAME[name], row))


def statistics_sheet(name: str, table: Table, number_format: NumberFormat = THESIS) -> Sheet:
    """Make a sheet with a line per configuration and metric: mean, 95 % interval, sd, median, minimum, maximum."""
    head, cells = identity_cells(table)
    rows: list[list[Cell]] = []
    starts = set()
    flags = list(dict.fromkeys(["collapsed", *flags_to_show(table.rows)]))
    for row in table.shown:
        starts.add(len(rows))
        for metric in (*table.metrics, *table.further_metrics):
            sample = row.sample(metric, number_format.scale)
            if sample is None or sample.summary is None:
                continue
            summary, half = sample.summary, sample.half_width()
            digits = decimals(row, metric, number_format.scale)
            interval = (None, None) if half is None else (summary.mean - half, summary.mean + half)
            values = [summary.mean, *interval, summary.sd, summary.median, summary.minimum, summary.maximum]
            texts = [*cells(row), metric.replace("_", " "), folds_text(row), *[number(v, digits) for v in values]]
            rows.append([Cell(text) for text in [*texts, *(_flag_text(row, flag) for flag in flags)]])
    names = ["metric", "folds", "mean", "low", "high", "sd", "median", "min", "max"]
    names += [flag.replace("_", " ") for flag in flags]
    numeric = [False] * (len(head) + 2) + [True] * (len(names) - 2)
    explained = [f"low, high: {SPREAD_NOTES['ci95'].replace('half of the', 'the')}", f"sd: {SPREAD_NOTES['sd']}"]
    return Sheet(
        "statistics", f"{name}: statistics over the folds", head + names, rows, numeric, breaks=frozenset(starts - {0}),
        keys=len(head),
        notes=explained, make_records=lambda: [row_record(table, row, number_format.scale) for row in table.shown],
    )  # fmt: skip


def differences_sheet(name: str, table: Table, number_format: NumberFormat = THESIS) -> Sheet:
    """Make a sheet with a line per metric and configuration: its difference to its baseline, and the significance."""
    head, cells = identity_cells(table)
    compared = [c for c in differences(table, number_format.scale) if table.shows(c.row)]
    rows = [
        [Cell(text) for text in [c.metric.replace("_", " "), *cells(c.row), *_difference_texts(c, number_format)]]
        for c in compared
    ]
    names = ["baseline", "row", "difference", "low", "high", "p (Holm)", "%", "d", "folds"]
    starts = {i for i in range(1, len(compared)) if compared[i].metric != compared[i - 1].metric}
    return Sheet(
        "differences",
        f"{name}: differences to the baseline",
        ["metric", *head, *names],
        rows,
        [False] * (len(head) + 1) + [True] * len(names),
        breaks=frozenset(starts),
        keys=1 + len(identity(table)[0]),
        notes=[
            "difference: row minus baseline, paired by fold; the baseline is the row of method none that agrees in "
            "all other settings; its one output is compared with conditioned too",
            "low, high, p: t-test with the variance of Nadeau and Bengio for k folds; p after Holm's correction over "
            f"all rows of a metric, * below {LEVEL:g}",
            "%: of the baseline; d: difference in standard deviations of the differences (Cohen's d of paired samples)",
        ],
        make_records=lambda: [comparison_record(table, c) for c in compared],
    )


def _difference_texts(c: Comparison, number_format: NumberFormat) -> list[str]:
    difference = c.difference
    if c.baseline is None or difference is None:
        return ["-", "-", c.why_not or "-", "-", "-", "-", "-", "-", "0"]
    digits = decimals(c.row, c.metric, number_format.scale)
    return [
        number(difference.base, digits),
        number(difference.base + difference.mean, digits),
        "+" * (difference.mean >= 0) + number(difference.mean, digits),
        number(difference.low, digits),
        number(difference.high, digits),
        p_text(c.p_holm),
        "-" if difference.relative is None else f"{100 * difference.relative:+.1f}",
        number(difference.effect, 1),
        str(difference.n),
    ]


def p_text(p: float | None) -> str:
    """Return a p-value, with a star where it is significant; "-" for None."""
    if p is None:
        return "-"
    return ("< 0.0001" if p < 1e-4 else f"{p:.4f}") + (" *" if p < LEVEL else "")
