"""Reads `search.space`: what each searched setting may be, and whether any configuration of the space is valid."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any

from pydantic import Field, ValidationError

from mtvae.config import Section
from sweeps.config import yaml_reader
from sweeps.config.grid_reader import SHORTHAND, GridReader, SourcedValue
from sweeps.config.own_sizes import all_paths, field_of, info_of, is_setting, validated
from sweeps.config.problems import explain_invalid, group_message, short_yaml, unknown_setting_message
from sweeps.config.rules import IncompatibleSettings, Problems, resolve
from sweeps.config.scalars import resolve_ambiguous
from sweeps.config.search import Choices, Dimension, Range, combinations
from sweeps.config.settings import SECTIONS, Settings, Value, flatten, union_members
from sweeps.text import number_text

MAX_CORNERS = 500
"""How many configurations of a space are tried before anything is trained."""
MAX_WHOLE = 2**53
"""The largest bound of a range. Above it, floating-point numbers skip whole numbers."""

_NOT_SEARCHED = {
    "data": "every suggestion sees the same images",
    "folds": "every suggestion has the same folds",
    "seed": "every suggestion has the same seed",
    "resources": "resources change no score",
}
"""Settings and groups of settings that cannot be searched, and why."""


class _RangeKeys(Section):
    """The keys of a range besides its bounds."""

    step: Annotated[float, Field(gt=0)] | None = None
    log: bool = False
    int: bool | None = None


@dataclass(frozen=True)
class Entry:
    """What a file writes for one searched setting, and the path of that in the document."""

    value: Any
    at: yaml_reader.Path


def read_entries(reader: GridReader, space: Mapping[str, Any], at: yaml_reader.Path) -> dict[str, Entry]:
    """Return what a mapping of the document writes for each setting, by the setting's dotted path."""
    entries: dict[str, Entry] = {}
    for key, value in space.items():
        inner = {f"{key}.{leaf}": Entry(item, (*at, key, leaf)) for leaf, item in _items(value)}
        if key in SECTIONS and isinstance(value, dict):
            found = inner
        elif key in SHORTHAND:
            found = {SHORTHAND[key]: Entry(value, (*at, key))}
        elif key in SECTIONS:
            reader.problem(reader.where((*at, key)), group_message(key))
            continue
        else:
            found = {key: Entry(value, (*at, key))}
        for path, entry in found.items():
            if not is_setting(path):
                reader.problem(reader.where(entry.at), unknown_setting_message(path))
            elif path in entries:
                reader.problem(reader.where(entry.at), f"{path} is searched twice")
            else:
                entries[path] = entry
    return entries


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(value.items()) if isinstance(value, dict) else []


def read_dimensions(reader: GridReader, entries: Mapping[str, Entry]) -> dict[str, Dimension]:
    """Return the valid dimensions of a space in the order of the settings; add a problem for each other one."""
    space: dict[str, Dimension] = {}
    for path in sorted(entries, key=all_paths().index):
        value, where = entries[path].value, reader.where(entries[path].at)
        dimension: Dimension | None = None
        if why := _why_not_searched(path):
            reader.problem(where, f"{path} cannot be searched: {why}")
        elif isinstance(value, dict):
            dimension = _read_range(reader, path, entries[path])
        elif isinstance(value, tuple):
            dimension = _read_choices(reader, path, value, where)
        else:
            wanted = "must be a list of values, or a mapping with low and high"
            reader.problem(where, f"{path} is {short_yaml(value)}; in a space it {wanted}")
        if dimension is not None:
            space[path] = dimension
    return space


def _why_not_searched(path: str) -> str:
    """Return why a setting cannot be searched, or an empty text."""
    if why := _NOT_SEARCHED.get(path.partition(".")[0]):
        return why
    if info_of(path).stage:
        return "suggestions are told apart by their trainings, and only later stages read it; a list in grid sweeps it"
    return "" if info_of(path).in_key else "it changes no score"


def _read_choices(reader: GridReader, path: str, value: tuple[Any, ...], where: str) -> Choices | None:
    before = len(reader.problems)
    values = [choice.value for choice in reader.valid_choices(path, value, where, several=True)]
    for repeated in [v for i, v in enumerate(values) if repr(v) in map(repr, values[:i])]:
        reader.problem(where, f"{path} has the choice {short_yaml(repeated)} twice")
    return Choices(tuple(values)) if len(reader.problems) == before else None


def _read_range(reader: GridReader, path: str, entry: Entry) -> Range | None:
    """Return a range, or None after adding a problem for everything that is wrong with it."""
    before = len(reader.problems)
    kinds = {int, float}.intersection(union_members(field_of(path).annotation))
    if not kinds:
        reader.problem(reader.where(entry.at), f"{path} takes no range: write a list of its values")
        return None
    known = ["low", "high", *_RangeKeys.model_fields]
    reader.check_keys(entry.value, known, f"the range of {path}", entry.at)
    low, high = (_read_bound(reader, path, entry, name) for name in ("low", "high"))
    keys = reader.read_keys(_RangeKeys, entry.value, path, entry.at)
    if len(reader.problems) > before:
        return None
    whole = kinds == {int} or bool(keys["int"])
    step = keys["step"]
    for name, problem in _range_problems(low, high, step, keys["log"], whole, kinds == {int} and keys["int"] is False):
        reader.problem(reader.where((*entry.at, name)), f"{path}: {problem}")
    if len(reader.problems) > before:
        return None
    return Range(low, high, int(step) if step and kinds == {int} else step, keys["log"], whole)


