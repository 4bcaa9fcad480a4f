"""The best mean of many, corrected for having been chosen.

The lowest of many means is too low, because it is chosen for its luck as well. Folds correct it without any training:
choose the best configuration on all folds but one, take its score on the fold left out, and average these scores over
the folds. The fold left out had no part in the choice. What remains of the bias is known for candidates that were drawn
without regard to scores (`benchmarks/search_bias.md`). An adaptive search has seen every fold before it proposed a
configuration, so its corrected mean is still somewhat too good.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeps.analysis.statistics import Sample


@dataclass(frozen=True)
class BestMean:
    """The best mean over the folds, and what is left of it after the correction.

    Attributes:
        best: the row with the best mean over all folds.
        mean: its mean.
        chosen: for each fold, the row with the best mean over the other folds.
        corrected: the mean of the chosen rows' scores on the folds left out.
        half_width: half of the corrected mean's 95 % interval (Student's t; variance of Nadeau and Bengio).
    """

    best: int
    mean: float
    chosen: tuple[int, ...]
    corrected: float
    half_width: float | None


def corrected_best(scores: NDArray[np.float64], minimize: bool = True) -> BestMean:
    """Return the best mean of a matrix of scores (configurations, folds) with its correction.

    The rows must have all folds: configurations that a race has stopped, or that failed, were not chosen from. Of equal
    means the first row's counts.

    Raises:
        ValueError: there is no row or less than two folds, or a score is not finite.
    """
    if scores.ndim != 2 or not len(scores) or scores.shape[1] < 2 or not np.isfinite(scores).all():
        raise ValueError(f"scores of shape {scores.shape}: they must be finite, of a row or more and two folds or more")
    k = scores.shape[1]
    losses = scores if minimize else -scores
    best = int(losses.mean(1).argmin())
    chosen = chosen_without_each_fold(losses)
    left_out = Sample.of_folds(dict(enumerate(scores[chosen, range(k)].tolist())), {}, k)
    return BestMean(best, float(scores[best].mean()), tuple(map(int, chosen)), left_out.mean, left_out.half_width())


def chosen_without_each_fold(losses: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return, for each fold, the row with the least mean over the other folds. `losses`: (..., rows, folds)."""
    return np.asarray((losses.sum(-1, keepdims=True) - losses).argmin(-2))
