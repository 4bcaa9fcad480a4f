"""The sheet of priors: bits and the bound for each prior on each model (2.2.2, eq. 2.4)."""

from dataclasses import replace

from mtvae.config import UNCONDITIONED
from mtvae.config.generation import STAGE as SAMPLES
from mtvae.config.prior import STAGE
from sweeps.analysis.differences import best_keys
from sweeps.analysis.results import Table
from sweeps.report.tables.cells import THESIS, NumberFormat
from sweeps.report.tables.later_sheet import later_sheet, measured
from sweeps.report.tables.notes import failures
from sweeps.report.tables.sheet import Sheet

METRICS = ("bits_per_code", "perplexity", "bits_per_image", "bound", UNCONDITIONED.name)


def priors_sheet(name: str, table: Table, number_format: NumberFormat = THESIS) -> Sheet:
    """Make a sheet with a line per prior: bits per code and image, the bound, and the model's reconstruction error.

    The sheet of a sweep without priors has no line.
    """
    priors = table.later.get(STAGE)
    if priors is None:
        return Sheet("priors", f"{name}: no priors", ["prior"], [], [False], notes=["no prior of this sweep is done"])
    metrics = measured(priors, METRICS)
    rivals = replace(priors, rows=[row for row in priors.rows if not row.settings.get("prior.labels")])
    marked = {metric: best_keys(rivals, metric) for metric in metrics if metric.startswith("bits")}
    differences = [(row, row.sample("model_difference")) for row in priors.shown]
    differs = [row for row, sample in differences if sample is not None and any(sample.by_fold.values())]
    notes = [
        "a prior is fitted to the training set of its fold",
        *(["perplexity: codes in effective use on the test fold, exp(entropy)"] if "perplexity" in metrics else []),
        "bits: of the test fold's latent space; -log2 p(codes), or KL(q(z|x) || p(z)) for gaussian_vae",
        "bound: nats per image, log p(x|z) less the bits, with the validation set's error as variance (eq. 2.4)",
        *(["bits with prior.labels true are of p(z given class), never marked"] if rivals.rows != priors.rows else []),
        *(["* or bold: significantly the fewest bits of its model's rows"] if any(marked.values()) else []),
        *[f"{priors.label(row)}: a model was trained again and differs from its record" for row in differs],
        *(failures(table.later[SAMPLES], SAMPLES) if SAMPLES in table.later else []),
    ]
    of_output = (UNCONDITIONED.name, "bound")
    return later_sheet("priors", f"{name}: priors", priors, metrics, number_format, notes, marked, of_output)
