"""How often the rules of the claims sheet are wrong: verdicts on simulated tables of known truth.

    python benchmarks/verdict_rates.py [--tables 2000]

Each table has a conjunction of four comparisons of rows over 5 folds. The score of a fold is normal, and the folds of a
pair's difference correlate as those of a cross-validation do, because their training sets overlap. Of every rule for
which a claim holds, three comparisons are far in the claimed direction and one lies where the claim just does not hold:
a claim that "holds" there is false. Where no comparison differs, "does not hold" is false.
"""

import argparse
from collections.abc import Sequence
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sweeps.analysis.statistics import Sample
from sweeps.report.thesis.claims import Claim, Direction
from sweeps.report.thesis.pairs import Comparison, Pair, ends_of_trend
from sweeps.report.thesis.verdicts import LITTLE, judge

FOLDS = 5
BASE = 1000.0  # mean of the first rows, in standard deviations of a fold's difference
FAR = 10.0
CORRELATIONS = (0.0, 0.2, 0.278, 0.4)
"""0.2 is what Nadeau and Bengio's variance assumes at 5 folds; 0.278 was measured on this kind of split."""

EXPONENTS = (20.0, 40.0, 60.0)
Numbers = NDArray[np.float64]


def folds(rng: np.random.Generator, correlation: float, mean: float = 0.0) -> Numbers:
    """Draw a number for every fold, (folds,): variance one, the same correlation between any two folds."""
    shared = rng.standard_normal() * np.sqrt(correlation)
    return np.asarray(mean + shared + rng.standard_normal(FOLDS) * np.sqrt(1 - correlation))


def sample(values: Numbers) -> Sample:
    """Return the sample of a row's scores by fold."""
    return Sample.of_folds(dict(enumerate(values.tolist())), dict.fromkeys(range(FOLDS)), FOLDS)


def pair(differences: Numbers) -> Pair:
    """Return two rows with these differences by fold."""
    return Pair(sample(np.full(FOLDS, BASE)), sample(BASE + differences))


def word(direction: Direction, comparisons: Sequence[Comparison]) -> str:
    """Judge a claim of these comparisons."""
    return judge(Claim("", "", direction, lambda rows: iter(comparisons)), []).word


def effects(direction: Direction) -> tuple[float, float]:
    """Return a difference far inside what a claim says, and the one at which it just does not hold."""
    bound = LITTLE * BASE
    return {
        "lower": (-FAR, 0.0),
        "higher": (FAR, 0.0),
        "little": (0.0, bound),
        "slightly higher": (0.0, bound),
        "much lower": (-bound - FAR, -bound),
    }[direction]


def false_verdicts(rng: np.random.Generator, correlation: float) -> dict[str, bool]:
    """Judge one table by every rule. Returns whether each verdict was false, by the rule's name."""

    def one(mean: float) -> Comparison:
        return ((pair(folds(rng, correlation, mean)),),)

    found = {}
    for direction in get_args(Direction):
        far, edge = effects(direction)
        found[direction] = word(direction, [one(far), one(far), one(far), one(edge)]) == "holds"
    no_exponent_works = tuple((pair(folds(rng, correlation)),) for _ in EXPONENTS)
    found["lower, some exponent"] = word("lower", [one(-FAR), no_exponent_works]) == "holds"
    level = [(exponent, sample(BASE + folds(rng, correlation))) for exponent in EXPONENTS]
    if (ends := ends_of_trend(level)) is not None:
        found["lower, trend"] = word("lower", [one(-FAR), ((ends,),)]) == "holds"
    found["does not hold"] = word("lower", [one(0.0) for _ in range(4)]) == "does not hold"
    return found


def rates(correlation: float, tables: int, seed: int = 0) -> dict[str, float]:
    """Return the shares of false verdicts at a fold correlation, by rule."""
    rng = np.random.default_rng(seed)
    every = [false_verdicts(rng, correlation) for _ in range(tables)]
    return {name: sum(found[name] for found in every) / tables for name in every[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=2000)
    tables = parser.parse_args().tables
    by_correlation = [rates(correlation, tables) for correlation in CORRELATIONS]
    print(f"{tables:,} tables each, false verdicts in percent, by the correlation of two folds' differences\n")
    print(f"| rule | {' | '.join(map(str, CORRELATIONS))} |\n| --- |{' ---: |' * len(CORRELATIONS)}")
    for name in by_correlation[0]:
        print(f"| {name} | {' | '.join(f'{100 * rates[name]:.1f}' for rates in by_correlation)} |")


if __name__ == "__main__":
    main()
