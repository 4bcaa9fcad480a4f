"""The rules of the claims sheet are wrong as seldom as they promise."""

import math

import pytest
from verdict_rates import rates

TABLES = 2000


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.278])
def test_false_verdicts_are_rare(correlation):
    """At most 5 % and two standard errors, up to the correlation that was measured on this kind of split."""
    found = rates(correlation, TABLES)
    print(found)
    assert max(found.values()) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / TABLES)


@pytest.mark.slow
def test_at_a_high_correlation_they_are_too_sure():
    """At 0.4 the variance of Nadeau and Bengio is too small, as the page says: the promise must not be read as more."""
    assert max(rates(0.4, TABLES).values()) > 0.05
