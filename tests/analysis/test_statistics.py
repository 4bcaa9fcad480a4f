"""Statistics, compared with numpy, scipy and baycomp."""

import math

import numpy as np
import pytest
import scipy.stats
from baycomp.single import CorrelatedTTest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.analysis.statistics import Sample, difference, holm, needed_effect, simes, summarise

scores = st.floats(-1e3, 1e3).map(lambda x: round(x, 6))
pairs_of_folds = st.integers(2, 10).flatmap(
    lambda n: st.tuples(st.lists(scores, min_size=n, max_size=n), st.lists(scores, min_size=n, max_size=n))
)


def sample(values, k=None, splits=None):
    by_fold = dict(enumerate(values))
    return Sample.of_folds(by_fold, splits or dict.fromkeys(by_fold), k or len(values))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_summary_against_numpy(values):
    s = summarise(values)
    assert s.n == len(values)
    assert s.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-9)
    assert s.variance == pytest.approx(np.var(values), rel=1e-9, abs=1e-6)
    assert (s.minimum, s.maximum) == (min(values), max(values))
    assert s.median == pytest.approx(np.median(values))
    assert s.sd == (pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-3) if len(values) > 1 else None)
    assert summarise(values[::-1]).mean == s.mean


def test_nothing_to_summarise():
    assert summarise([]) is None


@given(pairs_of_folds)
def test_the_paired_test_against_baycomp(values):
    """The frequentist p and interval are the tails and quantiles of baycomp's posterior."""
    a, b = map(np.array, values)
    found = difference(sample(values[0]), sample(values[1]))
    mean, var, df = CorrelatedTTest.compute_statistics(a, b)
    assert found.mean == pytest.approx(mean, abs=1e-9)
    if var < 1e-12:
        return
    left = scipy.stats.t.cdf(0, df, mean, math.sqrt(var))
    assert found.p == pytest.approx(2 * min(left, 1 - left), abs=1e-7)
    low, high = scipy.stats.t.interval(0.95, df, mean, math.sqrt(var))
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-6), pytest.approx(high, rel=1e-6))
    assert found.effect == pytest.approx(mean / np.std(b - a, ddof=1))


def test_intervals_are_wider_than_a_plain_paired_test():
    """The standard error is 1.5 times as large at 5 folds."""
    a, b = [1.0, 1.2, 0.9, 1.1, 1.0], [1.3, 1.4, 1.1, 1.5, 1.2]
    plain = scipy.stats.ttest_rel(b, a)
    found = difference(sample(a), sample(b))
    width, low, high = found.high - found.low, *plain.confidence_interval()
    assert width / (high - low) == pytest.approx(1.5)
    assert found.p > plain.pvalue


def test_missing_folds_leave_the_common_folds():
    a, b = sample([1.0, 2.0, 3.0, 4.0, 5.0]), Sample.of_folds({1: 2.5, 3: 4.25, 4: 5.0}, {1: None, 3: None, 4: None}, 5)
    found = difference(a, b)
    assert (found.n, found.mean) == (3, pytest.approx(0.25))
    assert found.base == pytest.approx((2 + 4 + 5) / 3)
    error = 0.25 * math.sqrt(1 / 3 + 1 / 4)
    assert found.high - found.mean == pytest.approx(scipy.stats.t.ppf(0.975, 2) * error)


def test_folds_of_other_splits_are_not_paired():
    a, b = sample([1.0, 2.0], splits={0: "x", 1: "y"}), sample([1.5, 2.0], splits={0: "z", 1: "y"})
    assert difference(a, b).n == 1
    assert difference(a, b).p is None
    assert difference(a, sample([1.0, 2.0], splits={0: "p", 1: "q"})) is None


def test_equal_rows_and_constant_differences():
    assert difference(sample([1.0, 2.0]), sample([1.0, 2.0])).p == 1
    constant = difference(sample([1.0, 2.0]), sample([2.0, 3.0]))
    assert (constant.p, constant.low, constant.high) == (0, 1, 1)


