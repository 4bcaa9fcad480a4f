"""Rules of racing: whether the folds of a configuration so far are enough to leave out the rest of them.

A rule compares a configuration with the incumbent, which is the best configuration that has all folds. Both were
trained on the same folds of the same images.
"""

from collections.abc import Callable, Mapping

from sweeps.analysis.statistics import Sample, difference, summarise
from sweeps.config.search import RacingRule

Scores = Mapping[int, float]
"""Values of a metric, by fold."""

Rule = Callable[[Scores, Scores, bool, int], bool]
"""A function of a configuration's scores so far, the incumbent's scores on all folds, whether smaller scores are
better, and the number of folds. It returns whether to stop the configuration."""

P_STOP = 0.1
"""One-sided p of "the configuration is worse" below which `corrected_t` stops it."""


def never(scores: Scores, incumbent: Scores, minimize: bool, k: int) -> bool:
    """Return False: every configuration is trained on all folds."""
    return False


def forgiving(scores: Scores, incumbent: Scores, minimize: bool, k: int) -> bool:
    """Return whether the mean so far is worse than the incumbent's worst fold.

    This is "forgiving" early stopping of Bergman et al., "Don't waste your time: early stopping cross-validation"
    (2024). An equal mean does not stop a configuration.
    """
    so_far = summarise(list(scores.values()))
    if so_far is None or not incumbent:
        return False
    return so_far.mean > max(incumbent.values()) if minimize else so_far.mean < min(incumbent.values())


def corrected_t(scores: Scores, incumbent: Scores, minimize: bool, k: int) -> bool:
    """Return whether the configuration is worse than the incumbent at `P_STOP`, on the folds that both have.

    The test is the paired t-test with the variance of Nadeau and Bengio, one-sided. It needs two folds.
    """
    if not scores or not incumbent:
        return False
    found = difference(Sample.of_folds(incumbent, {}, k), Sample.of_folds(scores, {}, k))
    if found is None:
        return False
    twice = found.p_above(0.0) if minimize else found.p_below(0.0)
    return twice is not None and twice / 2 < P_STOP


RULES: Mapping[RacingRule, Rule] = {"none": never, "forgiving": forgiving, "corrected_t": corrected_t}
"""The rules that a grid may name."""
