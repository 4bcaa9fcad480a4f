"""Reads YAML into plain values, each with its line, and is safe to use on untrusted files.

The reader takes safe scalar types only: no objects and no merge keys. Duplicate keys are problems. The depth and the
number of nodes are limited, which also limits what aliases expand to. `scalars` says what an unquoted scalar means.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from types import NoneType
from typing import Any

import yaml

from sweeps.config.scalars import AmbiguousScalar, parse_scalar
from sweeps.text import error_line

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 20

Path = tuple[str | int, ...]


class Unreadable(ValueError):
    """The text is not YAML that this reader accepts. `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message)
        self.line = line


@dataclass
class Document:
    """A parsed text.

    Attributes:
        value: its value, in which each scalar that readers of YAML disagree on is an `AmbiguousScalar`.
        lines: the line of each path in it; for a mapping's entry, the line of the key.
        texts: the original spelling of each unquoted scalar that does not mean text, by its path.
        problems: pairs of a line and what is wrong there.
    """

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)


UNQUOTED = "unquoted scalar"  # no file can write this tag, because it contains a space
KINDS: dict[str, tuple[type, str]] = {
    "int": (int, "a number"),
    "float": (float, "a number"),
    "bool": (bool, "true or false"),
    "null": (NoneType, "null"),
}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, changed so that it leaves the meaning of unquoted scalars to `scalars`."""

    yaml_implicit_resolvers = {None: [(UNQUOTED, re.compile(""))]}  # noqa: RUF012 (PyYAML's own class attribute)


def read(path: FilePath) -> Document:
    """Parse a file.

    Raises:
        Unreadable: the file cannot be read, is too large, or is not YAML that this reader accepts.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise Unreadable(f"cannot read it: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES:,} bytes")
    return parse(data)


def parse(text: str | bytes) -> Document:
    """Parse one YAML document into plain values; sequences become tuples.

    Raises:
        Unreadable: the text has a syntax error, a tag for an object, or more nodes or levels than allowed.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document()
        if node is not None:
            document.value = _Builder(document).build(node, (), 0)
        return document
    except yaml.reader.ReaderError as error:
        undecoded = error.encoding != "unicode"  # then its position counts bytes, otherwise characters
        reason = f"not {error.encoding.upper()} text" if undecoded else error.reason
        read = text if isinstance(text, str) else text.decode("latin-1" if undecoded else "utf-8", "replace")
        line = read.count("\n", 0, error.position) + 1
        raise Unreadable(f"not valid YAML: {reason}", line) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or error_line(error)
        raise Unreadable(f"not valid YAML: {reason}", mark.line + 1 if mark else None) from None
    except UnicodeDecodeError:
        raise Unreadable("not valid YAML: not UTF-8 text") from None
    except RecursionError:
        raise Unreadable(f"nested deeper than {MAX_DEPTH}") from None


def has_comment(text: str) -> bool:
    """Whether a valid text has a comment after its value."""
    ends = [token.end_mark.index for token in yaml.scan(text) if not isinstance(token, yaml.StreamEndToken)]
    return bool(text[max(ends) :].strip())


class _Builder:
    def __init__(self, document: Document):
        self.document, self.nodes = document, 0

    def build(self, node: yaml.Node, path: Path, depth: int) -> Any:
        line = node.start_mark.line + 1
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Unreadable(f"more than {MAX_NODES:,} values (after expanding aliases)", line)
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH}", line)
        self.document.lines.setdefault(path, line)
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return tuple(self.build(child, (*path, i), depth + 1) for i, child in enumerate(node.value))
        value = _read_scalar(node)
        if node.tag == UNQUOTED and not isinstance(value, str):
            self.document.texts[path] = node.value
        return value

    def mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = _read_scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                shown = (key_node.value or "null") if isinstance(key_node, yaml.ScalarNode) else "in brackets"
                self.document.problems.append((line, f"the key {shown} is not text"))
            elif key == "<<" and key_node.tag == UNQUOTED:
                self.document.problems.append((line, "merge keys (<<) are not supported: write the settings out"))
            elif key in values:
                first = self.document.lines[(*path, key)]
                self.document.problems.append((line, f"{key} is already set in line {first}"))
            else:
                self.document.lines[(*path, key)] = line
                values[key] = self.build(value_node, (*path, key), depth + 1)
        return values


def _read_scalar(node: yaml.Node) -> Any:
    line = node.start_mark.line + 1
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if not isinstance(node, yaml.ScalarNode) or kind not in (UNQUOTED, "str", *KINDS):
        raise Unreadable(f"{node.tag} is not a plain value", line)
    if kind == "str":
        return node.value
    try:
        value = parse_scalar(node.value)
        return value if kind == UNQUOTED else _checked_type(value, *KINDS[kind])
    except (ValueError, OverflowError):
        called = "a number" if kind == UNQUOTED else KINDS[kind][1]
        raise Unreadable(f"{node.value[:40]!r} is not {called}", line) from None


def _checked_type(value: Any, kind: type, called: str) -> Any:
    """Return the value of a scalar with a type tag, such as `!!float 3`. Raises ValueError if the type does not fit."""
    if kind is float and type(value) is int:
        return float(value)
    if kind not in map(type, (value.yaml_11, value.yaml_12) if isinstance(value, AmbiguousScalar) else (value,)):
        raise ValueError(called)
    return value
