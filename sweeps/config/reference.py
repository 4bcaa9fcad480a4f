"""Lists every setting with its type, default, meaning and where it applies: as text, and as docs/settings.md."""

import textwrap
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mtvae.config import Choice, Family
from sweeps.config.settings import FIELDS, SETTING_INFO, Settings
from sweeps.text import or_text, value_text

LARGEST_BOUND = 2**19
"""The largest upper bound that a list shows. Larger ones only keep numbers in the range of their type."""
PAGE_HEAD = """\
# Settings

`python -m sweeps.run --settings` prints this list, and `--settings PATTERN` a part of it: `--settings lr`,
`--settings 'model.*'`. The page is generated from the fields of the settings (`sweeps/config/reference.py`).

A setting stands above `grid`, where it is shared by all rows, or in a block of `grid`, where it may be a list that is
swept. `training.lr: 0.001` and `training: {lr: 0.001}` mean the same. A row ignores shared settings that do not apply
to it. Besides its settings, a [grid file](grids.md) has a `name` and the list `grid`.

Numbers such as 3.4.2 are sections of the thesis. Where a table names built-in families, methods or data sets, the
setting also applies to [your own](plug-ins.md) that have the same properties.
"""


def find(pattern: str) -> list[str]:
    """Return the settings that a pattern names, in their order.

    A pattern is a path, a section, a shell-style pattern, or a part of a path or of a synonym. The case does not count.
    A pattern that names no path is looked up in the meanings.
    """
    wanted = pattern.casefold()
    for matches in (
        lambda path: fnmatchcase(path, wanted) or fnmatchcase(path, f"{wanted}.*"),
        lambda path: any(wanted in name for name in (path, *SETTING_INFO[path].synonyms)),
        lambda path: wanted in (FIELDS[path].description or "").casefold(),
    ):
        if found := [path for path in FIELDS if matches(path)]:
            return found
    return []


def listing(paths: Sequence[str], width: int) -> str:
    """Return settings as text for a terminal: the path, then type, default and meaning on indented lines."""
    lines = []
    for path in paths:
        facts = f"{type_text(path)}; default {default_text(path)}"
        where = SETTING_INFO[path].where
        lines.append(path)
        for text in (facts, *([f"applies to: {where}"] if where else []), FIELDS[path].description or ""):
            lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines)


def plug_in_listing(family: Family, width: int) -> str:
    """Return the sizes of a plug-in's family as text, like `listing`."""
    lines = []
    for sizes in family.configurations.values():
        for name, field in type(sizes).model_fields.items():
            facts = f"{or_text(_kinds_of(field))}; default {value_text(field.default)}"
            lines.append(f"model.{name}")
            for text in (facts, f"applies to: family {family.name}", field.description or ""):
                lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines) or f"family {family.name} has no sizes"


def page() -> str:
    """Return the text of docs/settings.md: a table for each section."""
    groups: dict[str, list[str]] = {}
    for path in FIELDS:
        section, dot, _ = path.partition(".")
        groups.setdefault(section if dot else "", []).append(path)
    parts = [PAGE_HEAD.rstrip()]
    for section, paths in groups.items():
        title = f"## `{section}`" if section else "## Without a section"
        rows = [" | ".join(_cells(path)) for path in paths]
        about = [f"\n{_about(section)}"] if section else []
        head = "\n| setting | type | default | applies to | meaning |\n|---|---|---|---|---|"
        parts += [f"\n{title}", *about, head, *[f"| {row} |" for row in rows]]
    return "\n".join(parts) + "\n"


def _cells(path: str) -> Iterator[str]:
    yield f"`{path}`"
    for text in (
        type_text(path),
        default_text(path),
        SETTING_INFO[path].where or "all rows",
        FIELDS[path].description or "",
    ):
        yield text.replace("|", "\\|").replace("<", "&lt;")


def _about(section: str) -> str:
    """Return the first paragraph of a section's docstring."""
    text = Settings.model_fields[section].annotation.__doc__ or ""
    return " ".join(text.partition("\n\n")[0].replace("``", "`").split())


def default_text(path: str) -> str:
    """Return the default of a setting as text."""
    info, default = SETTING_INFO[path], FIELDS[path].default
    if info.default_text:
        return info.default_text
    return value_text(info.default({}) if default is None else default)


def type_text(path: str) -> str:
    """Return the values that a setting takes, as text."""
    field = FIELDS[path]
    choice = next((known for known in field.metadata if isinstance(known, Choice)), None)
    if choice is not None:
        return f"{', '.join(choice)}, or package.module:NAME"
    kinds = _kinds_of(field)
    return or_text([*kinds, "null"] if default_text(path) == "null" else kinds)


def _kinds_of(field: FieldInfo) -> list[str]:
    """Return the types of a field's values as texts, each once."""
    bounds = [item for item in field.metadata if not isinstance(item, FieldInfo)]
    return list(dict.fromkeys(_kinds(field.annotation, bounds)))


def _kinds(annotation: Any, bounds: Sequence[Any]) -> Iterator[str]:
    """Yield the text of each type of a union."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _kinds(arguments[0], [*bounds, *_constraints(arguments[1:])])
    elif origin in (Union, UnionType):
        for member in arguments:
            yield from _kinds(member, bounds)
    elif origin is Literal:
        yield from map(value_text, arguments)
    elif origin is tuple:
        yield f"a list, each {next(_kinds(arguments[0], []))}"
    elif annotation is not NoneType:
        names = {int: "an integer", float: "a number", bool: "true or false", str: "text"}
        yield names[annotation] + _bounds_text(bounds)


def _constraints(metadata: Sequence[Any]) -> Iterator[Any]:
    for item in metadata:
        yield from item.metadata if isinstance(item, FieldInfo) else [item]


def _bounds_text(bounds: Sequence[Any]) -> str:
    """Return the bounds of a number as text: " above 0 and below 1"."""
    words = {"gt": "above", "ge": "from", "lt": "and below", "le": "to"}
    found = [
        f" {word} {value_text(bound)}"
        for name, word in words.items()
        for item in bounds
        if (bound := getattr(item, name, None)) is not None and (name in ("gt", "ge") or bound <= LARGEST_BOUND)
    ]
    return "".join(found)