def _read_bound(reader: GridReader, path: str, entry: Entry, name: str) -> Any:
    """Return a bound that the setting accepts as a value; add a problem for another one."""
    where = reader.where((*entry.at, name))
    if name not in entry.value:
        reader.problem(where, f"{path} is a range without {name}: a range needs low and high")
        return None
    value = resolve_ambiguous(entry.value[name])
    try:
        bound = validated(path, value)
    except ValidationError as error:
        reader.problem(where, explain_invalid(f"{path}.{name}", entry.value[name], error, field_of(path)))
        return None
    if isinstance(bound, bool) or not isinstance(bound, int | float):
        reader.problem(where, f"{path}.{name} is {short_yaml(value)}; it must be a number")
    elif abs(bound) > MAX_WHOLE:
        reader.problem(where, f"{path}.{name} is {short_yaml(value)}; it must be at most 2**53")
    return bound


def _range_problems(
    low: float, high: float, step: float | None, log: bool, whole: bool, not_int: bool
) -> Iterator[tuple[str, str]]:
    """Yield pairs: the key to change, and what is wrong with it."""
    if not_int:
        yield "int", "its values are whole numbers, so int cannot be false"
    if low >= high:
        yield "low", f"low is {number_text(low)}; it must be below high, {number_text(high)}"
        return
    for name, value in (("low", low), ("high", high), ("step", step)):
        if whole and value is not None and value != int(value):
            yield name, f"{name} is {number_text(value)}; it must be a whole number, because the values are"
    if log and low <= 0:
        yield "low", f"low is {number_text(low)}; with log it must be above 0"
    if log and step is not None:
        yield "step", "a range with log has no step"
    elif step is not None and not (whole and step != int(step)):
        first, size = Fraction(str(low)), Fraction(str(step))
        last = first + (Fraction(str(high)) - first) // size * size
        if last != Fraction(str(high)):
            reached = f"steps of {number_text(step)} from {number_text(low)} end at {number_text(float(last))}"
            yield "step", f"{reached}, not at high, {number_text(high)}"


@dataclass(frozen=True)
class Corner:
    """One configuration of a space: the value of every searched setting, and the resolved settings."""

    chosen: Mapping[str, Value]
    settings: Settings


def corners(
    base: Mapping[str, Value], space: Mapping[str, Dimension]
) -> tuple[list[Corner], list[tuple[dict[str, Value], Problems]]]:
    """Resolve all combinations of choices and bounds of a space, or some of them if there are many.

    Returns the valid ones, and the settings and problems of the others.
    """
    valid: list[Corner] = []
    refused = []
    for chosen in combinations(space, MAX_CORNERS):
        try:
            valid.append(Corner(chosen, resolve({**base, **chosen}, frozenset())))
        except IncompatibleSettings as error:
            refused.append((chosen, error.problems))
    return valid, refused


def check_space(
    reader: GridReader,
    base: Mapping[str, SourcedValue],
    own: Mapping[str, SourcedValue],
    space: Mapping[str, Dimension],
    where: Mapping[str, str],
) -> list[Settings]:
    """Return some configurations of a space, after adding a problem for each setting that cannot be as it is written.

    Args:
        base: what all suggestions share.
        own: those of them that are meant for the search alone, so that they must apply to some suggestion.
        where: where each searched setting stands, and where the search stands, under "".
    """
    flat = {path: given.value for path, given in base.items()}
    valid, refused = corners(flat, space)
    places = {path: given.where for path, given in base.items()} | dict(where)
    if not valid:
        always = [p for p in refused[0][1] if all(p in problems for _, problems in refused)]
        for path, why in always or refused[0][1][:1]:
            value = flat.get(path, refused[0][0].get(path))
            known = path in places
            text = f"{path} {value if isinstance(value, str) else short_yaml(value)}: " if known else f"{path}: "
            example = "" if always else "no configuration of the space is valid; for example, "
            reader.problem(places.get(path, where[""]), f"{example}{text}{why}")
        return []
    resolved = [flatten(corner.settings) for corner in valid]
    for path in [*space, *own]:
        value = own[path].value if path in own else None
        unset = path not in space and value is None
        if unset or any(row.get(path) is not None for row in resolved) or _only_null(space.get(path)):
            continue
        why = _why_never({**flat, **valid[0].chosen}, path)
        reader.problem(places[path], f"{path} applies to no configuration of this search{why}")
    for path in space:
        rows = [row.get(path) for corner, row in zip(valid, resolved, strict=True) if corner.chosen[path] is None]
        filled = next((value for value in rows if value is not None), None)
        if filled is not None:
            reader.problem(places[path], f"{path}: null stands for its default: write {short_yaml(filled)} instead")
    return [corner.settings for corner in valid]


def _only_null(dimension: Dimension | None) -> bool:
    return isinstance(dimension, Choices) and set(dimension.values) == {None}


def _why_never(flat: Mapping[str, Value], path: str) -> str:
    """Return why a setting does not apply to a configuration, as the end of a sentence."""
    try:
        resolve(dict(flat), frozenset([path]))
    except IncompatibleSettings as error:
        return "".join(f": {why}" for name, why in error.problems if name == path)
    return ""
