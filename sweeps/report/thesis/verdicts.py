"""Rules: whether a claim holds in the rows of a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.analysis.statistics import LEVEL, Difference, difference, simes
from sweeps.report.thesis.claims import Claim, Direction
from sweeps.report.thesis.pairs import Comparison, Pair, Rows, like_the_thesis

LITTLE = 0.1
"""A change of at most this share of the first value is little."""

SOLID = 2.0
"""A ratio to a mean is shown where the mean is above this many of its standard deviations."""


@dataclass(frozen=True)
class Evidence:
    """Two-sided p-values that a pair, an alternative, a comparison or a claim shows what is claimed, or the contrary.

    None where it cannot be tested: one fold, or an unknown spread.
    """

    for_it: float | None
    against_it: float | None


@dataclass(frozen=True)
class Amount:
    """A difference of `b` to `a`.

    Attributes:
        absolute: on the metric's own scale.
        relative: to `a`; None where some `a` is not above 2 of its standard deviations, and for shares.
        of_shares: the samples are shares, so that `absolute` is in parts of one.
    """

    absolute: float
    relative: float | None
    of_shares: bool


@dataclass(frozen=True)
class Verdict:
    """What a table says of a claim.

    Attributes:
        holds, against, unclear: comparisons that show the claim at 0.05 each, its contrary at 0.05 each, or neither.
        word: the verdict.
        p: of the verdict; None where nothing was tested, as of sizes, which have no spread.
        change: the mean over the pairs with the baseline.
        detectable: the largest of the same pairs' minimal detectable differences (80 % power).
    """

    word: str
    holds: int = 0
    against: int = 0
    unclear: int = 0
    p: float | None = None
    change: Amount | None = None
    detectable: Amount | None = None

    @property
    def counts(self) -> str:
        """Numbers of comparisons that hold, that speak against it, and that are unclear."""
        return f"{self.holds}/{self.against}/{self.unclear}" if self.word != "not measured" else "-"


def judge(claim: Claim, rows: Rows) -> Verdict:
    """Judge a claim in a table's rows.

    "In every comparison" is an intersection-union test (Berger 1982): every comparison is tested at 0.05, and the claim
    holds where each shows it, without a correction inside. Its contrary is shown by any one comparison, so there
    Simes' test corrects for their number.
    """
    alike = [row for row in rows if like_the_thesis(row, claim.any_depth)]
    comparisons = list(claim.comparisons(alike))
    if not comparisons:
        return Verdict("not measured")
    shown = [_of_comparison(comparison, claim.direction) for comparison in comparisons]
    holds = sum(_below_level(e.for_it) for e in shown)
    against = sum(_below_level(e.against_it) for e in shown)
    whole = _all_of(shown)
    if _below_level(whole.for_it):
        controlled = all(any(pair.control for pair in a) for comparison in comparisons for a in comparison)
        word = "no control" if claim.needs_control and not controlled else "holds"
    else:
        word = "does not hold" if _below_level(whole.against_it) else "cannot be told"
    pairs = [pair for comparison in comparisons for alternative in comparison for pair in alternative]
    exact = all(pair.a.sd == pair.b.sd == 0 for pair in pairs)
    known = [] if exact else [p for p in (whole.for_it, whole.against_it) if p is not None]
    amounts = _amounts([pair for pair in pairs if not pair.control])
    return Verdict(word, holds, against, len(shown) - holds - against, min(known, default=None), *amounts)


def _below_level(p: float | None) -> bool:
    return p is not None and p < LEVEL


def _of_pair(pair: Pair, direction: Direction) -> Evidence:
    """Test one pair. Bounds are shares of the first sample's mean over the folds compared."""
    found = difference(pair.a, pair.b)
    if found is None or found.error is None:
        return Evidence(None, None)
    bound = LITTLE * abs(found.base)
    below, above = found.p_below, found.p_above
    if direction == "little":
        within, beyond = (below(bound), above(-bound)), (above(bound), below(-bound))
        return Evidence(max(p for p in within if p is not None), min(p for p in beyond if p is not None))
    if direction == "higher":
        return Evidence(above(0), below(0))
    at = {"lower": 0.0, "slightly higher": bound, "much lower": -bound}[direction]
    return Evidence(below(at), above(at))


def _of_comparison(comparison: Comparison, direction: Direction) -> Evidence:
    """Test that some alternative shows the claim; Simes' test corrects for their number."""
    alternatives = [_all_of([_of_pair(pair, direction) for pair in alternative]) for alternative in comparison]
    for_it = [e.for_it for e in alternatives if e.for_it is not None]
    against_it = [e.against_it for e in alternatives]
    return Evidence(
        simes(for_it) if for_it else None,
        None if None in against_it else max(p for p in against_it if p is not None),  # none of them suffices
    )


def _all_of(shown: Sequence[Evidence]) -> Evidence:
    """Return the evidence that all of several hold, or that some do not (Simes' test)."""
    for_it, against_it = [e.for_it for e in shown], [e.against_it for e in shown if e.against_it is not None]
    return Evidence(
        None if None in for_it else max(p for p in for_it if p is not None),
        simes(against_it) if against_it else None,
    )


def _amounts(pairs: Sequence[Pair]) -> tuple[Amount | None, Amount | None]:
    """Return the mean change of pairs, and the largest of their detectable differences."""
    found = [(pair, difference(pair.a, pair.b)) for pair in pairs]
    known = [(pair, d) for pair, d in found if d is not None]
    if not known:
        return None, None
    shares = any(pair.share for pair, _ in known)
    solid = not shares and all(_solid(pair, d) for pair, d in known)
    mean = math.fsum(d.mean for _, d in known) / len(known)
    change = Amount(mean, math.fsum(d.mean / d.base for _, d in known) / len(known) if solid else None, shares)
    least = [(d.detectable, abs(d.base)) for _, d in known if d.detectable is not None]
    if not least:
        return change, None
    relative = max(value / base for value, base in least) if solid else None
    return change, Amount(max(value for value, _ in least), relative, shares)


def _solid(pair: Pair, found: Difference) -> bool:
    """Whether the first mean is far enough from zero for a ratio to it."""
    return bool(found.base) and (pair.a.sd is None or abs(found.base) > SOLID * pair.a.sd)
