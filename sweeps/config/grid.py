"""Reads a YAML file into the configurations of a sweep, or reports all its problems at once, each with its line."""

import itertools
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sweeps.config import overrides as set_options
from sweeps.config import search_reader, yaml_reader
from sweeps.config.grid_files import SHIPPED, NoSuchGrid, find_file
from sweeps.config.grid_reader import SHORTHAND, GridReader, SourcedValue
from sweeps.config.own_sizes import import_families, is_setting
from sweeps.config.problems import (
    SEARCH_BLOCKS,
    group_message,
    limit_problems,
    short_yaml,
    type_name,
    unknown_setting_message,
)
from sweeps.config.rules import IncompatibleSettings, decides, resolve
from sweeps.config.search import Racing, Search
from sweeps.config.search_writer import racing_block, search_blocks
from sweeps.config.settings import FIELDS, SECTIONS, Settings, Value, flatten
from sweeps.config.yaml_writer import settings_to_yaml
from sweeps.text import UNSET, one_line

NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
"""The name of a sweep and of its folder. Results may be looked at on Windows, so names of devices and a dot at the end
are excluded."""
MAX_ROWS = 100_000
__all__ = ["SHIPPED", "Grid", "GridError", "GridReader", "load", "read"]


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
    """A sweep's name and its configurations, each once, in the file's order. `merged` counts the repeated rows.

    `search` proposes further configurations; `racing` stops configurations early. None where the file asks for neither.
    `given` holds the settings that the file or `--set` gives. Grids are equal whatever their files leave to defaults.
    """

    name: str
    rows: tuple[Settings, ...]
    merged: int = 0
    search: Search | None = None
    racing: Racing | None = None
    given: frozenset[str] = field(default=frozenset(FIELDS), compare=False)

    def dump(self, keys: Sequence[str]) -> str:
        """Return the resolved grid as a grid file: every setting that applies, and each row's key beside it.

        With a search, only settings that its suggestions share too stand above the rows.
        """
        shared, own = shared_and_own(self.rows)
        if self.search is not None:
            base = self.search.base
            row_only = {path: value for path, value in shared.items() if path not in base or base[path] != value}
            shared = {path: value for path, value in shared.items() if path not in row_only}
            own = [row_only | values for values in own]
        text = "# The resolved grid of a run: every setting, and the key that names each row's files.\n"
        text += settings_to_yaml({"name": self.name} | shared, False)
        if self.search is not None:
            text += settings_to_yaml(search_blocks(self.search, self.racing, shared), None)
        elif self.racing is not None:
            text += settings_to_yaml(racing_block(self.racing), None)
        lines = [settings_to_yaml(values, True).rstrip() for values in own]
        blocks = [f"- {line}  # {key}\n" for key, line in zip(keys, lines, strict=True)]
        return text + "grid:\n" * bool(blocks) + "".join(blocks)


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


def load(grid: str, overrides: Sequence[str] = ()) -> Grid:
    """Read a grid file and apply `key.path=value` overrides, which replace the file's values everywhere.

    Raises:
        GridError: the file has problems; the error holds all of them.
    """
    try:
        path = find_file(grid)
        document = yaml_reader.read(path)
    except yaml_reader.Unreadable as error:
        line = f", line {error.line}" if error.line else ""
        raise GridError([f"{path}{line}: {error}"]) from None
    except NoSuchGrid as error:
        raise GridError([str(error)]) from None
    return read(document, str(path), overrides)


def read(document: yaml_reader.Document, source: str, overrides: Sequence[str] = ()) -> Grid:
    """Read a parsed document as `load` reads a file; `source` is what messages call it, and plug-ins are beside it."""
    import_families(document.value, overrides, os.path.dirname(source) or os.curdir)
    reader = GridReader(source, document)
    for line, message in document.problems:
        reader.problem(f"{source}, line {line}", message)
    top = document.value
    if not isinstance(top, dict):
        raise GridError(
            [*reader.problems, f"{source}: it must hold settings with a name and a grid, not {type_name(top)}"]
        )
    replaced, named, edits = _read_overrides(overrides, reader)
    name = named or SourcedName(top.get("name"), document.texts.get(("name",), ""), reader.where(("name",)))
    if problem := name.problem():
        reader.problem(name.where, problem)
    top = search_reader.with_edits(reader, top, edits)
    settings = {k: v for k, v in top.items() if k not in ("name", "grid", *SEARCH_BLOCKS)}
    given = reader.read_settings(settings, (), several=False)
    shared = {path: values[0] for path, values in given.items() if values}
    search = racing = None
    if "search" in top:
        search, racing = search_reader.read_search(reader, top, shared, replaced, edits)
    elif "base" in top:
        reader.problem(
            reader.where(("base",)), "base is what a search's suggestions share, and this file has no search"
        )
    rows, in_blocks = _read_rows(reader, top, shared, replaced) if "grid" in top or "search" not in top else ([], set())
    if "racing" in top and "search" not in top:
        racing = search_reader.read_racing(reader, top, rows)
    if reader.problems:
        raise GridError(reader.problems)
    unique = dict.fromkeys(rows)
    searched = set() if search is None else {*search.base, *search.space}
    all_given = frozenset({*given, *replaced, *in_blocks, *searched})
    return Grid(name.value, tuple(unique), len(rows) - len(unique), search, racing, all_given)


