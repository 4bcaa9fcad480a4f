"""Statistics over the folds of a cross-validation.

The training parts of k folds overlap, so the folds' results are not independent, and a plain paired t-test is
overconfident (at 5 folds its standard error is too small by a factor of 1.5). Intervals and tests here use the variance
of Nadeau & Bengio, "Inference for the generalization error" (2003): the sample variance times 1/n + 1/(k - 1). Here
1/(k - 1) is the ratio of test to training images, and n is the number of folds that are done.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LEVEL = 0.05
"""Significance level of every test after Holm's correction; intervals are 95 % intervals."""

POWER = 0.8
"""Share of experiments in which a detectable difference is found."""


@dataclass(frozen=True)
class Summary:
    """A metric over n folds. `variance` is the population variance, which the thesis prints after "+-"."""

    n: int
    mean: float
    variance: float
    minimum: float
    median: float
    maximum: float

    @property
    def sd(self) -> float | None:
        """The sample standard deviation (n - 1); None with one fold."""
        return math.sqrt(self.variance * self.n / (self.n - 1)) if self.n > 1 else None


def summarise(values: Sequence[float]) -> Summary | None:
    """Summarise values; None if there are none. The mean is exactly rounded, so the values' order does not matter."""
    if not values:
        return None
    n, ordered = len(values), sorted(values)
    mean = _mean(values)
    variance = _mean(
        [(value - mean) * (value - mean) for value in values]
    )  # inf for huge values, where ** 2 would raise
    median = _mean([ordered[(n - 1) // 2], ordered[n // 2]])
    return Summary(n, mean, variance, ordered[0], median, ordered[-1])


def _mean(values: Sequence[float]) -> float:
    """Return the mean of at least one value, exactly rounded if the sum is finite.

    NaN if values are infinite in both directions, as differences of huge scores may be.
    """
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Sample:
    """A metric of one configuration under k-fold cross-validation.

    `sd` is the sample standard deviation, or None if it is unknown. If only mean and standard deviation are known (a
    published table), `by_fold` is empty and `summary` is None. A fold of two samples holds the same images if their
    `splits` agree on it.
    """

    mean: float
    sd: float | None
    n: int
    k: int
    by_fold: Mapping[int, float] = field(default_factory=dict)
    splits: Mapping[int, object] = field(default_factory=dict)
    summary: Summary | None = None

    @staticmethod
    def of_folds(by_fold: Mapping[int, float], splits: Mapping[int, object], k: int) -> "Sample":
        """Make a sample from at least one value by fold; `k` is the number of folds of the split."""
        summary = summarise(list(by_fold.values()))
        assert summary is not None
        return Sample(summary.mean, summary.sd, summary.n, k, by_fold, splits, summary)

    def half_width(self) -> float | None:
        """Return half the width of the mean's 95 % interval; None with fewer than two folds or an unknown spread."""
        if self.sd is None or self.n < 2:
            return None
        return _t_quantile(self.n - 1) * self.sd * math.sqrt(_variance_factor(self.n, self.k))


@dataclass(frozen=True)
class Difference:
    """b - a: its mean, 95 % interval and two-sided p over n pairs of folds, or over n folds of each if not paired.

    `base` is a's mean over the folds compared, `relative` the difference divided by it. `effect` is the mean difference
    in standard deviations of the differences (Cohen's d of paired samples; unpaired: of the pooled samples). `error` is
    the corrected standard error of the mean. None where one fold, or an unknown spread, does not tell.
    """

    n: int
    base: float
    mean: float
    low: float | None
    high: float | None
    p: float | None
    effect: float | None
    relative: float | None
    paired: bool
    error: float | None = None

    def p_below(self, bound: float) -> float | None:
        """Return twice the one-sided p of "the mean difference is below `bound`": under 0.05 if the 95 % interval is.

        Returns 1 where the mean itself is not below it, and None with fewer than two folds.
        """
        if self.error is None:
            return None
        return _two_sided_p(bound - self.mean, self.error, self.n - 1) if self.mean < bound else 1.0

    def p_above(self, bound: float) -> float | None:
        """Return twice the one-sided p of "the mean difference is above `bound`", as `p_below`."""
        if self.error is None:
            return None
        return _two_sided_p(self.mean - bound, self.error, self.n - 1) if self.mean > bound else 1.0

    @property
    def detectable(self) -> float | None:
        """True difference that the test at 0.05 finds in 80 % of experiments with this standard error.

        By the noncentral t-distribution, as if the corrected standard error were the true one.
        """
        from scipy.special import nctdtrinc

        if self.error is None:
            return None
        return self.error * float(nctdtrinc(self.n - 1, 1 - POWER, _t_quantile(self.n - 1)))


def difference(a: Sample, b: Sample) -> Difference | None:
    """Return b - a, paired by fold if both know their folds, otherwise as independent samples.

    None if both know their folds and have none in common.
    """
    if a.by_fold and b.by_fold:
        common = [f for f in a.by_fold if f in b.by_fold and a.splits.get(f) == b.splits.get(f)]
        if not common:
            return None
        base = _mean([a.by_fold[f] for f in common])
        found = summarise([b.by_fold[f] - a.by_fold[f] for f in common])
        assert found is not None
        return _corrected_t_test(found.mean, found.sd, len(common), a.k, base, True)
    n = min(a.n, b.n)
    sd = None if a.sd is None or b.sd is None else math.hypot(a.sd, b.sd)
    return _corrected_t_test(b.mean - a.mean, sd, n, a.k, a.mean, False)


def _corrected_t_test(mean: float, sd: float | None, n: int, k: int, base: float, paired: bool) -> Difference:
    """Test with n - 1 degrees of freedom, which for independent samples is the least that Welch's test may have."""
    relative = mean / base if base else None
    if sd is None or n < 2:
        return Difference(n, base, mean, None, None, None, None, relative, paired)
    error = sd * math.sqrt(_variance_factor(n, k))
    half = _t_quantile(n - 1) * error
    effect = mean / (sd if paired else sd / math.sqrt(2)) if sd else None
    p = _two_sided_p(mean, error, n - 1)
    return Difference(n, base, mean, mean - half, mean + half, p, effect, relative, paired, error)


def _variance_factor(n: int, k: int) -> float:
    """Return Nadeau and Bengio's 1/n + (test images)/(training images)."""
    return 1 / n + 1 / (k - 1)


def _t_quantile(df: int, share: float = 1 - LEVEL / 2) -> float:
    """Return a quantile of Student's t; by default the one of two-sided tests and intervals."""
    from scipy.special import stdtrit

    return float(stdtrit(df, share))


def needed_effect(tests: int, n: int, k: int) -> float:
    """Return the mean difference at which the first of Holm's `tests` tests over n of k folds rejects.

    It is in standard deviations of the folds' differences.
    """
    return _t_quantile(n - 1, 1 - LEVEL / (2 * tests)) * math.sqrt(_variance_factor(n, k))


def _two_sided_p(mean: float, error: float, df: int) -> float:
    """Return the two-sided p of Student's t."""
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stdtr(df, -abs(mean / error)))


def simes(ps: Sequence[float]) -> float:
    """Return the p-value of "some of these hypotheses are false" (Simes 1986): the least m p(i) / i in order of p.

    It is valid for independent and for positively dependent tests.

    Raises:
        ValueError: there is no p-value.
    """
    return min(1.0, min(len(ps) * p / rank for rank, p in enumerate(sorted(ps), 1)))


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p-values after Holm's step-down correction (1979), in the given order."""
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = highest
    return adjusted
