"""Racing rules against worked examples, and the corrected t-test against scipy's t-distribution."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sweeps.analysis.racing import RULES, corrected_t, forgiving

INCUMBENT = {0: 1.0, 1: 1.2, 2: 0.9, 3: 1.1, 4: 1.3}


@pytest.mark.parametrize(
    ("scores", "stops"),
    [
        ({0: 1.3}, False),  # as bad as the incumbent's worst fold, and no worse
        ({0: 1.31}, True),
        ({0: 1.6, 1: 1.0}, False),  # the mean is 1.3: a good fold makes up for a bad one
        ({0: 1.6, 1: 1.1}, True),
        ({3: 2.0}, True),  # any fold may come first
        ({}, False),
    ],
)
def test_forgiving_compares_with_the_worst_fold(scores, stops):
    assert forgiving(scores, INCUMBENT, True, 5) is stops


def test_forgiving_compares_with_the_lowest_when_maximising():
    assert forgiving({0: 0.89}, INCUMBENT, False, 5)
    assert not forgiving({0: 0.9}, INCUMBENT, False, 5)


def test_corrected_t_at_two_folds_by_hand():
    """Differences .3 and .5: mean .4, sd .1414, error .1414 * sqrt(1/2 + 1/4) = .1225, t = 3.266, p = .0946.

    With .2 and .5 in their place: t = .35 / .1837 = 1.905, p = .154.
    """
    assert 0.09 < stats.t.sf(3.266, 1) < 0.1 < stats.t.sf(1.905, 1)
    assert corrected_t({0: 1.3, 1: 1.7}, INCUMBENT, True, 5)
    assert not corrected_t({0: 1.2, 1: 1.7}, INCUMBENT, True, 5)


def test_corrected_t_never_acts_on_one_fold():
    assert not corrected_t({0: 99.0}, INCUMBENT, True, 5)


def test_corrected_t_stops_at_a_constant_difference():
    """The differences have no spread, so any worse configuration is surely worse; an equal or a better one is not."""
    assert corrected_t({0: 1.5, 1: 1.7}, {0: 1.0, 1: 1.2}, True, 5)
    assert not corrected_t({0: 1.0, 1: 1.2}, INCUMBENT, True, 5)
    assert not corrected_t({0: 0.5, 1: 0.7}, INCUMBENT, True, 5)


def test_corrected_t_uses_common_folds_only():
    """The incumbent lacks fold 7, whose huge score must not count."""
    assert not corrected_t({0: 1.2, 1: 1.4, 7: 1e9}, INCUMBENT | {0: 1.3}, True, 5)
    assert not corrected_t({7: 1e9, 8: 1e9}, INCUMBENT, True, 5)


@settings(deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-3, 3).map(lambda x: round(x, 3))] * 2), min_size=2, max_size=5),
    st.booleans(),
)
def test_corrected_t_agrees_with_scipy(pairs, minimize):
    """The statistic is scipy's paired t, shrunk by the ratio of the plain and the corrected standard error."""
    own, theirs = np.array(pairs).T
    n, k = len(pairs), 5
    if np.std(own - theirs) < 1e-9:
        return
    plain = stats.ttest_rel(own, theirs).statistic * (1 if minimize else -1)
    p = stats.t.sf(plain * math.sqrt((1 / n) / (1 / n + 1 / (k - 1))), n - 1)
    if abs(p - 0.1) > 1e-9:
        assert corrected_t(dict(enumerate(own)), dict(enumerate(theirs)), minimize, k) is bool(p < 0.1)


@pytest.mark.parametrize("rule", RULES.values())
def test_without_an_incumbent_nothing_stops(rule):
    assert not rule({0: 1e9, 1: 1e9}, {}, True, 5)


def test_none_stops_nothing():
    assert not RULES["none"]({0: 1e9, 1: 2e9}, INCUMBENT, True, 5)
