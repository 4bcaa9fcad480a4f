"""The sheet of samples: how many codes they use, and how near they are to the training images."""

from mtvae.config.generation import STAGE
from sweeps.analysis.results import Table
from sweeps.report.tables.cells import THESIS, NumberFormat
from sweeps.report.tables.later_sheet import later_sheet, measured
from sweeps.report.tables.sheet import Sheet

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
    samples = table.later.get(STAGE)
    if samples is None:
        return Sheet("samples", f"{name}: no samples", ["samples"], [], [False], notes=["no samples are done"])
    metrics = measured(samples, list(METRICS))
    notes = [METRICS[metric] for metric in metrics]
    return later_sheet("samples", f"{name}: samples", samples, metrics, number_format, notes)
