"""Which settings stand together: what is filled in, what does not apply, and what cannot be."""

from functools import lru_cache

from mtvae.config import FAMILIES, METHODS, Sizes, resolve_sizes
from sweeps.config.settings import ABOUT, DEFAULTS, Settings, Value, unflatten
from sweeps.data.datasets import Data, Source, declared, image_count, shape, test_half_count
from sweeps.data.splits import Folds, fold_sizes


class Impossible(ValueError):
    """Settings that cannot stand together. `problems`: pairs of the setting to change and why."""

    def __init__(self, problems: list[tuple[str, str]]):
        super().__init__("; ".join(f"{path}: {why}" for path, why in problems))
        self.problems = problems


_CONDITIONAL = [(path, about, about.applies) for path, about in ABOUT.items() if about.applies is not None]
"""The settings that apply to some configurations only, in their order."""


def resolve(flat: dict[str, Value], asked: frozenset[str]) -> Settings:
    """Settings with every default filled in and what does not apply set to None.

    Args:
        flat: values by dotted path, each valid on its own.
        asked: paths that were set for this very row, where one that does not apply is an error. A shared setting that
            does not apply to a row is left out there.

    Raises:
        Impossible: with every problem found.
    """
    values = DEFAULTS | flat
    problems: list[tuple[str, str]] = []
    for path, about, applies in _CONDITIONAL:
        if not applies(values):
            if path in asked and values[path] is not None:
                problems.append((path, about.why_not.format_map(values)))
            values[path] = None
        elif values[path] is None:
            values[path] = about.default(values)
    problems += _method(values)
    problems += _sizes(values, asked)
    problems += _conditioning(values)
    problems += _soft_adapt(values)
    problems += _images(values)
    if problems:
        raise Impossible(problems)
    return unflatten(values)


Problems = list[tuple[str, str]]


def _method(values: dict[str, Value]) -> Problems:
    """Return what is wrong with the method for the family."""
    family, method = values["family"], values["method"]
    if METHODS[method].head and not FAMILIES[family].conditioned_head:
        return [
            ("method", f"{method} is none in family {family}, whose plain decoder has the head of a conditioned one")
        ]
    return []


def _sizes(values: dict[str, Value], asked: frozenset[str]) -> Problems:
    """Fills in the `model.*` values; returns what is wrong with them."""
    family, number = values["family"], values["configuration"]
    configurations = FAMILIES[family].configurations
    if number not in configurations:
        known = ", ".join(map(str, configurations))
        return [("configuration", f"{family} has no {number}, only {known}")]
    problems = []
    has = type(configurations[number]).model_fields
    given = {name: values[f"model.{name}"] for name in Sizes.model_fields}
    for name in [name for name, value in given.items() if value is not None and name not in has]:
        if f"model.{name}" in asked:
            problems.append((f"model.{name}", f"family {family} has none"))
        given[name] = None
    sizes = resolve_sizes(family, number, Sizes(**given))
    _, side = shape(_data(values))
    halvings = len(getattr(sizes, "hidden", ()))
    if FAMILIES[family].halves and side % 2**halvings:
        problems.append(("model.hidden", f"{halvings} widths halve the side {halvings} times, and {side} does not"))
    values |= {f"model.{name}": getattr(sizes, name, None) for name in given}
    return problems


def _conditioning(values: dict[str, Value]) -> Problems:
    """What is wrong with the choice of pixels."""
    method, sampler, (_, side) = values["method"], values["sampler"], shape(_data(values))
    problems = []
    if sampler is not None and sampler not in METHODS[method].samplers:
        problems.append(("sampler", f"method {method} takes {' or '.join(METHODS[method].samplers)}"))
    positions, count = values["conditioning.positions"], values["conditioning.count"]
    if positions is not None and (max(positions) >= side or len(set(positions)) < len(positions)):
        problems.append(("conditioning.positions", f"they must be different and below the side, {side}"))
    if count is not None and count > side**2 and not values["conditioning.replacement"]:
        problems.append(("conditioning.count", f"an image has {side**2} pixels"))
    return problems


def _soft_adapt(values: dict[str, Value]) -> Problems:
    """What is wrong with the window of losses that the slopes are estimated from."""
    every, order = values["soft_adapt.every"], values["soft_adapt.accuracy_order"]
    if every is not None and every <= order:
        return [("soft_adapt.every", f"a slope of accuracy order {order} needs the losses of {order + 1} steps")]
    return []


def _data(values: dict[str, Value]) -> Data:
    return _data_of(*(values[f"data.{name}"] for name in Data.model_fields))


@lru_cache(maxsize=1024, typed=True)  # a grid's rows have few; typed: 1 is not true
def _data_of(*values: Value) -> Data:
    return Data(**dict(zip(Data.model_fields, values, strict=True)))


def _images(values: dict[str, Value]) -> Problems:
    """What is wrong with the number of images for the folds asked for."""
    data = _data(values)
    folds = Folds(**{name: values[f"folds.{name}"] for name in Folds.model_fields})
    description = declared(data)
    if description is None:
        return []  # a folder that is not here: nothing to hold the numbers against
    if data.limit is not None and data.limit > description.images:
        return [("data.limit", f"{data.dataset} has {description.images:,} images, not {data.limit:,}")]
    n, half = image_count(data), test_half_count(Source(data, folds.selection == "test_half"))
    if folds.selection == "test_half" and not half:
        return [("folds.selection", f"{data.dataset} has no official test part")]
    if n < folds.n_splits:
        return [("folds.n_splits", f"{n:,} images cannot be split into {folds.n_splits} folds")]
    smallest = fold_sizes(n, folds, 0, half)  # KFold puts the larger folds first: fold 0 trains on the fewest
    if smallest.train < 2 or smallest.selection < 1:
        left = f"{smallest.train} to train and {smallest.selection} to pick the epoch"
        return [("folds.selection", f"of {n:,} images it leaves {left}")]
    return []
