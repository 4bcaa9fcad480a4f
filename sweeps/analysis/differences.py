"""What of a table's differences stands: every row against its baseline, and which row of a model is the best."""

from dataclasses import dataclass

from mtvae.config import CONDITIONED, UNCONDITIONED
from sweeps.analysis.results import Table, TableRow
from sweeps.analysis.statistics import LEVEL, Difference, Sample, difference, holm


@dataclass(frozen=True)
class Comparison:
    """A row less its baseline in one metric; where `difference` is None, `why_not` says why."""

    row: TableRow
    baseline: TableRow | None
    metric: str
    difference: Difference | None
    p_holm: float | None = None
    why_not: str = ""


def baseline_sample(baseline: TableRow, metric: str, scale: str | None = None) -> Sample | None:
    """What a row's metric is held against. A baseline has no condition: its one output stands for both."""
    return baseline.sample(UNCONDITIONED.name if metric == CONDITIONED.name else metric, scale)


def differences(table: Table, scale: str | None = None) -> list[Comparison]:
    """Every row that is no baseline, metric by metric; p is corrected over all rows of a metric (Holm).

    Args:
        scale: of reconstruction errors, as `TableRow.sample`.
    """
    found = []
    for metric in table.metrics:
        compared = [_compare(row, table.baseline(row), metric, scale) for row in table.rows if not row.is_baseline]
        found += _corrected([c for c in compared if c is not None])
    return found


def _compare(row: TableRow, baseline: TableRow | None, metric: str, scale: str | None) -> Comparison | None:
    """None where the row has no such metric."""
    ours = row.sample(metric, scale)
    if ours is None:
        return Comparison(row, baseline, metric, None, why_not="no fold done") if not row.folds else None
    if baseline is None:
        return Comparison(row, None, metric, None, why_not="no row of method none agrees in all other settings")
    theirs = baseline_sample(baseline, metric, scale)
    if theirs is None:
        return Comparison(row, baseline, metric, None, why_not="no fold of the baseline done")
    found = difference(theirs, ours)
    why_not = "no fold on the same images" if found is None else "" if found.p is not None else "one fold in common"
    return Comparison(row, baseline, metric, found, why_not=why_not)


def _corrected(compared: list[Comparison]) -> list[Comparison]:
    """With Holm's correction over those that have a p."""
    raw = [None if c.difference is None else c.difference.p for c in compared]
    adjusted = iter(holm([p for p in raw if p is not None]))
    return [
        Comparison(c.row, c.baseline, c.metric, c.difference, None if p is None else next(adjusted), c.why_not)
        for c, p in zip(compared, raw, strict=True)
    ]


def best(table: Table, metric: str, scale: str | None = None) -> set[str]:
    """The keys of the rows that are the best of their model beyond doubt: complete, of the lowest mean, and lower than
    every other row of the model after Holm's correction. A model with a row that cannot be compared yet has none."""
    found = (_best_of(group, metric, scale) for group in table.groups)
    return {key for key in found if key is not None}


def _best_of(group: list[TableRow], metric: str, scale: str | None) -> str | None:
    if len(group) < 2 or not all(row.folds for row in group):
        return None
    samples = [(row, sample) for row in group if (sample := row.sample(metric, scale)) is not None]
    if len(samples) < 2:
        return None
    (row, lowest), *others = sorted(samples, key=lambda pair: pair[1].mean)
    ps = []
    for _, other in others:
        found = difference(lowest, other)
        if not row.complete or found is None or found.p is None or found.mean <= 0 or found.p >= LEVEL:
            return None  # the nearest comes first: most models end here
        ps.append(found.p)
    return row.key if max(holm(ps)) < LEVEL else None
