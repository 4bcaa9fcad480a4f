"""A sheet with a line for each row of a later stage, such as a prior: its settings, its folds and its metrics."""

from collections.abc import Collection, Mapping, Sequence

from sweeps.analysis.records import row_record
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.report.tables.cells import (
    SPREAD_NOTES,
    NumberFormat,
    breaks,
    folds_text,
    identity,
    identity_cells,
    metric_text,
    shared_lines,
)
from sweeps.report.tables.notes import failures
from sweeps.report.tables.sheet import Cell, Sheet


def measured(later: Table, metrics: Sequence[str]) -> list[str]:
    """Return the metrics that some row has."""
    return [metric for metric in metrics if any(row.sample(metric) for row in later.rows)]


def later_sheet(
    kind: str,
    title: str,
    later: Table,
    metrics: Sequence[str],
    number_format: NumberFormat,
    notes: Sequence[str],
    marked: Mapping[str, Collection[str]] | None = None,
    of_output: Collection[str] = (),
) -> Sheet:
    """Make the sheet. Below the notes stand the footnotes of methods, and the failed units.

    Args:
        kind: its name.
        later: the stage's rows (`Table.later`).
        notes: below the table, after the note on what stands behind ±.
        marked: the keys of the rows that are marked as best, by metric.
        of_output: the metrics to which the footnote of a method applies.
    """

    def text(row: TableRow, metric: str) -> str:
        footnoted = metric in of_output and row.method.footnote and row.folds
        return metric_text(row, metric, number_format) + (" †" if footnoted else "")

    footnotes = dict.fromkeys(row.method.footnote for row in later.rows) if of_output else {}
    head, cells = identity_cells(later)
    rows = [
        [
            *map(Cell, cells(row)),
            Cell(folds_text(row)),
            *[Cell(text(row, metric), row.key in (marked or {}).get(metric, ())) for metric in metrics],
        ]
        for row in later.shown
    ]
    return Sheet(
        kind,
        title,
        [text.replace("_", " ") for text in (*head, "folds", *metrics)],
        rows,
        [False] * (len(head) + 1) + [True] * len(metrics),
        shared_lines(later),
        breaks(later),
        len(identity(later)[0]),
        [
            f"mean ± {SPREAD_NOTES[number_format.spread]}",
            *notes,
            *[f"†: {footnote}" for footnote in footnotes if footnote],
            *failures(later),
        ],
        lambda: [row_record(later, row, number_format.scale, metrics) for row in later.shown],
    )
