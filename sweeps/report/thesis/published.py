"""The published table: E. Zakovskis, *Multitask variational autoencoders* (University of Bergen, 2024), section 4.3.

45 rows, MNIST, 5 folds, 100 epochs, as unrounded means and standard deviations of the author's runs. The thesis prints
population variances behind its "+-", for Gaussian VAEs those of sums over batches, divided by 128 once instead of
twice; here they are right.
"""

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from sweeps.analysis.columns import METRICS
from sweeps.analysis.results import Table, TableRow
from sweeps.analysis.statistics import Sample
from sweeps.ledger.schema import Row
from sweeps.report.tables.cells import decimals, folds_text, number, settings_text
from sweeps.report.tables.sheet import Cell, Sheet

FOLDS = 5
AGREES = 2.0
"""Published fold standard deviations within which two means are said to agree."""

IDENTITY = ("family", "configuration", "method", "sampler", "exponent", "soft_adapt.variant")
"""The settings that the published table tells its rows apart by."""

EVERYWHERE = (
    "the published run, everywhere: contiguous folds, unshuffled batches, one initialisation for all folds, half of "
    "the official test part picked the epoch (grid_thesis_as_run.yaml follows it where settings can)"
)


@dataclass(frozen=True)
class PublishedRow:
    """A row of the published table: its settings under our names, and its cells as samples without folds."""

    settings: Row
    cells: dict[str, Sample]

    def sample(self, metric: str, scale: str | None = None) -> Sample | None:
        """None where it was not published. The unit is the thesis's: per image and nats, or per pixel and element."""
        return self.cells.get(metric)


def _sample(mean: str, fold_sd: str) -> Sample:
    """`fold_sd` is the population's, as the printed variances are."""
    return Sample(float(mean), float(fold_sd) * math.sqrt(FOLDS / (FOLDS - 1)), FOLDS, FOLDS)


def _row(line: dict[str, str]) -> PublishedRow:
    """A line of the file. What is printed for single_decoder is its conditioned reconstruction; the unconditioned mean
    is from a later table of the author's, without a spread: the conditioned's stands in."""
    values = line["sampler"] or None, float(line["exponent_label"]) if line["exponent_label"] else None
    variant = "loss_weighted" if line["soft_adapt"] == "true" else None
    identity = (line["family"], int(line["configuration"]), line["method"], *values, variant)
    printed = _sample(line["reconstruction_mean"], line["reconstruction_fold_sd"])
    latent = _sample(line["latent_loss_mean"], line["latent_loss_fold_sd"])
    cells = {"unconditioned": printed, "latent_loss": latent}
    if line["method"] == "single_decoder":
        plain = _sample(line["unconditioned_reconstruction_mean"], line["reconstruction_fold_sd"])
        cells |= {"unconditioned": plain, "conditioned": printed}
    return PublishedRow(dict(zip(IDENTITY, identity, strict=True)), cells)


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All 45, in the file's order."""
    text = resources.files("sweeps.report.thesis").joinpath("published_table.csv").read_text()
    return tuple(_row(line) for line in csv.DictReader(text.splitlines()))


def counterpart(row: TableRow) -> PublishedRow | None:
    """The published row of the same family, configuration, method, sampler, exponent label and SoftAdapt."""
    mine = {name: row.settings.get(name) for name in IDENTITY}
    return next((published for published in published_rows() if published.settings == mine), None)


def reasons(row: PublishedRow, metric: str) -> list[str]:
    """Why the published run's numbers may differ from what the text describes."""
    s, vq = row.settings, row.settings["family"] == "vqvae"
    soft_adapt = s["soft_adapt.variant"] is not None
    collapsed = vq and soft_adapt and (row.cells["unconditioned"].sd or 0) > 0.01
    known = {
        "no batch normalisation in the VQ stacks": vq,
        "the VQ baseline's decoder widths were the other way round": vq and s["method"] == "none",
        "one convolutional decoder made both VQ outputs": vq and s["method"] == "multi_decoder",
        "exact was 16 pixels at rows and columns 5, 10, 15, 20": s["sampler"] == "exact",
        "uniform was 39 draws with replacement": s["sampler"] == "uniform" and s["method"] == "multi_decoder",
        "SoftAdapt's state went on from fold to fold": soft_adapt,
        "published folds collapsed": collapsed and metric != "latent_loss",
        "the code dropped the exponent: both labels very probably ran at 40": s["exponent"] is not None,
        "the decoder normalised by the batch during evaluation": s["method"] == "single_decoder",
        "its spread is not published, the conditioned's stands in": (
            s["method"] == "single_decoder" and metric == "unconditioned"
        ),
        "0.2 % low, from averaging over a short last batch": not vq,
    }
    return [reason for reason, applies in known.items() if applies]


