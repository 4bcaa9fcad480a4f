"""A search's space: what a point in it means as settings, and which point a configuration is.

A point gives each searched setting that applies its value, by dotted path. A setting may apply or not, depending on
the settings before it; the space lists settings in their order, so a point is built from its first setting to its last.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from sweeps.config.rules import IncompatibleSettings, fill_in, resolve
from sweeps.config.search import Choices, Dimension, Range, Search, decimal, is_number, is_same
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
        chosen = [value for value in (given, default) if dimension.holds(value)]
        return chosen[0] if chosen else dimension.values[0]
    return nearest(dimension, default) if is_number(default) else short(dimension, _middle(dimension))


def params_of(search: Search, flat: Mapping[str, Value]) -> tuple[Params | None, str]:
    """Return a configuration's point and "", or None and why it has none.

    A configuration has a point if each searched setting that applies to it lies in the space, and if it has the shared
    value of every other setting. Settings that are no part of the key may differ.

    Args:
        flat: the configuration's resolved settings.
    """
    theirs = key_settings(flat)
    for path, value in search.base.items():
        if value is not None and path in theirs.keys() - search.space.keys() and not is_same(value, theirs[path]):
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
        if not is_same(ours.get(path), theirs.get(path)):
            return None, f"differs in {path}, which is not searched"
    return params, ""


def _point_values(dimension: Dimension, path: str, value: Value, flat: Mapping[str, Value]) -> Iterator[Value]:
    """Yield the values of a dimension that a resolved value stands for: itself, or null where that is the default."""
    if isinstance(dimension, Range):
        if dimension.holds(value):
            yield value
        return
    yield from (choice for choice in dimension.values if is_same(choice, value))
    if None in dimension.values and is_same(fill_in({**flat, path: None}).get(path), value):
        yield None


def nearest(dimension: Range, value: float) -> int | float:
    """Return the number of a range that is nearest to a number."""
    value = min(max(value, dimension.low), dimension.highest)
    if dimension.step is not None:
        steps = round((value - dimension.low) / dimension.step)
        value = float(decimal(dimension.low) + steps * decimal(dimension.step))
    return round(value) if dimension.integer else float(value)


def short(dimension: Range, value: float) -> int | float:
    """Return a number of a range near a proposed one, with few digits, because people read and copy it from labels.

    It has at most 4 significant digits, or more where the range would otherwise have fewer than 1,000 such numbers. A
    bound keeps all its digits.
    """
    smaller = min(abs(value), dimension.high - dimension.low)
    if smaller and dimension.step is None and not dimension.integer:
        value = round(value, 3 - math.floor(math.log10(smaller)))
    return nearest(dimension, value)


def _middle(dimension: Range) -> float:
    if dimension.log:
        return math.sqrt(dimension.low * dimension.high)
    return (dimension.low + dimension.high) / 2
