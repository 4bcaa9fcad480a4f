"""A search's space: what a point in it means as settings, and which point a configuration is.

A point gives each searched setting that applies its value, by dotted path. A setting may apply or not, depending on
the settings before it; the space lists settings in their order, so a point is built from its first setting to its last.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeGuard

from sweeps.config.rules import IncompatibleSettings, fill_in, resolve
from sweeps.config.search import Choices, Dimension, Range, Search
from sweeps.config.settings import FIELDS, Settings, Value, flatten, null_is_a_value
from sweeps.plan.identity import key_settings
from sweeps.text import one_line, value_text

Params = dict[str, Value]
"""A point in the space."""


def search_for(search: Search, value: Value) -> Search:
    """Return the search that is restricted to one value of its `each`."""
    if search.each is None:
        raise ValueError("the search has no `each`")
    space = {path: dimension for path, dimension in search.space.items() if path != search.each}
    return replace(search, base={**search.base, search.each: value}, space=space, each=None)


def settings_of(search: Search, params: Mapping[str, Value]) -> Settings:
    """Return the resolved settings of a point. Values may have been read from JSON, where a tuple is a list.

    Raises:
        IncompatibleSettings: settings contradict each other, or one of the point does not apply.
    """
    return resolve(dict(search.base) | from_json(params), frozenset(params))


def from_json(params: Mapping[str, Any]) -> Params:
    """Return the point that was written as JSON."""
    return {path: tuple(value) if isinstance(value, list) else value for path, value in params.items()}


def applies(search: Search, path: str, params: Mapping[str, Value]) -> bool:
    """Whether a searched setting applies, where `params` holds the values of the searched settings before it."""
    if null_is_a_value(path):
        return True
    dimension = search.space[path]
    examples = dimension.values if isinstance(dimension, Choices) else (nearest(dimension, dimension.low),)
    example = next((value for value in examples if value is not None), None)
    return fill_in({**search.base, **params, path: example}).get(path) is not None


def default_params(search: Search) -> Params:
    """Return the point of the default configuration.

    Each setting has the value that all suggestions share, or else its default. A value outside the space is replaced by
    the nearest number of its range or by its first choice, and a default that is no number by the middle of its range.
    """
    params: Params = {}
    for path, dimension in search.space.items():
        if applies(search, path, params):
            default = fill_in({**search.base, **params}).get(path)
            params[path] = _nearest_value(dimension, default, given=search.base.get(path))
    return params


def _nearest_value(dimension: Dimension, default: Value, given: Value) -> Value:
    if isinstance(dimension, Choices):
        chosen = [value for value in (given, default) if any(_same(value, choice) for choice in dimension.values)]
        return chosen[0] if chosen else dimension.values[0]
    return nearest(dimension, default if _is_number(default) else _middle(dimension))


def params_of(search: Search, flat: Mapping[str, Value]) -> tuple[Params | None, str]:
    """Return a configuration's point and "", or None and why it has none.

    A configuration has a point if each searched setting that applies to it lies in the space, and if it has the shared
    value of every other setting. Settings that are no part of the key may differ.

    Args:
        flat: the configuration's resolved settings.
    """
    theirs = key_settings(flat)
    for path, value in search.base.items():
        if value is not None and path in theirs.keys() - search.space.keys() and not _same(value, theirs[path]):
            return None, f"differs in {path}, which is not searched"
    params: Params = {}
    for path, dimension in search.space.items():
        value = flat.get(path)
        if value is None and not applies(search, path, params):
            continue
        if not (found := list(_point_values(dimension, path, value, flat))):
            return None, one_line(f"outside the space: {path} {value_text(value)}")
        params[path] = found[0]
    try:
        ours = key_settings(flatten(settings_of(search, params)))
    except IncompatibleSettings as error:
        return None, one_line(f"outside the space: {error}")
    for path in {**dict.fromkeys(FIELDS), **ours, **theirs}:
        if not _same(ours.get(path), theirs.get(path)):
            return None, f"differs in {path}, which is not searched"
    return params, ""


def _point_values(dimension: Dimension, path: str, value: Value, flat: Mapping[str, Value]) -> Iterator[Value]:
    """Yield the values of a dimension that a resolved value stands for: itself, or null where that is the default."""
    if isinstance(dimension, Range):
        if contains(dimension, value):
            yield value
        return
    yield from (choice for choice in dimension.values if _same(choice, value))
    if None in dimension.values and _same(fill_in({**flat, path: None}).get(path), value):
        yield None


def contains(dimension: Range, value: Value) -> bool:
    """Whether a range holds a number."""
    if not _is_number(value) or not dimension.low <= value <= highest(dimension):
        return False
    if dimension.step is None:
        return not dimension.integer or isinstance(value, int)
    steps = (value - dimension.low) / dimension.step
    return abs(steps - round(steps)) < 1e-8  # as Optuna compares


def nearest(dimension: Range, value: float) -> int | float:
    """Return the number of a range that is nearest to a number."""
    value = min(max(value, dimension.low), highest(dimension))
    if dimension.step is not None:  # decimal, because 0.1 + 2 * 0.1 is not 0.3 in floating point
        steps = round((value - dimension.low) / dimension.step)
        value = float(_decimal(dimension.low) + steps * _decimal(dimension.step))
    return round(value) if dimension.integer else float(value)


def highest(dimension: Range) -> float:
    """Return the highest number of a range, which is below `high` if the steps do not meet it."""
    if dimension.step is None:
        return dimension.high
    low, step = _decimal(dimension.low), _decimal(dimension.step)
    return float(low + (_decimal(dimension.high) - low) // step * step)


def _decimal(number: float) -> Decimal:
    return Decimal(repr(number))


def _middle(dimension: Range) -> float:
    if dimension.log:
        return math.sqrt(dimension.low * dimension.high)
    return (dimension.low + dimension.high) / 2


def _is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(a: Value, b: Value) -> bool:
    """Whether two values of a setting are the same; unlike `==` it tells true from 1."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
