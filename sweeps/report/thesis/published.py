"""The published table: E. Zakovskis, *Multitask variational autoencoders* (University of Bergen, 2024), section 4.3.

45 rows, MNIST, 5 folds, 100 epochs, as unrounded means and standard deviations of the author's runs. The thesis prints
population variances behind its "+-", for Gaussian VAEs those of sums over batches, divided by 128 once instead of
twice; here they are right.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from sweeps.analysis.columns import METRICS
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import Sample, difference
from sweeps.analysis.table_row import TableRow
from sweeps.ledger.schema import Row
from sweeps.report.tables.cells import decimals, folds_text, number, setting_text, settings_text
from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.report.thesis.pairs import MNIST, like_the_thesis

FOLDS, EPOCHS = 5, 100

MARGINS = {"gaussian_vae": 1.1, "vqvae": 1.5}
"""Factors within which two means are equivalent, chosen before any comparison was looked at."""

ROUNDED = "~"
ROUNDED_DIGITS = {"gaussian_vae": 2, "vqvae": 4}
NOT_COMPARABLE = "not comparable"

IDENTITY = ("family", "configuration", "method", "sampler", "exponent", "soft_adapt.variant")
"""The settings that the published table tells its rows apart by."""

AS_PUBLISHED = {"loss.latent_weight": 1.0, "model.codebook_init": "uniform"}
"""Settings at which the published run trained, in our terms: rows with other values are other experiments."""

EVERYWHERE = (
    "the published run, everywhere: contiguous folds, unshuffled batches, one initialisation for all folds, half of "
    "the official test part picked the epoch (grid_thesis_as_run.yaml follows it where settings can)"
)


@dataclass(frozen=True)
class PublishedRow:
    """A row of the published table: its settings under our names, and its cells as samples without folds."""

    settings: Row
    cells: dict[str, Sample]
    rounded: frozenset[str] = frozenset()
    """The metrics whose means were published rounded to the digits of the printed table."""

    def sample(self, metric: str, scale: str | None = None) -> Sample | None:
        """None where it was not published. The unit is the thesis's: per image and nats, or per pixel and element."""
        return self.cells.get(metric)


def _sample(mean: str, fold_sd: str) -> Sample:
    """`fold_sd` is the population's, as the printed variances are."""
    return Sample(float(mean), float(fold_sd) * math.sqrt(FOLDS / (FOLDS - 1)), FOLDS, FOLDS)


def _row(line: dict[str, str]) -> PublishedRow:
    """Read a line of the file.

    The printed reconstruction of single_decoder is the conditioned one. Its unconditioned mean is from a later table of
    the author's, without a spread, so the conditioned spread stands in.
    """
    values = line["sampler"] or None, float(line["exponent_label"]) if line["exponent_label"] else None
    variant = "loss_weighted" if line["soft_adapt"] == "true" else None
    identity = (line["family"], int(line["configuration"]), line["method"], *values, variant)
    printed = _sample(line["reconstruction_mean"], line["reconstruction_fold_sd"])
    latent = _sample(line["latent_loss_mean"], line["latent_loss_fold_sd"])
    cells = {"unconditioned": printed, "latent_loss": latent}
    if line["method"] == "single_decoder":
        plain = _sample(line["unconditioned_reconstruction_mean"], line["reconstruction_fold_sd"])
        cells |= {"unconditioned": plain, "conditioned": printed}
        return PublishedRow(dict(zip(IDENTITY, identity, strict=True)), cells, frozenset({"unconditioned"}))
    return PublishedRow(dict(zip(IDENTITY, identity, strict=True)), cells)


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All 45, in the file's order."""
    text = resources.files("sweeps.report.thesis").joinpath("published_table.csv").read_text()
    return tuple(_row(line) for line in csv.DictReader(text.splitlines()))


def counterpart(row: TableRow) -> PublishedRow | None:
    """Return the published row of the same family, sizes, method, sampler, exponent label and SoftAdapt.

    None where there is none, and for rows of other data than MNIST.
    """
    if row.settings.get("dataset", MNIST) != MNIST or not like_the_thesis(row):
        return None
    mine = {name: row.settings.get(name) for name in IDENTITY}
    return next((published for published in published_rows() if published.settings == mine), None)


def collapsed(row: PublishedRow, metric: str) -> bool:
    """Whether folds of a published row collapsed: VQ-VAEs with SoftAdapt whose errors spread over a factor of ten."""
    wide = (row.cells["unconditioned"].sd or 0) > 0.01
    return row.settings["family"] == "vqvae" and wide and metric != "latent_loss"