def test_independent_samples_add_their_variances():
    a, b = Sample(1.0, 0.3, 5, 5), Sample(2.0, 0.4, 5, 5)
    found = difference(a, b)
    error = 0.5 * math.sqrt(1 / 5 + 1 / 4)
    assert not found.paired
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(1 / error, 4))
    assert difference(a, Sample(2.0, None, 5, 5)).p is None


def test_the_interval_of_a_mean():
    values = [1.0, 1.2, 0.9, 1.1, 1.0]
    half = scipy.stats.t.ppf(0.975, 4) * np.std(values, ddof=1) * math.sqrt(1 / 5 + 1 / 4)
    assert sample(values).half_width() == pytest.approx(half)
    assert sample([1.0]).half_width() is None


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_against_its_definition(ps):
    """Holm rejects in order of p while p <= level / (hypotheses left); some levels are tried."""
    adjusted = holm(ps)
    for level in (0.01, 0.05, 0.5):
        rejected = set()
        for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
            if (len(ps) - rank) * ps[i] >= level:
                break
            rejected.add(i)
        assert {i for i, p in enumerate(adjusted) if p < level} == rejected
    assert all(p <= q <= 1 for p, q in zip(ps, adjusted, strict=True))


@given(pairs_of_folds, st.floats(-2, 2))
def test_bounds_against_baycomp(values, bound):
    """Twice the tail of baycomp's posterior beyond a bound, as its region of practical equivalence is judged."""
    a, b = map(np.array, values)
    found = difference(sample(values[0]), sample(values[1]))
    mean, var, df = CorrelatedTTest.compute_statistics(a, b)
    if var < 1e-12:
        return
    below = scipy.stats.t.cdf(bound, df, mean, math.sqrt(var))
    assert found.p_below(bound) == pytest.approx(min(1.0, 2 * (1 - below)), abs=1e-7)
    assert found.p_above(bound) == pytest.approx(min(1.0, 2 * below), abs=1e-7)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_detectable_has_the_power_that_it_promises(n):
    """By scipy's noncentral t-distribution."""
    values = [0.1 * i for i in range(n)]
    found = difference(sample([0.0] * n), sample(values))
    quantile = scipy.stats.t.ppf(0.975, n - 1)
    assert scipy.stats.nct.sf(quantile, n - 1, found.detectable / found.error) == pytest.approx(0.8)


def test_needed_effect_is_where_holm_rejects_first():
    """At 23 claims and 5 folds 4.7 standard deviations of the differences."""
    effect = needed_effect(23, 5, 5)
    assert effect == pytest.approx(4.7, abs=0.05)
    spread = np.array([-1.0, 0.0, 1.0, -0.5, 0.5])
    values = (spread / np.std(spread, ddof=1) + effect * 1.0001).tolist()
    assert 23 * difference(sample([0.0] * 5), sample(values)).p < 0.05
    assert 23 * difference(sample([0.0] * 5), sample([v - 0.001 for v in values])).p > 0.05


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_simes_against_its_definition(ps):
    """Rejects where for some k at least k p-values are at most k level / m."""
    for level in (0.01, 0.05, 0.5):
        expected = any(sum(p < k * level / len(ps) for p in ps) >= k for k in range(1, len(ps) + 1))
        assert (simes(ps) < level) == expected or math.isclose(simes(ps), level)
    rounding = 1 + 1e-12  # m p / i is rounded twice
    assert min(ps) <= simes(ps) * rounding
    assert simes(ps) <= min(1.0, len(ps) * min(ps)) * rounding


@pytest.mark.parametrize("values", [[1.7e308, -1.7e308, 1.7e308], [0.0, 2e154, 4e154, 6e154], [1.6e308, 1.7e308]])
def test_huge_values_never_raise(values):
    """Their sums, squares and differences may overflow; what is finite is right."""
    huge, small = sample(values), sample([0.0, 1e-9, 2e-9, 3e-9][: len(values)])
    assert huge.summary.median == pytest.approx(np.median(np.array(values) / 4) * 4)
    for a, b in ((huge, small), (small, huge), (huge, sample(values[1:] + values[:1]))):
        assert difference(a, b).n == len(values)
        assert difference(a, b).p_below(0.0) is not None
