"""Statistics over the folds of one configuration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """A metric over n folds. `variance` is the population variance, which the thesis prints behind its "+-"."""

    n: int
    mean: float
    variance: float


def summarise(values: Sequence[float]) -> Summary | None:
    """None where there is no value. The mean is exactly rounded, so it does not depend on the folds' order."""
    if not values:
        return None
    mean = math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / len(values)
    return Summary(len(values), mean, variance)