def reasons(row: PublishedRow, metric: str) -> list[str]:
    """Why the published run's numbers may differ from what the text describes."""
    s, vq = row.settings, row.settings["family"] == "vqvae"
    soft_adapt = s["soft_adapt.variant"] is not None
    known = {
        "no batch normalisation in the VQ stacks": vq,
        "the VQ baseline's decoder widths were the other way round": vq and s["method"] == "none",
        "one convolutional decoder made both VQ outputs": vq and s["method"] == "multi_decoder",
        "exact was 16 pixels at rows and columns 5, 10, 15, 20": s["sampler"] == "exact",
        "uniform was 39 draws with replacement": s["sampler"] == "uniform" and s["method"] == "multi_decoder",
        "SoftAdapt's state went on from fold to fold": soft_adapt,
        "published folds collapsed": collapsed(row, metric),
        "the code dropped the exponent: both labels very probably ran at 40": s["exponent"] is not None,
        "the decoder normalised by the batch during evaluation": s["method"] == "single_decoder",
        "its spread is not published, the conditioned's stands in": (
            s["method"] == "single_decoder" and metric == "unconditioned"
        ),
        "0.2 % low, from averaging over a short last batch": not vq,
    }
    return [reason for reason, applies in known.items() if applies]


def why_not_comparable(row: TableRow, theirs: PublishedRow, metric: str) -> str:
    """Return what a cell of ours lacks to be compared with the published one; empty where it is comparable."""
    s = row.settings
    if s.get("data.limit") is not None:
        return f"{s['data.limit']:,} images"
    if s["training.epochs"] != EPOCHS:
        return f"{s['training.epochs']} epochs"
    if changed := [p for p, value in AS_PUBLISHED.items() if s.get(p) not in (None, value)]:
        return " and ".join(f"{path} {setting_text(s[path])}" for path in changed)
    if s["folds.n_splits"] != FOLDS or not row.complete:
        return folds_text(row) + ("" if row.stopped else " folds")
    return "collapsed folds" if collapsed(theirs, metric) else ""


def equivalence(published: Sample, ours: Sample, factor: float) -> str:
    """Judge whether two means are the same but for a factor, by the 95 % interval of the logarithm of their ratio.

    The interval has the spread of both runs (delta method, Nadeau and Bengio's variance, the fewest degrees of freedom
    that Welch's may have): "agrees" where it lies within the factor, "lower" or "higher" where it lies beyond, else
    "cannot be told".
    """
    if not (published.mean > 0 and ours.mean > 0) or published.sd is None or ours.sd is None:
        return "cannot be told"
    log = [Sample(math.log(s.mean), s.sd / s.mean, s.n, s.k) for s in (published, ours) if s.sd is not None]
    found = difference(*log)
    if found is None or found.low is None or found.high is None:
        return "cannot be told"
    bound = math.log(factor)
    if -bound <= found.low and found.high <= bound:
        return "agrees"
    return "higher" if found.low > bound else "lower" if found.high < -bound else "cannot be told"


def _records(table: Table) -> list[tuple[TableRow, dict[str, Any]]]:
    """Return a record of every cell that both tables have."""
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
            record["rounded"] = metric in theirs.rounded
            why_not = why_not_comparable(row, theirs, metric)
            if ours is None or why_not:
                record["verdict"] = f"{NOT_COMPARABLE}: {why_not}" if why_not else "-"
            else:
                record["verdict"] = equivalence(published, ours, MARGINS[theirs.settings["family"]])
            record["reasons"] = "; ".join(reasons(theirs, metric))
            found.append((row, record))
    return found


def published_sheet(name: str, table: Table) -> Sheet:
    """Make the sheet of the published table beside ours, cell by cell.

    It has mean ± sample standard deviation of both, their ratio, their difference in published standard deviations, a
    verdict, and the known reasons why they may differ.
    """
    every = _records(table)
    if not every:
        note = f"no row of this sweep is in the published table ({len(published_rows())} rows on MNIST)"
        return Sheet("published", f"{name}: beside the published table", ["row"], [], [False], notes=[note])
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
        cells += [_published_text(r, digits)]
        cells += [_pm(r["ours"], r["ours_sd"], digits)]
        sds = None if r["verdict"].startswith(NOT_COMPARABLE) else r["difference_in_published_sd"]
        cells += [number(r["ratio"], 2), number(sds, 1), r["verdict"]]
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


def _published_text(record: Mapping[str, Any], digits: int) -> str:
    """Write a published cell, a rounded mean with the digits that it has."""
    if not record["rounded"]:
        return _pm(record["published"], record["published_sd"], digits)
    mean = f"{record['published']:.{ROUNDED_DIGITS[record['family']]}f}"
    return f"{ROUNDED}{mean} ± {record['published_sd']:.{digits}f}"


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
        "in sd: ours less published, in published standard deviations",
        f"agrees: the 95 % interval of the ratio, with the spread of both runs, lies within a factor of "
        f"{MARGINS['gaussian_vae']:g} (Gaussian) or {MARGINS['vqvae']:g} (VQ); only complete rows of all images, "
        f"{FOLDS} folds and {EPOCHS} epochs are compared",
    ]
    if any(record["rounded"] for record in records):
        notes.append(f"{ROUNDED}: published rounded to the digits shown")
    if missing:
        notes.append(f"{missing} of {len(published_rows())} published rows have no row in this sweep")
    if len(here) < len(table.rows):
        notes.append(f"{len(table.rows) - len(here)} rows of this sweep are not in the published table")
    return notes
