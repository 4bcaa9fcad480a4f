"""What a search looks for, as a file, so that a report needs neither the grid file nor the code that searches.

DIR/<sweep>/search.json    the search of the latest run's grid; there is none if that grid has no search

A reader ignores unknown entries, and fills in missing ones, so that other versions can read it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from sweeps.config.search import Choices, Constraint, Dimension, Objective, Range
from sweeps.config.settings import Value
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import from_json, json_object
from sweeps.text import error_line

SEARCH_FILE = "search.json"

T = TypeVar("T")


@dataclass(frozen=True)
class KnownRow:
    """A configuration that a search knows without having suggested it.

    Attributes:
        key: the key of its training.
        each: the value of the setting for which the search is done separately; None without one.
    """

    key: str
    each: Value = None


@dataclass(frozen=True)
class SearchDescription:
    """A search, as far as a report needs it.

    Attributes:
        space, each, sampler, configurations, hours, seed: as in `sweeps.config.search.Search`.
        racing: the rule of its race, or "none".
        constraints: the bounds on numbers that are measured. Suggestions that miss the others are refused.
        defaults: the default configuration, one for each value of `each`; none where it is refused.
        rows: the rows of the grid that lie in the space and keep the bounds that are known before training.
    """

    objective: Objective
    space: Mapping[str, Dimension]
    each: str | None = None
    sampler: str = "tpe"
    racing: str = "none"
    configurations: int | None = None
    hours: float | None = None
    seed: int = 0
    constraints: tuple[Constraint, ...] = field(default=())
    defaults: tuple[KnownRow, ...] = field(default=())
    rows: tuple[KnownRow, ...] = field(default=())


def write_description(storage: Storage, description: SearchDescription | None) -> None:
    """Write the file unless it holds exactly this. None removes it."""
    if description is None:
        if storage.exists(SEARCH_FILE):
            storage.remove(SEARCH_FILE)
        return
    data = (json.dumps(asdict(description), indent=1, allow_nan=False) + "\n").encode()
    storage.write_if_changed(SEARCH_FILE, data)


def read_description(storage: Storage) -> tuple[SearchDescription | None, str]:
    """Return the description and "", or None and how the file is damaged ("" if there is no file).

    Raises:
        StorageError: the machine cannot read the file now.
    """
    data = storage.try_read(SEARCH_FILE)
    if data is None:
        return None, ""
    try:
        return _decode(json_object(data)), ""
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return None, f"it describes no search: {type(error).__name__}: {error_line(error)}"[:200]


def _decode(values: Mapping[str, Any]) -> SearchDescription:
    plain = ("each", "sampler", "racing", "configurations", "hours", "seed")
    given: dict[str, Any] = {name: values[name] for name in plain if name in values}
    given["constraints"] = tuple(_known(Constraint, bound) for bound in values.get("constraints", ()))
    given |= {name: tuple(map(_row, values.get(name, ()))) for name in ("defaults", "rows")}
    space = {path: _dimension(dimension) for path, dimension in values["space"].items()}
    return SearchDescription(_known(Objective, values["objective"]), space, **given)


def _dimension(values: Mapping[str, Any]) -> Dimension:
    if "values" in values:
        return Choices(tuple(map(from_json, values["values"])))
    return _known(Range, values)


def _row(values: Mapping[str, Any]) -> KnownRow:
    return KnownRow(str(values["key"]), from_json(values.get("each")))


def _known(make: Callable[..., T], values: Mapping[str, Any]) -> T:
    """Make a dataclass from those of the values that it has a field for."""
    names = {field.name for field in fields(make)}  # type: ignore[arg-type]
    return make(**{name: value for name, value in values.items() if name in names})
