"""What an unquoted scalar of a grid file means.

Two versions of YAML are in use: PyYAML reads version 1.1, many editors and other tools read version 1.2, and some
scalars are different values in them. A scalar that both read as one value is taken. What becomes of the others:

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

`yes` and `1_000` are taken because files written by hand have them, and nobody reads another boolean or number in them.
A refusal names the plain forms that the setting takes. Text in quotes is text, whatever stands in it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

MAX_LENGTH = 3000
"""Of a number. Python writes out no integer of more than 4300 digits, and a message would."""


@dataclass(frozen=True, repr=False)
class Odd:
    """An unquoted scalar that is not the same plain value to every reader.

    Attributes:
        text: as it is written.
        old: its value in YAML 1.1.
        new: its value in YAML 1.2.
        taken: whether a setting may take it as `old`.
    """

    text: str
    old: Any
    new: Any
    taken: bool

    def __repr__(self) -> str:
        return self.text


def settled(value: Any) -> Any:
    """A value from a file with its odd scalars replaced, where they are taken."""
    return _each(value, lambda odd: odd.old if odd.taken else odd)


def readings(value: Any) -> tuple[Any, Any, Any] | None:
    """A value from a file as YAML 1.1 reads it, as YAML 1.2 does, and with its odd scalars as text. None where it has
    no odd scalars."""
    found: list[Odd] = []
    _each(value, found.append)
    if not found:
        return None
    return _each(value, lambda odd: odd.old), _each(value, lambda odd: odd.new), _each(value, lambda odd: odd.text)


def _each(value: Any, change: Callable[[Odd], Any]) -> Any:
    if isinstance(value, Odd):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_each(item, change) for item in value)
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
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
"""What YAML 1.2 takes for a number."""

_GROUPED = re.compile(r"[-+]?[1-9][0-9]*(_[0-9]+)+(\.[0-9]*)?")
_ZEROS = re.compile("[-+]?0[0-9]+")
_LOADER_11 = yaml.SafeLoader("")  # for its tables alone: reading a scalar by them changes nothing in it


def plain(text: str) -> Any:
    """The value of an unquoted scalar, or `Odd`.

    Raises:
        ValueError: a number that is too long.
    """
    old, new = _yaml_11(text), _yaml_12(text)
    if repr(old) == repr(new):  # tells 1 from 1.0 and True, and finds nan the same as nan
        return Odd(text, old, new, taken=True) if _ZEROS.fullmatch(text) else new
    if isinstance(old, str) and isinstance(new, float):
        return new
    return Odd(text, old, new, taken=isinstance(old, bool) or bool(_GROUPED.fullmatch(text)))


def _yaml_11(text: str) -> Any:
    tag = _LOADER_11.resolve(yaml.ScalarNode, text, (True, False))
    if tag.rpartition(":")[2] not in ("int", "float", "bool", "null"):
        return text
    node = yaml.ScalarNode(tag, _short(text))
    try:
        return _LOADER_11.yaml_constructors[tag](_LOADER_11, node)
    except ValueError:  # `0x_` has the form of a number, and is none
        return text


def _yaml_12(text: str) -> Any:
    for pattern, value in _CORE:
        if pattern.fullmatch(text):
            return value(_short(text))
    return text


def _short(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a number of more than {MAX_LENGTH} characters")
    return text
