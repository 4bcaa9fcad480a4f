"""What racing over folds saves and what it loses: recorded tables in random orders, and simulated searches.

    python benchmarks/search_replay.py [--searches 2000] [--configurations 60]

A pool is one metric of one family in a recorded table: a matrix (rows, folds). Recorded: each pool's rows are raced in
random orders. Simulated: a row's score is its own mean, plus an effect of the fold that all rows share, plus a
residual, each normal with the standard deviation that an analysis of variance finds in a pool. One row is raced at a
time, fold by fold; the incumbent is the best row so far that has all folds. A rule looks after each fold but the last.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from scipy.stats import wilcoxon

from sweeps.analysis.racing import P_STOP
from sweeps.analysis.results import read_table
from sweeps.ledger.ledger import open_ledger

RESULTS = Path(__file__).parents[1] / "results"
SWEEPS = ("digits", "mnist10k")
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

Rule = Callable[[Numbers, Numbers], Flags]
"""Takes the scores so far, (searches, n), and the incumbents' scores on all folds, (searches, folds), of which smaller
ones are better. Returns which searches stop their configuration."""


def none(own: Numbers, incumbent: Numbers) -> Flags:
    return np.zeros(len(own), bool)


def forgiving(own: Numbers, incumbent: Numbers) -> Flags:
    """`sweeps.analysis.racing.forgiving`, for many searches at once."""
    return np.asarray(own.mean(1) > incumbent.max(1))


def corrected_t(own: Numbers, incumbent: Numbers) -> Flags:
    """`sweeps.analysis.racing.corrected_t`, for many searches at once."""
    n, k = own.shape[1], incumbent.shape[1]
    if n < 2:
        return none(own, incumbent)
    difference = own - incumbent[:, :n]
    error = difference.std(1, ddof=1) * np.sqrt(1 / n + 1 / (k - 1))
    return np.asarray(difference.mean(1) > stdtrit(n - 1, 1 - P_STOP) * error)


def paired_mean(own: Numbers, incumbent: Numbers) -> Flags:
    """Stop where the mean of the differences to the incumbent on the same folds is worse."""
    return np.asarray((own - incumbent[:, : own.shape[1]]).mean(1) > 0)


def wilcoxon_pruner(own: Numbers, incumbent: Numbers) -> Flags:
    """Decide as `optuna.pruners.WilcoxonPruner` does at its default threshold of 0.1.

    With fewer than four folds the least p is 1/8, so nothing can stop.
    """
    if own.shape[1] < 4:
        return none(own, incumbent)
    difference = own - incumbent[:, : own.shape[1]]
    p = wilcoxon(difference, alternative="greater", zero_method="zsplit", axis=1).pvalue
    return np.asarray((p < 0.1) & (own.mean(1) > incumbent.mean(1)))


RULES: Mapping[str, Rule] = {
    "none": none, "forgiving": forgiving, "corrected_t": corrected_t, "paired mean": paired_mean,
    "Wilcoxon": wilcoxon_pruner,
}  # fmt: skip


class Outcome(NamedTuple):
    """How races ended, one entry per search: the share of folds trained, the row that won, whether the best row lost.

    The best row is the one that wins without racing.
    """

    share: Numbers
    chosen: NDArray[np.intp]
    lost: Flags


def race(scores: Numbers, rule: Rule) -> Outcome:
    """Race the rows of each search in their order. `scores`: (searches, rows, folds), smaller is better."""
    searches, rows, folds = scores.shape
    every = np.arange(searches)
    incumbent, best = scores[:, 0], scores[:, 0].mean(1)
    chosen, trained = np.zeros(searches, np.intp), np.full(searches, folds)
    stopped = np.zeros((searches, rows), bool)
    for row in range(1, rows):
        alive = np.ones(searches, bool)
        for fold in range(folds):
            trained += alive
            if fold < folds - 1:
                alive &= ~rule(scores[:, row, : fold + 1], incumbent)
        stopped[:, row] = ~alive
        mean = scores[:, row].mean(1)
        better = alive & (mean < best)
        incumbent = np.where(better[:, None], scores[:, row], incumbent)
        best, chosen = np.where(better, mean, best), np.where(better, row, chosen)
    full = scores.mean(2).argmin(1)
    return Outcome(trained / (rows * folds), chosen, stopped[every, full])


class Deviations(NamedTuple):
    """Standard deviations of a pool: between rows, between folds, and of the residual."""

    row: float
    fold: float
    residual: float


def deviations(pool: Numbers) -> Deviations:
    """Estimate by the two-way analysis of variance without repeats. `pool`: (rows, folds)."""
    rows, folds = pool.shape
    row, fold = pool.mean(1) - pool.mean(), pool.mean(0) - pool.mean()
    residual = pool - pool.mean() - row[:, None] - fold
    error = (residual**2).sum() / ((rows - 1) * (folds - 1))
    between_rows = (row**2).sum() / (rows - 1) - error / folds
    between_folds = (fold**2).sum() / (folds - 1) - error / rows
    return Deviations(*(float(np.sqrt(max(v, 0.0))) for v in (between_rows, between_folds, error)))


def recorded_pools() -> Iterator[tuple[str, Numbers]]:
    """Yield the pools of the recorded tables, (rows, folds), with their names. Every metric is one to minimise."""
    for sweep in SWEEPS:
        table = read_table(open_ledger(RESULTS, sweep))
        for group in table.groups:
            for metric in table.metrics:
                samples = [sample for row in group if (sample := row.sample(metric)) is not None]
                pool = [[value for _, value in sorted(sample.by_fold.items())] for sample in samples]
                yield f"{sweep}, {group[0].family.name}, {metric.replace('_', ' ')}", np.array(pool)


def simulated(
    rng: np.random.Generator, sd: Deviations, searches: int, rows: int, folds: int
) -> tuple[Numbers, Numbers]:
    """Draw the true means, (searches, rows), and scores, (searches, rows, folds), in standard deviations of rows."""
    truth = rng.standard_normal((searches, rows))
    fold = rng.standard_normal((searches, 1, folds)) * (sd.fold / sd.row)
    residual = rng.standard_normal((searches, rows, folds)) * (sd.residual / sd.row)
    return truth, truth[:, :, None] + fold + residual


class Line(NamedTuple):
    """Results of a rule on a pool: share of folds, share of searches that lost the best row, and mean regrets.

    Regret is the mean of the row that won less the best row's, in standard deviations between rows. Of simulated
    searches both are true means, of recorded tables means over the folds. `extra` is the regret less that of the same
    searches without racing, `extra_error` its standard error.
    """

    share: float
    lost: float
    regret: float
    extra: float
    extra_error: float


def lines(scores: Numbers, means: Numbers, row_sd: float = 1.0) -> dict[str, Line]:
    """Race the same searches by every rule. `means`: what a row is worth, (searches, rows)."""
    every = np.arange(len(means))
    without = means[every, race(scores, none).chosen]
    found = {}
    for name, rule in RULES.items():
        outcome = race(scores, rule)
        won = means[every, outcome.chosen]
        extra = (won - without) / row_sd
        regret, error = ((won - means.min(1)) / row_sd).mean(), extra.std() / np.sqrt(len(extra))
        numbers = (outcome.share.mean(), outcome.lost.mean(), regret, extra.mean(), error)
        found[name] = Line(*map(float, numbers))
    return found


def replay(pool: Numbers, orders: int, seed: int = 0) -> dict[str, Line]:
    """Race a recorded pool in random orders of its rows by every rule."""
    rng = np.random.default_rng(seed)
    scores = pool[np.array([rng.permutation(len(pool)) for _ in range(orders)])]
    return lines(scores, scores.mean(2), deviations(pool).row)


def simulate(sd: Deviations, searches: int, rows: int, folds: int = 5, seed: int = 0) -> dict[str, Line]:
    """Race simulated searches by every rule."""
    truth, scores = simulated(np.random.default_rng(seed), sd, searches, rows, folds)
    return lines(scores, truth)


ByPool = Mapping[str, Mapping[str, Line]]
"""Results by pool and rule."""


def summary(by_pool: ByPool) -> Iterator[str]:
    """Yield a line per rule: the mean over the pools, and the range over the pools in brackets."""
    yield "| rule | folds trained, % | best lost, % | regret | regret less none's |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for rule in RULES:
        found = [pool[rule] for pool in by_pool.values()]
        cells = [
            _range([100 * each.share for each in found], 1), _range([100 * each.lost for each in found], 1),
            _range([each.regret for each in found], 3), _range([each.extra for each in found], 3),
        ]  # fmt: skip
        yield f"| {rule} | {' | '.join(cells)} |"


def _range(values: list[float], digits: int) -> str:
    return f"{np.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def pool_lines(by_pool: ByPool) -> Iterator[str]:
    """Yield a line per pool: of every rule that races, folds and lost in percent, and regret less none's."""
    rules = [rule for rule in RULES if rule != "none"]
    yield f"| pool | {' | '.join(rules)} |"
    yield f"| --- |{' ---: |' * len(rules)}"
    for name, pool in by_pool.items():
        cells = [
            f"{100 * each.share:.1f}, {100 * each.lost:.1f}, {each.extra:.3f} ± {each.extra_error:.3f}"
            for each in (pool[rule] for rule in rules)
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=2000)
    parser.add_argument("--configurations", type=int, default=60)
    options = parser.parse_args()
    pools = dict(recorded_pools())
    spreads = {name: deviations(pool) for name, pool in pools.items()}
    print("| pool | rows | fold effect | residual |\n| --- | ---: | ---: | ---: |")
    for name, sd in spreads.items():
        print(f"| {name} | {len(pools[name])} | {sd.fold / sd.row:.2f} | {sd.residual / sd.row:.2f} |")
    recorded = {name: replay(pool, options.searches) for name, pool in pools.items()}
    made = {name: simulate(sd, options.searches, options.configurations) for name, sd in spreads.items()}
    for title, found in (("Recorded", recorded), ("Simulated", made)):
        print(f"\n## {title}\n")
        print("\n".join([*summary(found), "", *pool_lines(found)]))


if __name__ == "__main__":
    main()
