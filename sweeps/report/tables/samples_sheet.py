"""The sheet of samples: how many codes they use, and how near they are to the training images."""

from mtvae.config.generation import STAGE
from sweeps.analysis.records import row_record
from sweeps.analysis.results import Table
from sweeps.report.tables.cells import (
    SPREAD_NOTES,
    THESIS,
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

METRICS = {
    "sample_perplexity": "sample perplexity: codes in effective use in the samples, exp(entropy)",
    "perplexity": "perplexity: the same of the test fold's images",
    "sample_distance": "sample distance: of a sample to its nearest training image, root mean square over pixels",
    "test_distance": "test distance: the same of a test image; samples that are much nearer repeat training images",
}
"""The metrics of a line, and their notes below the table."""


def samples_sheet(name: str, table: Table, number_format: NumberFormat = THESIS) -> Sheet:
    """Make a sheet with a line for each prior that samples were drawn from.

    The sheet of a sweep without samples has no line.
    """
    found = table.later.get(STAGE)
    if found is None:
        return Sheet("samples", f"{name}: no samples", ["samples"], [], [False], notes=["no samples are done"])
    head, cells = identity_cells(found)
    metrics = [metric for metric in METRICS if any(row.sample(metric) for row in found.rows)]
    rows = [
        [Cell(text) for text in (*cells(row), folds_text(row), *(metric_text(row, m, number_format) for m in metrics))]
        for row in found.shown
    ]
    return Sheet(
        "samples",
        f"{name}: samples",
        [text.replace("_", " ") for text in (*head, "folds", *metrics)],
        rows,
        [False] * (len(head) + 1) + [True] * len(metrics),
        shared_lines(found),
        breaks(found),
        len(identity(found)[0]),
        [f"mean ± {SPREAD_NOTES[number_format.spread]}", *[METRICS[metric] for metric in metrics], *failures(found)],
        lambda: [row_record(found, row, number_format.scale, metrics) for row in found.shown],
    )
