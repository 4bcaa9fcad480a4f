"""Reads the settings in a parsed grid file, and collects the problems that it finds, each with its line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_origin

from pydantic import ValidationError

from mtvae.config import Section
from sweeps.config import yaml_reader
from sweeps.config.own_sizes import field_of, is_setting, validated
from sweeps.config.problems import MAX_TEXT, explain_invalid, group_message, truncate, unknown_setting_message
from sweeps.config.scalars import resolve_ambiguous
from sweeps.config.settings import SECTIONS, Value, strict_validator, union_members
from sweeps.config.suggestions import possible_settings
from sweeps.text import nearest, yaml_text

SHORTHAND = {"soft_adapt": "soft_adapt.variant"}
"""Groups of settings that may be given as one value, and the setting that gets this value."""


@dataclass(frozen=True)
class SourcedValue:
    """A value of a setting, and where it was written."""

    value: Value
    where: str


@dataclass
class GridReader:
    """Reads the settings of a document, and collects the problems that it finds.

    Attributes:
        source: what the document is called in messages.
        problems: the problems found so far, one line each.
        invalid: the settings that have an invalid value, or that an unknown name may mean.
        replaced: where the values of paths come from that `--set` has replaced.
    """

    source: str
    document: yaml_reader.Document
    problems: list[str] = field(default_factory=list)
    invalid: set[str] = field(default_factory=set)
    replaced: dict[yaml_reader.Path, str] = field(default_factory=dict)

    def where(self, path: yaml_reader.Path) -> str:
        """Return the source and the line of a path, or of the nearest path above it that has a line.

        A path whose value comes from `--set`, and every path below it, has no line: the option is returned instead.
        """
        for length in range(len(path), 0, -1):
            if path[:length] in self.replaced:
                return self.replaced[path[:length]]
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
                self.invalid.add(key)
                continue
            elif not is_setting(key):
                self.problem(where, unknown_setting_message(key))
                self.invalid.update(possible_settings(key))
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
        is_list_of_values = isinstance(value, tuple) and not (_takes_tuple(path) and _is_flat(value))
        if several and is_list_of_values:
            choices = list(value)
            if not choices:
                self.problem(where, f"{path} is an empty list, so there is nothing to run")
        valid = []
        for choice in choices:
            try:
                valid.append(SourcedValue(validated(path, resolve_ambiguous(choice)), where))
            except ValidationError as error:
                hint = "; a list is swept inside a block of grid" if is_list_of_values and not several else ""
                self.problem(where, explain_invalid(path, choice, error, field_of(path)) + hint)
                self.invalid.add(path)
        return valid

    def read_keys(
        self, keys: type[Section], block: Mapping[str, Any], name: str, at: yaml_reader.Path
    ) -> dict[str, Any]:
        """Return the values of those of a block's keys that hold one value; add a problem for each that is not valid.

        A key that is left out or is not valid has its default; None if it has none.

        Args:
            keys: a section with a field for each key.
            name: what messages call the block.
            at: where the block stands in the document.
        """
        values: dict[str, Any] = {}
        for key, info in keys.model_fields.items():
            values[key] = None if info.is_required() else info.default
            if key in block:
                try:
                    values[key] = strict_validator(info).validate_python(resolve_ambiguous(block[key]))
                except ValidationError as error:
                    self.problem(self.where((*at, key)), explain_invalid(f"{name}.{key}", block[key], error, info))
            elif info.is_required():
                self.problem(self.where(at), f"{name}.{key} is missing")
        return values

    def check_keys(self, block: Mapping[str, Any], known: Sequence[str], name: str, at: yaml_reader.Path) -> None:
        """Add a problem for each key of a block that is not known."""
        for key in block:
            if key not in known:
                text = f"{truncate(key, 60) or yaml_text(key)} is not a key of {name}"
                self.problem(self.where((*at, key)), f"{text}, which has {', '.join(known)}{nearest(key, known)}")


def _takes_tuple(path: str) -> bool:
    return any(get_origin(option) is tuple for option in union_members(field_of(path).annotation))


def _is_flat(value: tuple[Any, ...]) -> bool:
    return not any(isinstance(item, tuple) for item in value)
