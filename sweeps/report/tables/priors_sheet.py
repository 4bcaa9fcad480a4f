"""The sheet of priors: bits and the bound for each prior on each model (2.2.2, eq. 2.4)."""

from dataclasses import replace

from mtvae.config import UNCONDITIONED
from mtvae.config.generation import STAGE as SAMPLES
from mtvae.config.prior import STAGE
from sweeps.analysis.differences import best_keys
from sweeps.analysis.records import row_record
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
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

METRICS = ("bits_per_code", "bits_per_image", "bound", UNCONDITIONED.name)


def priors_sheet(name: str, table: Table, number_format: NumberFormat = THESIS) -> Sheet:
    """Make a sheet with a line per prior: bits per code and image, the bound, and the model's reconstruction error.

    The sheet of a sweep without priors has no line.
    """
    priors = table.later.get(STAGE)
    if priors is None:
        return Sheet("priors", f"{name}: no priors", ["prior"], [], [False], notes=["no prior of this sweep is done"])
    head, cells = identity_cells(priors)
    metrics = [metric for metric in METRICS if any(row.sample(metric) for row in priors.rows)]
    rivals = replace(priors, rows=[row for row in priors.rows if not row.settings.get("prior.labels")])
    marked = {metric: best_keys(rivals, metric) for metric in metrics if metric.startswith("bits")}
    rows = []
    for row in priors.shown:
        numbers = [Cell(_text(row, metric, number_format), row.key in marked.get(metric, ())) for metric in metrics]
        rows.append([*map(Cell, cells(row)), Cell(folds_text(row)), *numbers])
    differences = [(row, row.sample("model_difference")) for row in priors.shown]
    differs = [row for row, sample in differences if sample is not None and any(sample.by_fold.values())]
    return Sheet(
        "priors",
        f"{name}: priors",
        [*[text.replace("_", " ") for text in (*head, "folds", *metrics)]],
        rows,
        [False] * (len(head) + 1) + [True] * len(metrics),
        shared_lines(priors),
        breaks(priors),
        len(identity(priors)[0]),
        [
            f"mean ± {SPREAD_NOTES[number_format.spread]}; a prior is fitted to the training set of its fold",
            "bits: of the test fold's latent space; -log2 p(codes), or KL(q(z|x) || p(z)) for gaussian_vae",
            "bound: nats per image, log p(x|z) less the bits, with the validation set's error as variance (eq. 2.4)",
            *(["bits with prior.labels true are of p(z given class), never marked"] if _given_class(priors) else []),
            *(["* or bold: significantly the fewest bits of its model's rows"] if any(marked.values()) else []),
            *([f"†: {text}" for text in dict.fromkeys(row.method.footnote for row in priors.rows) if text]),
            *[f"{priors.label(row)}: a model was trained again and differs from its record" for row in differs],
            *failures(priors),
            *(failures(table.later[SAMPLES], SAMPLES) if SAMPLES in table.later else []),
        ],
        lambda: [row_record(priors, row, number_format.scale, metrics) for row in priors.shown],
    )


def _text(row: TableRow, metric: str, number_format: NumberFormat) -> str:
    """Return mean ± spread of a metric, marked where it is of a condition that the training never drew."""
    never = metric in (UNCONDITIONED.name, "bound") and row.method.footnote and row.folds
    return metric_text(row, metric, number_format) + (" †" if never else "")


def _given_class(priors: Table) -> bool:
    return any(row.settings.get("prior.labels") for row in priors.rows)
