"""The sheet of claims: each with its section, and its verdicts in the published numbers and in ours."""

from collections.abc import Sequence
from typing import Any

from sweeps.analysis.results import Table
from sweeps.analysis.statistics import LEVEL, holm, needed_effect
from sweeps.ledger.schema import UNIT_SCHEMA
from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.report.thesis.claims import CLAIMS
from sweeps.report.thesis.pairs import HEAD_ONLY, like_the_thesis
from sweeps.report.thesis.published import published_rows
from sweeps.report.thesis.verdicts import LITTLE, SOLID, Amount, Verdict, judge
from sweeps.text import count_text

COLUMNS = tuple(
    name
    for name in ("history", "condition_pixels", "active_units", "training_unconditioned_per_pixel",
                 "training_unconditioned_per_image")
    if name in UNIT_SCHEMA.names
)  # fmt: skip
"""The ledger's columns that claims rest on beside those of the table."""

SURVIVES = "*"


def claims_sheet(name: str, table: Table) -> Sheet:
    """Return the sheet of all claims; without a line where no row of the table is one that the thesis speaks of."""
    if not any(map(like_the_thesis, table.shown)):
        note = "no row has a family, sizes and a data set that the thesis speaks of, so its claims are not judged here"
        return Sheet("claims", f"{name}: the thesis's claims", ["section", "claim"], [], [False, False], notes=[note])
    judged = {
        "published": [judge(claim, published_rows()) for claim in CLAIMS],
        "ours": [judge(claim, [row for row in table.shown if not row.stopped]) for claim in CLAIMS],
    }
    survive = {whose: _surviving(verdicts) for whose, verdicts in judged.items()}
    records = [
        {"section": claim.section, "claim": claim.text}
        | {
            f"{whose}_{what}": value
            for whose, verdicts in judged.items()
            for what, value in _record(verdicts[i], survive[whose][i]).items()
        }
        for i, claim in enumerate(CLAIMS)
    ]
    rows = [
        [Cell(claim.section), Cell(claim.text)]
        + [
            Cell(text)
            for whose, verdicts in judged.items()
            for text in _texts(verdicts[i], survive[whose][i], detectable=whose == "ours")
        ]
        for i, claim in enumerate(CLAIMS)
    ]
    head = ["section", "claim", "published", "pairs", "change", "ours", "pairs", "change", "detectable"]
    return Sheet(
        "claims",
        f"{name}: the thesis's claims",
        head,
        rows,
        [False, False, False, True, True, False, True, True, True],
        keys=1,
        notes=_notes(table, judged["ours"]),
        make_records=lambda: records,
    )


def _surviving(verdicts: Sequence[Verdict]) -> list[bool]:
    """Whether each verdict stands after Holm's correction over all tested claims of the sheet."""
    adjusted = iter(holm([v.p for v in verdicts if v.p is not None]))
    return [v.p is not None and next(adjusted) < LEVEL and v.word in ("holds", "does not hold") for v in verdicts]


def _record(verdict: Verdict, survives: bool) -> dict[str, Any]:
    return {
        "verdict": verdict.word,
        "survives_holm": survives,
        "pairs": verdict.counts,
        "p": verdict.p,
        "change": verdict.change and verdict.change.relative,
        "difference": verdict.change and verdict.change.absolute,
        "detectable_change": verdict.detectable and verdict.detectable.relative,
        "detectable_difference": verdict.detectable and verdict.detectable.absolute,
    }


def _texts(verdict: Verdict, survives: bool, detectable: bool) -> list[str]:
    """Return the cells of a verdict; what is detectable is said where a claim cannot be told."""
    found = [verdict.word + SURVIVES * survives, verdict.counts, _text(verdict.change)]
    if detectable:
        found.append(_text(verdict.detectable).lstrip("+") if verdict.word == "cannot be told" else "-")
    return found


def _text(amount: Amount | None) -> str:
    """Write a change in percent, the difference of two shares in points, or a difference on the metric's own scale."""
    if amount is None:
        return "-"
    if amount.relative is not None:
        return f"{100 * amount.relative:+.1f} %"
    return f"{100 * amount.absolute:+.1f} points" if amount.of_shares else f"{amount.absolute:+.4f} abs"


def _notes(table: Table, ours: Sequence[Verdict]) -> list[str]:
    tested = sum(verdict.p is not None for verdict in ours)
    folds = {row.folds_wanted for row in table.shown}
    notes = [
        f"a claim holds where every pair of rows shows it at {LEVEL:g} (an intersection-union test, Berger 1982, no "
        "correction inside a claim); it does not hold where some pair shows the contrary (Simes' test); "
        "otherwise it cannot be told from these folds",
        "pairs: for/against/unclear, each at 0.05; change: mean of the pairs' relative changes, or of their "
        f"differences where some first value is not above {SOLID:g} of its deviations (abs) or a share (points)",
        "detectable: the largest of the pairs' differences that a test at 0.05 finds in 80 % of experiments",
    ]
    if tested and len(folds) == 1 and (k := folds.pop()) > 1:
        notes.append(
            f"{SURVIVES}: survives Holm's correction over the {tested} claims tested here; the first asks for a "
            f"difference of {needed_effect(tested, k, k):.1f} standard deviations of the differences at {k} folds"
        )
    notes += [
        "ours: paired by fold, with the variance of Nadeau and Bengio; published: the same as independent samples, for "
        "its folds are not published",
        "not measured: no rows for it; of the published table also its exponents, whose labels very probably ran at 40",
        f"little, slight, hardly: the 95 % interval within {100 * LITTLE:g} % of the first value; substantially: above",
    ]
    controls = sorted({
        f"family {s['family']}, configuration {s['configuration']}"
        for s in (row.settings for row in table.shown if like_the_thesis(row))
        if s["family"] == "vqvae"
    })  # fmt: skip
    if any(verdict.word == "no control" for verdict in ours):
        notes.append(
            "no control: a VQ-VAE's conditioned decoder has a head (linear, ReLU, batch normalisation) that the "
            f"baseline lacks, so the difference may be the head's; add rows of method {HEAD_ONLY}: "
            f"{'; '.join(controls)}"
        )
    left = len(table.shown) - sum(map(like_the_thesis, table.shown))
    if left:
        notes.append(f"{left} rows of other families, sizes or data sets than the thesis's are not judged")
    if stopped := sum(row.stopped is not None for row in table.shown):
        notes.append(f"not judged because a race stopped them: {count_text(stopped, 'row')}")
    return notes