def _read_overrides(
    overrides: Sequence[str], reader: GridReader
) -> tuple[dict[str, SourcedValue], SourcedName | None, list[search_reader.Edit]]:
    """Return the settings of `--set` by path, the sweep's name if it is among them, and the edits to a search."""
    replaced: dict[str, SourcedValue] = {}
    name = None
    edits = []
    for override in overrides:
        where = f"--set {override}"
        path, equals, text = override.partition("=")
        path = path.strip()
        as_it_stands = set_options.as_it_stands(path, text)
        try:
            document = yaml_reader.parse(text) if as_it_stands is None else yaml_reader.Document(as_it_stands)
        except yaml_reader.Unreadable as error:
            reader.problem(where, str(error))
            continue
        if path in SHORTHAND and not isinstance(document.value, dict):
            path = SHORTHAND[path]
        of_search = path.partition(".")[0] in SEARCH_BLOCKS
        if not equals:
            reader.problem(where, "must be key.path=value")
        elif not text.strip() and (is_setting(path) or of_search):
            reader.problem(where, f"{path} {UNSET} (write null for no value)")
        elif as_it_stands is None and yaml_reader.has_comment(text):
            reader.problem(where, "# begins a comment: put the value in quotes, inside the shell's own quotes")
        elif of_search:
            edits.append(search_reader.Edit(path, document.value, where))
        elif path == "name":
            name = SourcedName(document.value, document.texts.get((), ""), where)
        elif path == "grid":
            reader.problem(where, "the blocks of a grid are set in its file; --set changes one setting in all of them")
        elif path in SECTIONS:
            reader.problem(where, group_message(path))
        elif not is_setting(path):
            reader.problem(where, unknown_setting_message(path))
        elif choices := reader.valid_choices(path, document.value, where, several=False):
            replaced[path] = choices[0]
    return replaced, name, edits


def _read_rows(
    reader: GridReader, top: dict[str, Any], shared: dict[str, SourcedValue], replaced: dict[str, SourcedValue]
) -> tuple[list[Settings], set[str]]:
    """Return the product of each block's lists, block after block, and the settings that blocks give.

    Later keys of a block vary fastest.
    """
    blocks = top.get("grid")
    where = reader.where(("grid",))
    if not isinstance(blocks, tuple) or not blocks:
        reader.problem(where, "grid is missing or empty: it must be a list of blocks, each a mapping of settings")
        return [], set()
    base = shared | replaced
    rows: list[Settings] = []
    in_blocks: set[str] = set()
    invalid_above = reader.invalid
    for i, block in enumerate(blocks):
        if not isinstance(block, dict):
            reader.problem(reader.where(("grid", i)), f"a block must be a mapping of settings, not {type_name(block)}")
            continue
        reader.invalid = set()
        given = reader.read_settings(block, ("grid", i), several=True)
        in_blocks |= given.keys()
        if any(map(decides, reader.invalid | (invalid_above - given.keys()) - replaced.keys())):
            continue  # whether the other settings fit is not known
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
                in_file = {path: item.value for path, item in shared.items()}
                in_file |= {path: choices[0].value for path, choices in given.items() if choices}
                for path, why in error.problems:
                    if path not in row and path in invalid_above | reader.invalid:
                        continue  # it is not missing: its value is reported already
                    at = row[path].where if path in row else reader.where(("grid", i))
                    value = row[path].value if path in row else ""
                    text = value if isinstance(value, str) else short_yaml(value)
                    what = f"{path} {text}".rstrip()
                    values = {name: item.value for name, item in row.items()}
                    if path not in replaced and (
                        options := set_options.causes((path, why), values, list(replaced), in_file, set_for_row)
                    ):
                        what += f" ({at})" if path in row else ""
                        at = ", ".join(replaced[option].where for option in options)
                    reader.problem(at, f"{what}: {why}")
    return rows, in_blocks


def common_settings(flats: Sequence[dict[str, Value]]) -> dict[str, Value]:
    """Return the flattened settings that all rows have in common; None marks those that apply to no row.

    Returns none if there are no rows.
    """
    first = flats[0] if flats else {}
    return {path: value for path, value in first.items() if all(flat.get(path) == value for flat in flats)}


def shared_and_own(rows: Sequence[Settings]) -> tuple[dict[str, Value], list[dict[str, Value]]]:
    """Return the settings that all rows have in common, and the other settings of each row.

    Settings that do not apply are left out.
    """
    flats = [flatten(row) for row in rows]
    shared = common_settings(flats)
    own = [{p: v for p, v in flat.items() if p not in shared and v is not None} for flat in flats]
    return {path: value for path, value in shared.items() if value is not None}, own
