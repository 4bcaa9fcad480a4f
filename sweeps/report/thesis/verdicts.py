"""Whether the thesis's claims hold: in its published numbers, and in a table of ours."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sweeps.analysis.results import Table
from sweeps.analysis.statistics import LEVEL, difference, holm, variance_ratio
from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.report.thesis.claims import CLAIMS, Claim, Direction, Pair, Rows
from sweeps.report.thesis.published import published_rows

LITTLE = 0.1
"""A change of at most this share of the first value is little."""

State = Literal["holds", "against", "open"]


@dataclass(frozen=True)
class Verdict:
    """Of one claim in one table: how many pairs hold, speak against it, or do not tell; the mean relative change."""

    holds: int
    against: int
    open: int
    change: float | None

    @property
    def word(self) -> str:
        """A claim holds where it holds in every pair, and does not where a pair speaks against it."""
        if not self.holds + self.against + self.open:
            return "not measured"
        if self.against:
            return "does not hold"
        return "cannot be told" if self.open else "holds"

    @property
    def counts(self) -> str:
        """Pairs that hold, that speak against, that do not tell."""
        return f"{self.holds}/{self.against}/{self.open}" if self.holds + self.against + self.open else "-"


def judge(claim: Claim, rows: Rows) -> Verdict:
    """A claim in a table's rows; p-values are corrected over its pairs (Holm)."""
    pairs = list(claim.pairs(rows))
    states = _steadier(pairs) if claim.direction == "steadier" else _moved(pairs, claim.direction)
    changes = [_change(pair, claim.direction) for pair in pairs]
    known = [change for change in changes if change is not None]
    mean = math.fsum(known) / len(known) if known else None
    return Verdict(states.count("holds"), states.count("against"), states.count("open"), mean)


def _change(pair: Pair, direction: Direction) -> float | None:
    """b relative to a: of the values, for "steadier" of the standard deviations."""
    a, b = pair
    if direction == "steadier":
        ratio = variance_ratio(a, b)
        return None if ratio is None else math.sqrt(ratio[0]) - 1
    found = difference(a, b)
    return None if found is None else found.relative


def _moved(pairs: Sequence[Pair], direction: Direction) -> list[State]:
    differences = [difference(a, b) for a, b in pairs]
    if direction == "little":
        return [_little(found.low, found.high, found.base) if found else "open" for found in differences]
    wanted = -1 if direction == "lower" else 1
    return _states((found.p, found.mean * wanted > 0) if found else (None, False) for found in differences)


def _little(low: float | None, high: float | None, base: float) -> State:
    """The whole 95 % interval within the bounds, the whole outside, or neither."""
    if low is None or high is None:
        return "open"
    bound = LITTLE * abs(base)
    if -bound <= low and high <= bound:
        return "holds"
    return "against" if low > bound or high < -bound else "open"


def _steadier(pairs: Sequence[Pair]) -> list[State]:
    found = [variance_ratio(a, b) for a, b in pairs]
    return _states((None, False) if ratio is None else (ratio[1], ratio[0] < 1) for ratio in found)


def _states(tested: Iterable[tuple[float | None, bool]]) -> list[State]:
    """From (p, whether the direction is the claimed one)."""
    tested = list(tested)
    adjusted = iter(holm([p for p, _ in tested if p is not None]))
    return [
        "open" if p is None or next(adjusted) >= LEVEL else "holds" if claimed else "against" for p, claimed in tested
    ]


def claims_sheet(name: str, table: Table) -> Sheet:
    """Every claim with its section, and its verdict in the published numbers and in ours."""
    records = []
    for claim in CLAIMS:
        record: dict[str, Any] = {"section": claim.section, "claim": claim.text}
        for whose, verdict in (("published", judge(claim, published_rows())), ("ours", judge(claim, table.shown))):
            record |= {f"{whose}_verdict": verdict.word, f"{whose}_pairs": verdict.counts}
            record[f"{whose}_change"] = verdict.change
        records.append(record)
    head = ["section", "claim", "published", "pairs", "change", "ours", "pairs", "change"]
    rows = [
        [Cell(r["section"]), Cell(r["claim"])]
        + [
            Cell(text)
            for whose in ("published", "ours")
            for text in (r[f"{whose}_verdict"], r[f"{whose}_pairs"], _percent(r[f"{whose}_change"]))
        ]
        for r in records
    ]
    return Sheet(
        "claims",
        f"{name}: the thesis's claims",
        head,
        rows,
        [False, False, False, True, True, False, True, True],
        keys=1,
        notes=[
            f"a claim holds where every pair of rows shows it at {LEVEL:g} after Holm's correction, does not hold "
            "where a pair shows the contrary, and else cannot be told from these folds",
            "pairs: hold/against/open; change: the mean of the pairs' relative changes (for steadier: of the standard "
            "deviation over the folds)",
            "ours: paired by fold, with the variance of Nadeau and Bengio; published: the same as independent samples, "
            "for its folds are not published",
            f"little: the 95 % interval within {100 * LITTLE:g} % of the first value; steadier: an F-test, which takes "
            "the folds as independent",
        ],
        make_records=lambda: records,
    )


def _percent(change: float | None) -> str:
    return "-" if change is None else f"{100 * change:+.1f} %"
