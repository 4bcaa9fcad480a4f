"""The `search:` and `racing:` blocks of a grid file, as plain values: what a search varies, and what it minimises."""

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeGuard

from sweeps.config.settings import Value

SamplerKind = Literal["tpe", "random", "gp"]
RacingRule = Literal["none", "forgiving", "corrected_t"]
ScoreOn = Literal["test", "validation"]


@dataclass(frozen=True)
class Choices:
    """A setting that takes one of some values."""

    values: tuple[Value, ...]

    def holds(self, value: Value) -> bool:
        """Whether a value is one of them."""
        return any(is_same(value, choice) for choice in self.values)


@dataclass(frozen=True)
class Range:
    """A setting that takes a number between two bounds, both included.

    Attributes:
        step: the distance between two values, counted from `low`; None: any number.
        log: whether the logarithm is uniform.
        integer: whether the values are whole numbers.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    integer: bool = False

    @property
    def highest(self) -> float:
        """The highest number, which is below `high` if the steps do not meet it."""
        if self.step is None:
            return self.high
        low, step = decimal(self.low), decimal(self.step)
        return float(low + (decimal(self.high) - low) // step * step)

    def holds(self, value: Value) -> bool:
        """Whether a value is one of the numbers."""
        if not is_number(value) or not self.low <= value <= self.highest:
            return False
        if self.step is None:
            return not self.integer or isinstance(value, int)
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-8  # as Optuna compares


def decimal(number: float) -> Decimal:
    """Return a number as it is written, because 0.1 + 2 * 0.1 is not 0.3 in floating point."""
    return Decimal(repr(number))


def is_same(a: Value, b: Value) -> bool:
    """Whether two values of a setting are the same; unlike `==` it tells true from 1."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def is_number(value: Value) -> TypeGuard[int | float]:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


Dimension = Choices | Range


def combinations(space: Mapping[str, Dimension], most: int) -> Iterator[dict[str, Value]]:
    """Yield all combinations of choices and bounds of a space, or some of them if there are more than `most`.

    The same ones are drawn each time.
    """
    options = [_extremes(dimension) for dimension in space.values()]
    drawn: Iterable[tuple[Value, ...]] = itertools.product(*options)
    if math.prod(map(len, options)) > most:
        draw = random.Random(0)
        drawn = (tuple(map(draw.choice, options)) for _ in range(most))
    return (dict(zip(space, values, strict=True)) for values in drawn)


def _extremes(dimension: Dimension) -> tuple[Value, ...]:
    if isinstance(dimension, Choices):
        return dimension.values
    bounds = (dimension.low, dimension.highest)
    return tuple(map(int, bounds)) if dimension.integer else bounds


@dataclass(frozen=True)
class Constraint:
    """A bound on a number of a configuration, `parameters <= 5e6` for example.

    Attributes:
        name: `parameters`, `flops`, or a column of the ledger, whose mean over the folds is bounded. A configuration
            without such a column keeps the bound.
        known: whether the number is known without training.
    """

    name: str
    operator: Literal["<=", ">="]
    bound: float
    known: bool

    def violation(self, value: float) -> float:
        """Return by how much a value misses the bound; at most 0 where it is kept. Optuna's convention."""
        return value - self.bound if self.operator == "<=" else self.bound - value


@dataclass(frozen=True)
class Objective:
    """What the configurations of a sweep are compared by.

    Attributes:
        metric: a metric of the registry, by name.
        column: the ledger's column of the test fold's score: the metric's name, with `_per_pixel` if it has scales.
        score_on: "test": the tabulated folds; "validation": the images that pick the checkpoint.
        minimize: whether smaller values are better.
    """

    metric: str
    column: str
    score_on: ScoreOn = "test"
    minimize: bool = True


@dataclass(frozen=True)
class Racing:
    """Stops configurations after some of their folds. `rule` is "none" where all folds are trained."""

    rule: RacingRule
    objective: Objective


@dataclass(frozen=True)
class Search:
    """A `search:` block with its defaults filled in.

    Attributes:
        base: the settings that all suggestions share, by dotted path: the sweep's shared ones and those of `base`, as
            the file and `--set` give them, without the searched ones. A setting of them may apply to some suggestions
            only, so that `resolve` must not take them for settings of a row's own.
        space: what each searched setting may be, in the order of the settings, so that a setting comes after those that
            decide whether it applies.
        configurations: how many suggestions are trained; None: no limit.
        hours: after how many hours of training, summed over all units of suggestions, nothing more is asked; None: no
            limit. At least one of the two limits is set.
        each: a searched setting with choices; each of its values has a search of this size of its own.
        seed: the sweep's seed, from which the sampler's seeds derive.
    """

    base: Mapping[str, Value]
    space: Mapping[str, Dimension]
    objective: Objective
    configurations: int | None = None
    hours: float | None = None
    each: str | None = None
    sampler: SamplerKind = "tpe"
    constraints: tuple[Constraint, ...] = field(default=())
    seed: int = 0
