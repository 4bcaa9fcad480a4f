"""Reads a YAML file into the configurations of a sweep, or reports all its problems at once, each with its line."""

import contextlib
import itertools
import math
import os.path
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, get_origin

from pydantic import ValidationError

from sweeps.config import yaml_reader
from sweeps.config.problems import (
    MAX_TEXT,
    explain_invalid,
    group_message,
    limit_problems,
    short_yaml,
    truncate,
    type_name,
    unknown_setting_message,
)
from sweeps.config.rules import IncompatibleSettings, resolve
from sweeps.config.scalars import resolve_ambiguous
from sweeps.config.settings import FIELDS, SECTIONS, Settings, Value, flatten, union_members, validator
from sweeps.config.yaml_writer import settings_to_yaml
from sweeps.text import UNSET, one_line

SHORTHAND = {"soft_adapt": "soft_adapt.variant"}
"""Groups of settings that may be given as one value, and the setting that gets this value."""

NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
"""The name of a sweep and of its folder. Results may be looked at on Windows, so names of devices and a dot at the end
are excluded."""
MAX_ROWS = 100_000
SHIPPED = Path(str(resources.files("sweeps") / "grids"))
"""The folder of the grids that come with this package."""


class GridError(ValueError):
    """A grid that cannot be used.

    Attributes:
        all_problems: every problem, one line each.
        problems: the lines to show: at most `MAX_SHOWN` problems, and how many more there are.
    """

    def __init__(self, problems: Sequence[str]):
        self.all_problems = list(dict.fromkeys(map(one_line, problems)))
        self.problems = limit_problems(self.all_problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Grid:
    """A sweep's name and its configurations, each once, in the file's order.

    `merged` counts the repeated rows. `given` holds the settings that the file or `--set` gives.
    """

    name: str
    rows: tuple[Settings, ...]
    merged: int = 0
    given: frozenset[str] = frozenset(FIELDS)

    def dump(self, keys: Sequence[str]) -> str:
        """Return the resolved grid as a grid file: every setting that applies, and each row's key beside it."""
        shared, own = shared_and_own(self.rows)
        head = "# The resolved grid of a run: every setting, and the key that names each row's files.\n"
        lines = [settings_to_yaml(values, True).rstrip() for values in own]
        blocks = [f"- {line}  # {key}\n" for key, line in zip(keys, lines, strict=True)]
        return head + settings_to_yaml({"name": self.name} | shared, False) + "grid:\n" + "".join(blocks)


@dataclass(frozen=True)
class SourcedValue:
    """A value of a setting, and where it was written."""

    value: Value
    where: str


@dataclass(frozen=True)
class SourcedName:
    """A sweep's name, and where it was written.

    `text` is the name as it was written if YAML reads it as something else than text; otherwise it is empty.
    """

    value: Any
    text: str
    where: str

    def problem(self) -> str:
        """Return what is wrong with the name, or an empty text."""
        if isinstance(self.value, str) and NAME.fullmatch(self.value):
            return ""
        if NAME.fullmatch(self.text):
            return f"name is {self.text}, which YAML reads as {type_name(self.value)}: put it in quotes"
        rule = (
            "letters, digits, '.', '_' or '-', at most 64 characters; it must begin with a letter or digit, "
            "must not end with '.', and must not be the name of a Windows device (nul)"
        )
        if self.value is None:
            return f"name is missing; it must be {rule}"
        return f"name is {self.text or short_yaml(self.value)}; it must be {rule}"


@dataclass
class GridReader:
    """Reads the settings of a document, and collects the problems that it finds.

    `source` is what the document is called in messages. `refused`: settings with a value that is not valid.
    """

    source: str
    document: yaml_reader.Document
    problems: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def where(self, path: yaml_reader.Path) -> str:
        """Return the source and the line of a path, or of the nearest path above it that has a line."""
        while path not in self.document.lines:
            path = path[:-1]
        return f"{self.source}, line {self.document.lines[path]}"

    def problem(self, where: str, message: str) -> None:
        """Add a problem."""
        self.problems.append(f"{truncate(where, MAX_TEXT)}: {truncate(message, MAX_TEXT)}")

    def read_settings(
        self, mapping: dict[str, Any], path: yaml_reader.Path, several: bool
    ) -> dict[str, list[SourcedValue]]:
        """Return the values that a mapping gives for each setting, by dotted path.

        Args:
            path: where the mapping stands in the document.
            several: whether a setting may have a list of values, as in a block; otherwise it has one value.
        """
        given: dict[str, list[SourcedValue]] = {}
        for key, value in mapping.items():
            where = self.where((*path, key))
            if key in SHORTHAND and not isinstance(value, dict):
                key = SHORTHAND[key]
            if key in SECTIONS and isinstance(value, dict):
                inner = {f"{key}.{leaf}": item for leaf, item in value.items()}
                for leaf in value:
                    self.document.lines[(*path, f"{key}.{leaf}")] = self.document.lines[(*path, key, leaf)]
                entries = self.read_settings(inner, path, several)
            elif key in SECTIONS:
                self.problem(where, group_message(key))
                continue
            elif key not in FIELDS:
                self.problem(where, unknown_setting_message(key))
                continue
            else:
                entries = {key: self.valid_choices(key, value, where, several)}
            for name in entries.keys() & given.keys():
                self.problem(where, f"{name} is set twice")
            given |= entries
        return given

    def valid_choices(self, path: str, value: Any, where: str, several: bool) -> list[SourcedValue]:
        """Return the valid values among those written for one setting; add a problem for each other value."""
        choices = [value]
        if several and isinstance(value, tuple) and not (_takes_tuple(path) and _is_flat(value)):
            choices = list(value)
            if not choices:
                self.problem(where, f"{path} is an empty list, so there is nothing to run")
        valid = []
        for choice in choices:
            try:
                valid.append(SourcedValue(validator(path).validate_python(resolve_ambiguous(choice)), where))
            except ValidationError as error:
                self.refused.add(path)
                self.problem(where, explain_invalid(path, choice, error))
        return valid


def _takes_tuple(path: str) -> bool:
    return any(get_origin(option) is tuple for option in union_members(FIELDS[path].annotation))


def _is_flat(value: tuple[Any, ...]) -> bool:
    return not any(isinstance(item, tuple) for item in value)


def find_file(grid: str) -> Path:
    """Return a grid's file: an existing path, or else the grid of this name that is shipped with this package.

    Raises:
        GridError: none of them exists.
    """
    path = Path(grid)
    with contextlib.suppress(RuntimeError):  # "~nobody": there is no such user
        path = path.expanduser()
    if os.path.exists(path):  # returns False for a name that no file can have; Path.exists raises
        return path
    if path.name == grid and os.path.isfile(SHIPPED / grid):
        return SHIPPED / grid
    names = sorted(file.name for file in SHIPPED.glob("*.yaml"))
    raise GridError([f"{grid}: no such file, and no shipped grid of that name ({', '.join(names)})"])


def load(grid: str, overrides: Sequence[str] = ()) -> Grid:
    """Read a grid file and apply `key.path=value` overrides, which replace the file's values everywhere.

    Raises:
        GridError: the file has problems; the error holds all of them.
    """
    path = find_file(grid)
    try:
        document = yaml_reader.read(path)
    except yaml_reader.Unreadable as error:
        line = f", line {error.line}" if error.line else ""
        raise GridError([f"{path}{line}: {error}"]) from None
    return read(document, str(path), overrides)


def read(document: yaml_reader.Document, source: str, overrides: Sequence[str] = ()) -> Grid:
    """Read a parsed document as `load` reads a file; `source` is what messages call it."""
    reader = GridReader(source, document)
    for line, message in document.problems:
        reader.problem(f"{source}, line {line}", message)
    top = document.value
    if not isinstance(top, dict):
        raise GridError(
            [*reader.problems, f"{source}: it must hold settings with a name and a grid, not {type_name(top)}"]
        )
    replaced, named = _read_overrides(overrides, reader)
    name = named or SourcedName(top.get("name"), document.texts.get(("name",), ""), reader.where(("name",)))
    if problem := name.problem():
        reader.problem(name.where, problem)
    shared = reader.read_settings({k: v for k, v in top.items() if k not in ("name", "grid")}, (), several=False)
    rows, given = _read_rows(reader, top, shared, replaced)
    if reader.problems:
        raise GridError(reader.problems)
    unique = dict.fromkeys(rows)
    return Grid(name.value, tuple(unique), len(rows) - len(unique), frozenset({*shared, *replaced, *given}))


def _read_overrides(overrides: Sequence[str], reader: GridReader) -> tuple[dict[str, SourcedValue], SourcedName | None]:
    """Return the values of `--set` by path, and the sweep's name if it is among them."""
    replaced: dict[str, SourcedValue] = {}
    name = None
    for override in overrides:
        where = f"--set {override}"
        path, equals, text = override.partition("=")
        path = path.strip()
        try:
            document = yaml_reader.parse(text)
        except yaml_reader.Unreadable as error:
            reader.problem(where, str(error))
            continue
        if path in SHORTHAND and not isinstance(document.value, dict):
            path = SHORTHAND[path]
        if not equals:
            reader.problem(where, "must be key.path=value")
        elif not text.strip() and path in FIELDS:
            reader.problem(where, f"{path} {UNSET} (write null for no value)")
        elif yaml_reader.has_comment(text):
            reader.problem(where, "# begins a comment: put the value in quotes, inside the shell's own quotes")
        elif path == "name":
            name = SourcedName(document.value, document.texts.get((), ""), where)
        elif path == "grid":
            reader.problem(where, "the blocks of a grid are set in its file; --set changes one setting in all of them")
        elif path in SECTIONS:
            reader.problem(where, group_message(path))
        elif path not in FIELDS:
            reader.problem(where, unknown_setting_message(path))
        elif choices := reader.valid_choices(path, document.value, where, several=False):
            replaced[path] = choices[0]
    return replaced, name


def _read_rows(
    reader: GridReader, top: dict[str, Any], shared: dict[str, list[SourcedValue]], replaced: dict[str, SourcedValue]
) -> tuple[list[Settings], set[str]]:
    """Return the product of each block's lists, block after block, and the settings that blocks give.

    Later keys of a block vary fastest.
    """
    blocks = top.get("grid")
    where = reader.where(("grid",))
    if not isinstance(blocks, tuple) or not blocks:
        reader.problem(where, "grid is missing or empty: it must be a list of blocks, each a mapping of settings")
        return [], set()
    base = {path: given[0] for path, given in shared.items() if given} | replaced
    rows: list[Settings] = []
    in_blocks: set[str] = set()
    for i, block in enumerate(blocks):
        if not isinstance(block, dict):
            reader.problem(reader.where(("grid", i)), f"a block must be a mapping of settings, not {type_name(block)}")
            continue
        given = reader.read_settings(block, ("grid", i), several=True)
        in_blocks |= given.keys()
        lists = {path: choices for path, choices in given.items() if path not in replaced and choices}
        if len(rows) + math.prod(map(len, lists.values())) > MAX_ROWS:
            reader.problem(reader.where(("grid", i)), f"the grid has more than {MAX_ROWS:,} rows")
            return rows, in_blocks
        for combination in itertools.product(*lists.values()):
            own = dict(zip(lists, combination, strict=True))
            row = base | own
            try:
                set_for_row = frozenset(own) | frozenset(replaced if len(blocks) == 1 else ())
                rows.append(resolve({path: item.value for path, item in row.items()}, set_for_row))
            except IncompatibleSettings as error:
                for path, why in error.problems:
                    if path not in row and path in reader.refused:
                        continue  # it is not missing: its value is reported already
                    at = row[path].where if path in row else reader.where(("grid", i))
                    value = row[path].value if path in row else ""
                    text = value if isinstance(value, str) else short_yaml(value)
                    reader.problem(at, f"{path} {text}".rstrip() + f": {why}")
    return rows, in_blocks


def common_settings(flats: Sequence[dict[str, Value]]) -> dict[str, Value]:
    """Return the flattened settings that all rows have in common; None marks those that apply to no row."""
    return {path: value for path, value in flats[0].items() if all(flat[path] == value for flat in flats)}


def shared_and_own(rows: Sequence[Settings]) -> tuple[dict[str, Value], list[dict[str, Value]]]:
    """Return the settings that all rows have in common, and the other settings of each row.

    Settings that do not apply are left out.
    """
    flats = [flatten(row) for row in rows]
    shared = common_settings(flats)
    own = [{p: v for p, v in flat.items() if p not in shared and v is not None} for flat in flats]
    return {path: value for path, value in shared.items() if value is not None}, own
