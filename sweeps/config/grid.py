"""One YAML file -> the configurations of a sweep, or every problem in it at once, each with its line."""

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

import yaml
from pydantic import ValidationError

from sweeps.config import yaml_reader
from sweeps.config.problems import MAX_TEXT, cut, explain, few, is_group, is_unknown, shown, type_name
from sweeps.config.rules import Impossible, resolve
from sweeps.config.scalars import NUMBER, settled
from sweeps.config.settings import LEAVES, SECTIONS, Settings, Value, adapter, flatten, options
from sweeps.text import UNSET, one_line

SHORTHAND = {"soft_adapt": "soft_adapt.variant"}
"""Groups of settings that may be given as one value, and the setting that it is."""

NAME = re.compile(r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(\.|$))[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
"""Of a sweep and of its folder, on Windows too, where results are looked at: no device's name, no dot at the end."""
MAX_ROWS = 100_000
SHIPPED = Path(str(resources.files("sweeps") / "grids"))
"""The folder of the grids that come with this package."""


class GridError(ValueError):
    """A grid that cannot be used.

    Attributes:
        every: all problems, a line each.
        problems: lines ready to be shown: of many problems some, and how many more there are.
    """

    def __init__(self, problems: Sequence[str]):
        self.every = list(dict.fromkeys(map(one_line, problems)))
        self.problems = few(self.every)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True)
class Grid:
    """A sweep's name and its configurations, each once, in the file's order. `merged`: repeats that were left out."""

    name: str
    rows: tuple[Settings, ...]
    merged: int = 0

    def dump(self, keys: Sequence[str]) -> str:
        """Return the resolved grid as a grid file: every setting that applies, and each row's key beside it."""
        shared, own = shared_and_own(self.rows)
        head = "# The resolved grid of a run: every setting, and the key that names each row's files.\n"
        blocks = [f"- {_plain(values, True).rstrip()}  # {key}\n" for key, values in zip(keys, own, strict=True)]
        return head + _plain({"name": self.name} | shared, False) + "grid:\n" + "".join(blocks)


