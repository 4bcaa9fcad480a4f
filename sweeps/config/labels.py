"""Labels: a configuration is named by what tells it apart in its sweep, in the words of the tables.

`vqvae 1 single_decoder, uniform, a = 40, training.lr 0.001` begins with the model and the method; the settings follow
in which the sweep's rows differ. A label is read back as settings and not as text, because labels grow when a sweep
does. All functions take rows as mappings from a setting's path, or its column in the ledger, to its value.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from mtvae.config import METHODS
from sweeps.config.settings import LEAVES, Value, column, null_is_a_value
from sweeps.text import value_text

Row = Mapping[str, Value]

BASELINE = "baseline"
"""What figures call a row with which others are compared."""

HEAD = ("family", "configuration", "method")
"""The settings that every label begins with."""

LEADING = (*HEAD, "sampler", "exponent", "soft_adapt.variant")
"""The settings by which the thesis's table is read, in its order."""

_SAMPLER, _EXPONENT, _SOFT_ADAPT = LEADING[3:]
_DEFAULT_VARIANT = "loss_weighted"  # what a table calls SoftAdapt without another word
_BARE = (*HEAD, _SAMPLER)  # said without their names
_SETTINGS = {column(path): path for path in LEAVES}

_PART = re.compile(r'(?:"(?:\\.|[^"\\])*"|\[[^\[\]]*\]|(?!, ).)+')
_FOLD = re.compile(r"fold (?P<fold>\d{1,4})")
_COUNT = re.compile(r" \(\d+/\d+ folds\)$")  # behind a label in a figure's legend
_QUOTED = re.compile(r'[,"\[\]]|\s\s|^\s|\s$|\)$|^(null|-|)$')


def distinguishing_settings(rows: Sequence[Row], names: Iterable[str]) -> list[str]:
    """The settings that tell rows apart: the leading ones that differ, then each other one in which rows differ that
    are alike in those before it (a size that follows from family and configuration is not among them)."""
    shown = [name for name in LEADING if _differs(rows, name)]
    for name in names:
        if name not in LEADING and _differs(rows, name):
            decided: dict[str, str] = {}
            for row in rows:
                value = repr(row.get(name))
                if decided.setdefault(repr([row.get(other) for other in shown]), value) != value:
                    shown.append(name)
                    break
    return shown


def _differs(rows: Sequence[Row], name: str) -> bool:
    """Whether a setting has several values. Identical objects are skipped: a sweep's rows share most values."""
    values = [row.get(name) for row in rows]
    others = [value for value in values if value is not values[0]]
    return any(repr(value) != repr(values[0]) for value in others)


def words(row: Row, names: Iterable[str]) -> list[str]:
    """A row's settings, each in a reader's words. What does not apply to the row is left out."""
    values = ((name, row.get(name)) for name in names)
    return [_word(name, value) for name, value in values if value is not None or _says_null(name)]


def _says_null(name: str) -> bool:
    """Whether a row's words say a setting that is None."""
    return name in LEAVES and name not in LEADING and null_is_a_value(name)


def _word(name: str, value: Value) -> str:
    text = _text(value)
    if name in _BARE:
        return text
    if name == _SOFT_ADAPT:
        return "SoftAdapt" if value == _DEFAULT_VARIANT else f"SoftAdapt {text}"
    return f"a = {text}" if name == _EXPONENT else f"{column(name)} {text}"


def _text(value: Value) -> str:
    """A value as a label has it: text that could be taken for more than one value is quoted, so that different values
    have different texts."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return _string(value)
    return value_text(value)


@lru_cache(maxsize=1024)  # a sweep's rows have few
def _string(value: str) -> str:
    if not _QUOTED.search(value) and value.isprintable():
        return value
    quoted = json.dumps(value, ensure_ascii=not value.isprintable())
    return quoted.replace("  ", " \\u0020")  # labels are compared with their spaces run together


class Labels:
    """The labels of a sweep's rows."""

    def __init__(self, rows: Sequence[Row], names: Iterable[str]):
        """`names`: the settings that may tell rows apart, in the order in which they are tried."""
        self.names = distinguishing_settings(rows, names)
        self._behind = [name for name in self.names if name not in HEAD]

    def label(self, row: Row) -> str:
        """A row's label."""
        return ", ".join([" ".join(_text(row.get(name)) for name in HEAD), *words(row, self._behind)])


def rows_of_label(rows: Sequence[Row], label: str) -> tuple[list[int], int | None] | None:
    """The places of the rows that have all the settings that a label says, or a part of one, such as a table's cell or
    a legend's entry, and the fold that it says. None where it says something that is no setting of these rows."""
    known: dict[str, list[str]] = {}
    for name in _BARE:
        for text in {_text(row.get(name)) for row in rows}:
            known.setdefault(text, []).append(name)
    fold = None
    said: list[tuple[str, str]] = []
    parts = _PART.findall(_COUNT.sub("", " ".join(label.split())))
    for part in map(str.strip, parts):
        if match := _FOLD.fullmatch(part):
            fold = int(match["fold"])
        elif part != "-":  # a table's cell of a row without settings
            found = _said(part, known)
            if found is None:
                return None
            said += found
    if not said and fold is None:
        return None
    return [i for i, row in enumerate(rows) if all(_has(row, name, text) for name, text in said)], fold


def _said(part: str, known: Mapping[str, Sequence[str]]) -> list[tuple[str, str]] | None:
    """The settings, with the texts of their values, that a label's part says; None where it says none.

    Args:
        known: the settings that each value is one of that may be said without a name.
    """
    name, _, value = part.partition(" ")
    if part == BASELINE:
        return [("method", next(method.name for method in METHODS if method.baseline))]
    if name == "SoftAdapt":
        return [(_SOFT_ADAPT, value or _DEFAULT_VARIANT)]
    if part.startswith("a = "):
        return [(_EXPONENT, part.removeprefix("a = "))]
    if value and (name in LEAVES or name in _SETTINGS):
        return [(name, value)]
    spellings = (part, part.replace(" ", "_"))  # figures say "multi decoder"
    whole = next((text for text in spellings if text in known), None)
    found: list[tuple[str, str]] = []
    for word in [whole] if whole else part.split(" "):
        free = [name for name in known.get(word, ()) if name not in dict(found)]
        if not free:
            return None
        found.append((free[0], word))
    return found


def _has(row: Row, name: str, text: str) -> bool:
    """Whether a row's setting has the value of this text, however a number is written."""
    path = _SETTINGS.get(name, name)
    value = row[path] if path in row else row.get(column(path))
    if text in (_text(value), value):
        return True
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and float(text) == value
    except ValueError:
        return False
