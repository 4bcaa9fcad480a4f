"""What an unquoted scalar of a grid file means.

Two versions of YAML are in use: PyYAML reads version 1.1, many editors and other tools read version 1.2, and some
scalars have different values in them. A scalar to which both give one value is accepted. The table shows the others:

| written                      | YAML 1.1     | YAML 1.2 | here                                                        |
|------------------------------|--------------|----------|-------------------------------------------------------------|
| 12 +1 -3 0x1F 1. .5 1.0e+3   | number       | number   | that number                                                 |
| true null ~ (also Null NULL) | true or null | the same | the same                                                    |
| .inf .nan 1.0e+999           | number       | number   | that number; each setting says that it must be finite       |
| 1e-3 1.5e3 -.5               | text         | number   | the number, which is how everybody reads it                 |
| 2024-01-01                   | date         | text     | text: no setting is a date                                  |
| = <<                         | (special)    | text     | text; as a key, << is refused                               |
| yes no on off                | true, false  | text     | true or false for a setting that takes these, else refused  |
| 1_000                        | 1000         | text     | 1000 for a setting that takes a number, else refused        |
| 007                          | 7            | 7        | 7 for a setting that takes a number, else refused           |
| 0123                         | 83 (octal)   | 123      | refused                                                     |
| 089 0o17                     | text         | 89, 15   | refused                                                     |
| 0b101 -0x1F                  | 5, -31       | text     | refused                                                     |
| 1:30 1:30.5                  | 90, 90.5     | text     | refused: nobody expects base 60                             |
| 1_ 1__0 0x1_F 0_7            | number       | text     | refused                                                     |

`yes` and `1_000` are accepted because files written by hand contain them, and nobody reads another boolean or number in
them. A refusal names the unambiguous forms that the setting takes. Text in quotes is always text.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

MAX_LENGTH = 3000
"""Characters of a number. Python refuses to print an integer of more than 4300 digits, and a message would print it."""


@dataclass(frozen=True, repr=False)
class AmbiguousScalar:
    """An unquoted scalar that not every reader of YAML takes for the same value.

    Attributes:
        text: the scalar as it is written.
        yaml_11: its value in YAML 1.1.
        yaml_12: its value in YAML 1.2.
        accepted: whether it stands for `yaml_11` here; otherwise a setting refuses it.
    """

    text: str
    yaml_11: Any
    yaml_12: Any
    accepted: bool

    def __repr__(self) -> str:
        return self.text


def resolve_ambiguous(value: Any) -> Any:
    """Return a value from a file in which each accepted ambiguous scalar is replaced by its value."""
    return _map_ambiguous(value, lambda scalar: scalar.yaml_11 if scalar.accepted else scalar)


def yaml_readings(value: Any) -> tuple[Any, Any, Any] | None:
    """Return a value from a file as YAML 1.1 reads it, as YAML 1.2 does, and with its ambiguous scalars as text.

    Returns None if it contains no ambiguous scalar.
    """
    found: list[AmbiguousScalar] = []
    _map_ambiguous(value, found.append)
    if not found:
        return None
    return (
        _map_ambiguous(value, lambda scalar: scalar.yaml_11),
        _map_ambiguous(value, lambda scalar: scalar.yaml_12),
        _map_ambiguous(value, lambda scalar: scalar.text),
    )


def _map_ambiguous(value: Any, change: Callable[[AmbiguousScalar], Any]) -> Any:
    if isinstance(value, AmbiguousScalar):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_map_ambiguous(item, change) for item in value)
    if isinstance(value, dict):
        return {key: _map_ambiguous(item, change) for key, item in value.items()}
    return value


# YAML 1.2.2, section 10.3.2: the core schema.
_CORE: list[tuple[re.Pattern[str], Callable[[str], Any]]] = [
    (re.compile("null|Null|NULL|~|"), lambda text: None),
    (re.compile("true|True|TRUE"), lambda text: True),
    (re.compile("false|False|FALSE"), lambda text: False),
    (re.compile("[-+]?[0-9]+"), int),
    (re.compile("0o[0-7]+"), lambda text: int(text, 8)),
    (re.compile("0x[0-9a-fA-F]+"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
]
NUMBER = re.compile(f"(?:{'|'.join(pattern.pattern for pattern, _ in _CORE[3:])})$")
"""The numbers of YAML 1.2."""

_GROUPED = re.compile(r"[-+]?[1-9][0-9]*(_[0-9]+)+(\.[0-9]*)?")
_ZEROS = re.compile("[-+]?0[0-9]+")
_LOADER_11 = yaml.SafeLoader("")  # used only for its tables; resolving a scalar does not change its state


def parse_scalar(text: str) -> Any:
    """Return the value of an unquoted scalar, or an `AmbiguousScalar`.

    Raises:
        ValueError: the scalar is a number that is too long.
    """
    old, new = _as_yaml_11(text), _as_yaml_12(text)
    if repr(old) == repr(new):  # unlike ==, repr tells 1 from 1.0 and True, and nan equals nan
        return AmbiguousScalar(text, old, new, accepted=True) if _ZEROS.fullmatch(text) else new
    if isinstance(old, str) and isinstance(new, float):
        return new
    return AmbiguousScalar(text, old, new, accepted=isinstance(old, bool) or bool(_GROUPED.fullmatch(text)))


def _as_yaml_11(text: str) -> Any:
    tag = _LOADER_11.resolve(yaml.ScalarNode, text, (True, False))
    if tag.rpartition(":")[2] not in ("int", "float", "bool", "null"):
        return text
    node = yaml.ScalarNode(tag, _checked_length(text))
    try:
        return _LOADER_11.yaml_constructors[tag](_LOADER_11, node)
    except ValueError:  # `0x_` matches the form of a number but is not one
        return text


def _as_yaml_12(text: str) -> Any:
    for pattern, value in _CORE:
        if pattern.fullmatch(text):
            return value(_checked_length(text))
    return text


def _checked_length(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a number of more than {MAX_LENGTH} characters")
    return text