def verdict(difference_in_sd: float | None, comparable: bool) -> str:
    """In words; a difference of at most two published fold standard deviations agrees."""
    if difference_in_sd is None:
        return "-"
    if not comparable:
        return "other data"
    if abs(difference_in_sd) <= AGREES:
        return "agrees"
    return "lower" if difference_in_sd < 0 else "higher"


def _records(table: Table) -> list[tuple[TableRow, dict[str, Any]]]:
    """Every cell that both tables have."""
    found = []
    for row in table.rows:
        theirs = counterpart(row)
        for metric in METRICS if theirs else ():
            assert theirs is not None
            published, ours = theirs.sample(metric), row.sample(metric)
            if published is None:
                continue
            sds = None if ours is None or not published.sd else (ours.mean - published.mean) / published.sd
            record = {"metric": metric} | theirs.settings | {"key": row.key, "dataset": row.settings["dataset"]}
            record |= {"published": published.mean, "published_sd": published.sd}
            record |= {"ours": ours.mean if ours else None, "ours_sd": ours.sd if ours else None}
            record |= {"folds": len(row.folds), "ratio": ours.mean / published.mean if ours else None}
            record |= {"difference_in_published_sd": sds}
            record["verdict"] = verdict(sds, row.settings["dataset"] == "mnist")
            record["reasons"] = "; ".join(reasons(theirs, metric))
            found.append((row, record))
    return found


def published_sheet(name: str, table: Table) -> Sheet:
    """The published table beside ours, cell by cell: mean ± sample standard deviation of both, their ratio, their
    difference in published standard deviations, a verdict, and the known reasons why they may differ."""
    every = _records(table)
    records = [(row, record) for row, record in every if table.shows(row)]
    known = list(dict.fromkeys(reason for _, r in records for reason in r["reasons"].split("; ") if reason))
    letters = {reason: chr(ord("a") + i) for i, reason in enumerate(known)}
    rows, starts = [], set()
    for i, (row, r) in enumerate(records):
        if i and r["key"] != records[i - 1][1]["key"]:
            starts.add(i)
        digits = decimals(row, r["metric"], None)
        names = ("sampler", "exponent", "soft_adapt.variant")
        cells = [str(r["family"]), str(r["configuration"]), str(r["method"]), settings_text(row, names)]
        cells += [folds_text(row), r["metric"].replace("_", " ")]
        cells += [_pm(r["published"], r["published_sd"], digits), _pm(r["ours"], r["ours_sd"], digits)]
        cells += [number(r["ratio"], 2), number(r["difference_in_published_sd"], 1), r["verdict"]]
        cells += ["".join(letters[reason] for reason in r["reasons"].split("; ") if reason)]
        rows.append([Cell(text) for text in cells])
    head = ["family", "configuration", "method", "settings", "folds", "metric"]
    head += ["published", "ours", "ratio", "in sd", "verdict", "why"]
    shown = [record for _, record in records]
    return Sheet(
        "published",
        f"{name}: beside the published table",
        head,
        rows,
        [False] * 6 + [True] * 4 + [False] * 2,
        breaks=frozenset(starts),
        keys=5,
        notes=[
            *_notes(table, [record for _, record in every]),
            EVERYWHERE,
            *[f"{letter}: {reason}" for reason, letter in letters.items()],
        ],
        make_records=lambda: shown,
    )


def _pm(mean: float | None, sd: float | None, digits: int) -> str:
    if mean is None:
        return "-"
    return f"{mean:.{digits}f} ± {'?' if sd is None else f'{sd:.{digits}f}'}"


def _notes(table: Table, records: list[dict[str, Any]]) -> list[str]:
    here = {record["key"] for record in records}
    missing = len(published_rows()) - len({tuple(r[name] for name in IDENTITY) for r in records})
    notes = [
        "published: E. Zakovskis, Multitask variational autoencoders, University of Bergen, 2024, section 4.3 (MNIST, "
        "5 folds, 100 epochs); mean ± sample standard deviation over the folds, as ours",
        f"in sd: ours less published, in published standard deviations; at most {AGREES:g} agrees",
    ]
    if missing:
        notes.append(f"{missing} of {len(published_rows())} published rows have no row in this sweep")
    if len(here) < len(table.rows):
        notes.append(f"{len(table.rows) - len(here)} rows of this sweep are not in the published table")
    if any(record["dataset"] != "mnist" for record in records):
        notes.append("other data: not MNIST, so only directions can be compared (--show claims)")
    return notes
