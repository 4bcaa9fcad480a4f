"""The sheet of samples given pixels: a line for each prior, sampler and count of pixels (2.3, 5.1)."""

from typing import Any

from mtvae.config.generation import STAGE
from sweeps.analysis.records import row_record, sample_record
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import Sample
from sweeps.analysis.table_row import TableRow
from sweeps.report.tables.cells import (
    SPREAD_NOTES,
    THESIS,
    NumberFormat,
    folds_text,
    identity_cells,
    sample_text,
    shared_lines,
)
from sweeps.report.tables.sheet import Cell, Sheet

COLUMN = "given_pixels"
SCORES = {"revealed_error": 6, "hidden_error": 6, "spread": 4, "coverage": 3, "crps": 4}
"""The scores of `mtvae.prior.given_pixels.GivenPixels`, and their decimals."""


def given_pixels_sheet(name: str, table: Table, number_format: NumberFormat = THESIS) -> Sheet:
    """Make a sheet with a line for each row with samples, sampler and count of pixels.

    Rows whose model has no conditioned decoder have no line.
    """
    found = table.later.get(STAGE)
    entries = [] if found is None else [(row, *key) for row in found.shown for key in _conditions(row)]
    if found is None or not entries:
        note = "no row of this sweep has a prior and a conditioned decoder"
        return Sheet("given_pixels", f"{name}: no samples given pixels", ["samples"], [], [False], notes=[note])
    head, cells = identity_cells(found)
    rows: list[list[Cell]] = []
    starts: set[int] = set()
    before: TableRow | None = None
    for row, sampler, count, trained in entries:
        if before is not None and row is not before:
            starts.add(len(rows))
        before = row
        texts = [sample_text(_sample(row, sampler, count, score), n, number_format) for score, n in SCORES.items()]
        rows.append(
            [Cell(t) for t in [*cells(row), sampler, f"{count}{'' if trained else ' †'}", folds_text(row), *texts]]
        )
    return Sheet(
        "given_pixels",
        f"{name}: samples given pixels",
        [*head, "pixels by", "pixels", "folds", *[score.replace("_", " ") for score in SCORES]],
        rows,
        [False] * len(head) + [False, True, False] + [True] * len(SCORES),
        shared_lines(found),
        frozenset(starts),
        len(head),
        [
            f"mean ± {SPREAD_NOTES[number_format.spread]}",
            "z is drawn from the prior, and the pixels are those of test images",
            "† the training never drew this sampler with this many pixels",
            "revealed, hidden error: squared error per pixel of the samples, where pixels are given and elsewhere",
            "spread: standard deviation over the draws of z, at hidden pixels",
            "coverage: share of hidden pixels within the central 90 % of the draws",
            "crps: continuous ranked probability score at hidden pixels; lower is better",
        ],
        lambda: [_record(found, *entry, number_format) for entry in entries],
    )


def _conditions(row: TableRow) -> list[tuple[str, int, bool]]:
    """Return the samplers and counts that a row has, in the order of its records, and whether they were trained."""
    entries = [entry for record in row.folds.values() for entry in record.get(COLUMN) or ()]
    return list(dict.fromkeys((entry["pixels_by"], entry["pixels"], entry["trained"]) for entry in entries))


def _sample(row: TableRow, sampler: str, count: int, score: str) -> Sample | None:
    """Return one score by fold."""
    values = {
        fold: entry[score]
        for fold, record in row.folds.items()
        for entry in record.get(COLUMN) or ()
        if (entry["pixels_by"], entry["pixels"]) == (sampler, count) and entry[score] is not None
    }
    return row.sample_of(values)


def _record(
    found: Table, row: TableRow, sampler: str, count: int, trained: bool, number_format: NumberFormat
) -> dict[str, Any]:
    record = row_record(found, row, number_format.scale, ())
    record |= {"pixels_by": sampler, "pixels": count, "trained": trained}
    for score in SCORES:
        values = sample_record(_sample(row, sampler, count, score))
        record |= {f"{score}_{name}": value for name, value in values.items()}
    return record
