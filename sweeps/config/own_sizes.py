"""Sizes of models of one's own, which are settings `model.X` besides those in `FIELDS`.

They are known as soon as the family's plug-in is imported. A grid's families are therefore imported before its settings
are read.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mtvae.config import FAMILIES, Setting, is_plug_in, own_sizes
from sweeps.config.settings import FIELDS, SETTING_INFO, Value, strict_validator, validator

SECTION = "model."
_PLUGGED_IN = ("family", "method", "dataset")
"""The ends of the settings that may name a plug-in."""


def own_fields(path: str) -> dict[str, FieldInfo]:
    """Return the fields of a setting that only plug-ins have, by the name of the family."""
    if not path.startswith(SECTION) or path in FIELDS:
        return {}
    name = path.removeprefix(SECTION)
    sizes = {family.name: own_sizes(family) for family in FAMILIES.plug_ins()}
    return {family: fields[name] for family, fields in sizes.items() if name in fields}


def own_paths() -> list[str]:
    """Return the settings that only plug-ins have, of all plug-ins that are imported."""
    names = [name for family in FAMILIES.plug_ins() for name in own_sizes(family)]
    return [SECTION + name for name in dict.fromkeys(names)]


def all_paths() -> list[str]:
    """Return all settings, those of plug-ins behind those of their section."""
    paths = list(FIELDS)
    end = max(i for i, path in enumerate(paths) if path.startswith(SECTION)) + 1
    return [*paths[:end], *own_paths(), *paths[end:]]


def is_setting(path: str) -> bool:
    """Whether a path is a setting, of a plug-in too."""
    return path in FIELDS or bool(own_fields(path))


def field_of(path: str) -> FieldInfo:
    """Return the field of a setting (`is_setting`); of several plug-ins' it is the first."""
    return FIELDS[path] if path in FIELDS else next(iter(own_fields(path).values()))


def info_of(path: str) -> Setting:
    """Return the `Setting` of a setting. One that only plug-ins have is part of the key."""
    if path in SETTING_INFO:
        return SETTING_INFO[path]
    return Setting(where=f"family {', '.join(own_fields(path))}")


def validated(path: str, value: Any) -> Value:
    """Return a value as its setting takes it. A value that one plug-in takes is valid; each row checks its own.

    Raises:
        ValidationError: no setting of this path takes the value.
    """
    if path in FIELDS:
        return validator(path).validate_python(value)
    fields = list(own_fields(path).values())
    for field in fields[1:]:
        with suppress(ValidationError):
            return strict_validator(field).validate_python(value)
    return strict_validator(fields[0]).validate_python(value)


def import_families(document: Any, overrides: Sequence[str], folder: str) -> None:
    """Import the families that a grid names, so that their sizes are known. What cannot be imported is reported later.

    Plug-ins are looked for on `sys.path`, and then beside the grid's file.

    Args:
        document: the grid's parsed text.
        overrides: the values of `--set`.
        folder: the folder of the grid's file.
    """
    given = (text.partition("=") for text in overrides)
    named = [(path.strip(), value.strip(" '\"")) for path, _, value in given]
    plug_ins = dict.fromkeys(
        (path.rpartition(".")[2], name) for path, name in [*_texts(document), *named] if is_plug_in(name)
    )
    plug_ins = {(end, name): None for end, name in plug_ins if end in _PLUGGED_IN}
    if plug_ins and os.path.abspath(folder) not in map(os.path.abspath, sys.path):
        sys.path.append(os.path.abspath(folder))
    for end, name in plug_ins:
        with suppress(KeyError):
            if end == "family":
                FAMILIES[name]


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a document, each with the nearest key above it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, name)
    elif isinstance(value, tuple):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield key, value
