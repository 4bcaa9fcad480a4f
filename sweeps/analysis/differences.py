"""Significance of differences: each row against its baseline, and the best row of each model."""

from dataclasses import dataclass, replace

from mtvae.config import CONDITIONED, UNCONDITIONED
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import LEVEL, Difference, Sample, difference, holm
from sweeps.analysis.table_row import TableRow


@dataclass(frozen=True)
class Comparison:
    """The difference of a row to its baseline in one metric. `why_not` says why it, or its p, is None.

    A row that a race has stopped, and a row of a stopped baseline, has a difference without interval and p: a race
    stops a row on folds that look bad, so no test on these folds holds.
    """

    row: TableRow
    baseline: TableRow | None
    metric: str
    difference: Difference | None
    p_holm: float | None = None
    why_not: str = ""


def baseline_sample(baseline: TableRow, metric: str, scale: str | None = None) -> Sample | None:
    """Return the sample of a baseline that a row's metric is compared with.

    A baseline has no condition, so both outputs of a row are compared with the baseline's only output.
    """
    return baseline.sample(UNCONDITIONED.name if metric == CONDITIONED.name else metric, scale)


def differences(table: Table, scale: str | None = None) -> list[Comparison]:
    """Return the comparison of each row with its baseline, metric by metric.

    Holm's correction of p is over all rows of a metric.

    Args:
        scale: the scale of reconstruction errors, as in `TableRow.sample`.
    """
    found = []
    for metric in table.metrics:
        compared = [_compare(row, table.baseline(row), metric, scale) for row in table.rows if not row.is_baseline]
        found += _corrected([c for c in compared if c is not None])
    return found


def _compare(row: TableRow, baseline: TableRow | None, metric: str, scale: str | None) -> Comparison | None:
    """Return the comparison of one row without Holm's correction; None if the row has no such metric."""
    own = row.sample(metric, scale)
    if own is None:
        return Comparison(row, baseline, metric, None, why_not="no fold is done") if not row.folds else None
    if baseline is None:
        return Comparison(row, None, metric, None, why_not="no row of method none agrees in all other settings")
    reference = baseline_sample(baseline, metric, scale)
    if reference is None:
        return Comparison(row, baseline, metric, None, why_not="no fold of the baseline is done")
    found = difference(reference, own)
    why_not = ""
    if found is None:
        why_not = "no fold in common on the same images"
    elif found.p is None:
        why_not = "only one fold in common"
    if found is not None and (row.stopped or baseline.stopped):
        found = replace(found, low=None, high=None, p=None, effect=None, error=None)
        why_not = f"a race stopped {'it' if row.stopped else 'the baseline'} before it had all folds"
    return Comparison(row, baseline, metric, found, why_not=why_not)


def _corrected(compared: list[Comparison]) -> list[Comparison]:
    """Return the comparisons with Holm's correction over those that have a p."""
    raw = [None if c.difference is None else c.difference.p for c in compared]
    adjusted = iter(holm([p for p in raw if p is not None]))
    return [
        Comparison(c.row, c.baseline, c.metric, c.difference, None if p is None else next(adjusted), c.why_not)
        for c, p in zip(compared, raw, strict=True)
    ]


def best_keys(table: Table, metric: str, scale: str | None = None) -> set[str]:
    """Return the keys of the rows that are significantly the best of their model.

    Such a row is complete, and its mean is better than that of every other row of the model after Holm's correction. A
    model with a row that cannot be compared yet has no best row. Rows that a race has stopped are left out.
    """
    groups = ([row for row in group if not row.stopped] for group in table.groups)
    found = (_best_key(group, metric, scale) for group in groups)
    return {key for key in found if key is not None}


def _best_key(group: list[TableRow], metric: str, scale: str | None) -> str | None:
    if len(group) < 2 or not all(row.folds for row in group):
        return None
    samples = [(row, sample) for row in group if (sample := row.sample(metric, scale)) is not None]
    if len(samples) < 2:
        return None
    declared = group[0].metric(metric)
    if declared is not None and declared.direction is None:
        return None
    sign = -1 if declared is not None and declared.direction == "higher" else 1
    (row, best), *others = sorted(samples, key=lambda pair: sign * pair[1].mean)
    ps = []
    for _, other in others:
        found = difference(best, other)
        if not row.complete or found is None or found.p is None or sign * found.mean <= 0 or found.p >= LEVEL:
            return None  # the row with the nearest mean comes first, so most models end here
        ps.append(found.p)
    return row.key if max(holm(ps)) < LEVEL else None