def _plain(values: dict[str, Value], flow: bool) -> str:
    """Settings as YAML, on one line or a line each."""
    values = {path: list(v) if isinstance(v, tuple) else v for path, v in values.items()}
    return yaml.dump(values, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, width=10**6, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, whose text is read as it is written."""

    def text(self, text: str) -> yaml.ScalarNode:
        """In quotes with escapes where it has line breaks, of which PyYAML's other styles lose some."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))  # 1e5 is no text to us


@dataclass(frozen=True)
class SourcedValue:
    """A value that somebody wrote, and where."""

    value: Value
    where: str


@dataclass(frozen=True)
class Name:
    """A sweep's name as somebody wrote it. `text`: how, where YAML takes it for something else than text."""

    value: Any
    text: str
    where: str

    def wrong(self) -> str:
        """What is wrong with it; empty for a name."""
        if isinstance(self.value, str) and NAME.fullmatch(self.value):
            return ""
        if NAME.fullmatch(self.text):
            return f"name is {self.text}, which YAML takes for {type_name(self.value)}: put it in quotes"
        rule = "letters, digits, '.', '_', '-', at most 64, first a letter or digit, last no '.', no device (nul)"
        if self.value is None:
            return f"name is missing ({rule})"
        return f"name is {self.text or shown(self.value)}; it must be {rule}"


@dataclass
class Reader:
    """Collects problems while a document is taken apart."""

    source: str
    document: yaml_reader.Document
    problems: list[str] = field(default_factory=list)

    def where(self, path: yaml_reader.Path) -> str:
        while path not in self.document.lines:
            path = path[:-1]
        return f"{self.source}, line {self.document.lines[path]}"

    def problem(self, where: str, message: str) -> None:
        self.problems.append(f"{cut(where, MAX_TEXT)}: {cut(message, MAX_TEXT)}")

    def settings(self, mapping: dict[str, Any], path: yaml_reader.Path, several: bool) -> dict[str, list[SourcedValue]]:
        """The values given for each setting in a mapping: one each, or (`several`) any number to choose from."""
        given: dict[str, list[SourcedValue]] = {}
        for key, value in mapping.items():
            where = self.where((*path, key))
            if key in SHORTHAND and not isinstance(value, dict):
                key = SHORTHAND[key]
            if key in SECTIONS and isinstance(value, dict):
                inner = {f"{key}.{leaf}": item for leaf, item in value.items()}
                for leaf in value:
                    self.document.lines[(*path, f"{key}.{leaf}")] = self.document.lines[(*path, key, leaf)]
                entries = self.settings(inner, path, several)
            elif key in SECTIONS:
                self.problem(where, is_group(key))
                continue
            elif key not in LEAVES:
                self.problem(where, is_unknown(key))
                continue
            else:
                entries = {key: self.choices(key, value, where, several)}
            for name in entries.keys() & given.keys():
                self.problem(where, f"{name} is set twice")
            given |= entries
        return given

    def choices(self, path: str, value: Any, where: str, several: bool) -> list[SourcedValue]:
        """The valid values among those written for one setting."""
        choices = [value]
        if several and isinstance(value, tuple) and not (_takes_tuple(path) and _is_flat(value)):
            choices = list(value)
            if not choices:
                self.problem(where, f"{path} is an empty list: nothing to run")
        valid = []
        for choice in choices:
            try:
                valid.append(SourcedValue(adapter(path).validate_python(settled(choice)), where))
            except ValidationError as error:
                self.problem(where, explain(path, choice, error))
        return valid


def _takes_tuple(path: str) -> bool:
    return any(get_origin(option) is tuple for option in options(LEAVES[path].annotation))


def _is_flat(value: tuple[Any, ...]) -> bool:
    return not any(isinstance(item, tuple) for item in value)


def find(grid: str) -> Path:
    """The file of a grid: a path, a file in the current folder, or a grid shipped with this package, in that order.

    Raises:
        GridError: none of them exists.
    """
    path = Path(grid)
    with contextlib.suppress(RuntimeError):  # ~nobody
        path = path.expanduser()
    if os.path.exists(path):  # False of a name that no file can have, where Path.exists raises
        return path
    if path.name == grid and os.path.isfile(SHIPPED / grid):
        return SHIPPED / grid
    names = sorted(file.name for file in SHIPPED.glob("*.yaml"))
    raise GridError([f"{grid}: no such file, and no shipped grid of that name ({', '.join(names)})"])


def load(grid: str, overrides: Sequence[str] = ()) -> Grid:
    """Reads a grid file and applies `key.path=value` overrides, which win over the file everywhere.

    Raises:
        GridError: with every problem found.
    """
    path = find(grid)
    try:
        document = yaml_reader.read(path)
    except yaml_reader.Unreadable as error:
        line = f", line {error.line}" if error.line else ""
        raise GridError([f"{path}{line}: {error}"]) from None
    return read(document, str(path), overrides)


def read(document: yaml_reader.Document, source: str, overrides: Sequence[str] = ()) -> Grid:
    """As `load`, for a parsed document called `source` in messages."""
    reader = Reader(source, document)
    for line, message in document.problems:
        reader.problem(f"{source}, line {line}", message)
    top = document.value
    if not isinstance(top, dict):
        raise GridError([*reader.problems, f"{source}: must be settings with a name and a grid, not {type_name(top)}"])
    replaced, named = _overrides(overrides, reader)
    name = named or Name(top.get("name"), document.texts.get(("name",), ""), reader.where(("name",)))
    if wrong := name.wrong():
        reader.problem(name.where, wrong)
    shared = reader.settings({k: v for k, v in top.items() if k not in ("name", "grid")}, (), several=False)
    rows = _rows(reader, top, shared, replaced)
    if reader.problems:
        raise GridError(reader.problems)
    unique = dict.fromkeys(rows)
    return Grid(name.value, tuple(unique), merged=len(rows) - len(unique))


def _overrides(overrides: Sequence[str], reader: Reader) -> tuple[dict[str, SourcedValue], Name | None]:
    """The values of `--set`, by path, and the sweep's name if it is among them."""
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
        elif not text.strip() and path in LEAVES:
            reader.problem(where, f"{path} {UNSET} (no value is written null)")
        elif yaml_reader.has_comment(text):
            reader.problem(where, "# begins a comment: put the value in quotes, inside those of the shell")
        elif path == "name":
            name = Name(document.value, document.texts.get((), ""), where)
        elif path == "grid":
            reader.problem(where, "the blocks of a grid stand in its file; --set sets one setting in all of them")
        elif path in SECTIONS:
            reader.problem(where, is_group(path))
        elif path not in LEAVES:
            reader.problem(where, is_unknown(path))
        elif choices := reader.choices(path, document.value, where, several=False):
            replaced[path] = choices[0]
    return replaced, name


def _rows(
    reader: Reader, top: dict[str, Any], shared: dict[str, list[SourcedValue]], replaced: dict[str, SourcedValue]
) -> list[Settings]:
    """The product of every block's lists, block after block; later keys of a block vary fastest."""
    blocks = top.get("grid")
    where = reader.where(("grid",))
    if not isinstance(blocks, tuple) or not blocks:
        reader.problem(where, "grid is missing or empty: it must be a list of blocks, each a mapping of settings")
        return []
    base = {path: given[0] for path, given in shared.items() if given} | replaced
    rows: list[Settings] = []
    for i, block in enumerate(blocks):
        if not isinstance(block, dict):
            reader.problem(reader.where(("grid", i)), f"a block must be a mapping of settings, not {type_name(block)}")
            continue
        given = reader.settings(block, ("grid", i), several=True)
        lists = {path: choices for path, choices in given.items() if path not in replaced and choices}
        if len(rows) + math.prod(map(len, lists.values())) > MAX_ROWS:
            reader.problem(reader.where(("grid", i)), f"more than {MAX_ROWS:,} rows")
            return rows
        for combination in itertools.product(*lists.values()):
            own = dict(zip(lists, combination, strict=True))
            row = base | own
            try:
                asked = frozenset(own) | frozenset(replaced if len(blocks) == 1 else ())
                rows.append(resolve({path: item.value for path, item in row.items()}, asked))
            except Impossible as error:
                for path, why in error.problems:
                    at = row[path].where if path in row else reader.where(("grid", i))
                    value = row[path].value if path in row else ""
                    text = value if isinstance(value, str) else shown(value)
                    reader.problem(at, f"{path} {text}".rstrip() + f": {why}")
    return rows


def common(flats: Sequence[dict[str, Value]]) -> dict[str, Value]:
    """The flattened settings that all rows have in common, None where they apply to none."""
    return {path: value for path, value in flats[0].items() if all(flat[path] == value for flat in flats)}


def shared_and_own(rows: Sequence[Settings]) -> tuple[dict[str, Value], list[dict[str, Value]]]:
    """Settings that all rows have in common, and for each row what is its own, without what does not apply."""
    flats = [flatten(row) for row in rows]
    shared = common(flats)
    own = [{p: v for p, v in flat.items() if p not in shared and v is not None} for flat in flats]
    return {path: value for path, value in shared.items() if value is not None}, own
