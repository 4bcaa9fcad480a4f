"""YAML as plain values with the line of every one of them, and nothing that a file can do to the reader.

Only the safe scalar types, no objects, no merge keys; duplicate keys are problems; `1e-3` is a number and
`2024-01-01` a string; depth and number of nodes are bounded, which also bounds what aliases can expand to.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import yaml

from sweeps.text import said

MAX_BYTES = 1_000_000
MAX_NODES = 100_000
MAX_DEPTH = 20

Path = tuple[str | int, ...]


class Unreadable(ValueError):
    """The text is no YAML that we take. `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message)
        self.line = line


@dataclass
class Document:
    """The value, the line of each path in it (of the key, for a mapping's entry), and problems with their line."""

    value: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[tuple[int, str]] = field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, less dates, plus floats without a dot."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own class attribute)
        first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def read(path: FilePath) -> Document:
    """Parses a file.

    Raises:
        Unreadable: not a readable file, too large, or no YAML that we take.
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
    """Parses one YAML document into plain values; sequences become tuples.

    Raises:
        Unreadable: a syntax error, a tag for an object, or more nodes or depth than allowed.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        document = Document()
        if node is not None:
            document.value = _Builder(loader, document).build(node, (), 0)
        return document
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or said(error)
        raise Unreadable(f"not valid YAML: {reason}", mark.line + 1 if mark else None) from None
    except UnicodeDecodeError:
        raise Unreadable("not valid YAML: not UTF-8 text") from None
    except RecursionError:
        raise Unreadable(f"nested deeper than {MAX_DEPTH}") from None


class _Builder:
    def __init__(self, loader: _Loader, document: Document):
        self.loader, self.document, self.nodes = loader, document, 0

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
        return self.scalar(node)

    def mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self.scalar(key_node)
            if not isinstance(key, str) or key_node.tag.endswith(":merge"):
                self.document.problems.append((line, f"the key {key!r} is not a word"))
            elif key in values:
                first = self.document.lines[(*path, key)]
                self.document.problems.append((line, f"{key} is already set in line {first}"))
            else:
                self.document.lines[(*path, key)] = line
                values[key] = self.build(value_node, (*path, key), depth + 1)
        return values

    def scalar(self, node: yaml.Node) -> Any:
        line = node.start_mark.line + 1
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind == "merge":
            return node.value
        if not isinstance(node, yaml.ScalarNode) or kind not in ("str", "int", "float", "bool", "null"):
            raise Unreadable(f"{node.tag} is not a plain value", line)
        try:
            return self.loader.construct_object(node)
        except (ValueError, OverflowError):
            raise Unreadable(f"{node.value[:40]!r} is not a number", line) from None
