"""Labels: a label names a configuration by the settings that tell it apart in its sweep, in the words of the tables.

`vqvae 1 single_decoder, uniform, a = 40, training.lr 0.001` begins with the model and the method. Then come the
settings in which the sweep's rows differ. A label is read back as settings and not as text, because labels become
longer when a sweep gets more rows. All functions take rows as mappings from a setting's path, or from its column in the
ledger, to its value.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from mtvae.config import METHODS
from sweeps.config.settings import FIELDS, Value, column, null_is_a_value
from sweeps.text import value_text

Row = Mapping[str, Value]

BASELINE = "baseline"
"""The name in figures of a row that other rows are compared with."""

HEAD = ("family", "configuration", "method")
"""The settings at the beginning of every label."""

LEADING = (*HEAD, "sampler", "exponent", "soft_adapt.variant")
"""The settings that the thesis's table shows, in its order."""

DATA_NAME = "data.name"
"""The name of the user's own images. A label that shows the data set shows it too."""

_SAMPLER, _EXPONENT, _SOFT_ADAPT = LEADING[3:]
_DATASET = {"data.dataset", column("data.dataset")}
_DEFAULT_VARIANT = "loss_weighted"  # tables call this variant just "SoftAdapt"
_VALUE_ALONE = (*HEAD, _SAMPLER)  # a label has the values of these settings without their names
_SETTINGS = {column(path): path for path in FIELDS}

_PART = re.compile(r'(?:"(?:\\.|[^"\\])*"|\[[^\[\]]*\]|(?!, ).)+')
_FOLD = re.compile(r"fold (?P<fold>\d{1,4})")
_COUNT = re.compile(r" \(\d+/\d+ folds\)$")  # a figure's legend adds this to a label
_QUOTED = re.compile(r'[,"\[\]]|\s\s|^\s|\s$|\)$|^(null|-|)$')


def distinguishing_settings(rows: Sequence[Row], names: Iterable[str], searched: Collection[str] = ()) -> list[str]:
    """Return the settings that tell rows apart, in the order of a label.

    These are the settings of `LEADING` and the searched ones that differ. Another setting is added if it differs
    between rows that agree in all settings before it. So a size that follows from family and configuration is left out.
    """
    shown = [name for name in LEADING if _differs(rows, name)]
    for name in names:
        if name == DATA_NAME and _DATASET & set(shown):
            shown += [name] if any(row.get(name) is not None for row in rows) else []
        elif name in LEADING or not _differs(rows, name):
            continue
        elif name in searched:
            shown.append(name)
        else:
            value_of: dict[str, str] = {}  # values of the settings shown so far -> value of this setting
            for row in rows:
                value = repr(row.get(name))
                if value_of.setdefault(repr([row.get(other) for other in shown]), value) != value:
                    shown.append(name)
                    break
    return shown


def _differs(rows: Sequence[Row], name: str) -> bool:
    """Whether a setting has several values. Identical objects are skipped, because a sweep's rows share most values."""
    values = [row.get(name) for row in rows]
    others = [value for value in values if value is not values[0]]
    return any(repr(value) != repr(values[0]) for value in others)


def setting_texts(row: Row, names: Iterable[str]) -> list[str]:
    """Return the texts of a row's settings in labels and tables. Settings that do not apply are left out."""
    values = ((name, row.get(name)) for name in names)
    return [_setting_text(name, value) for name, value in values if value is not None or _shows_null(name)]


def _shows_null(name: str) -> bool:
    """Whether a label shows a setting whose value is None."""
    return name in FIELDS and name not in LEADING and null_is_a_value(name)


def _setting_text(name: str, value: Value) -> str:
    text = _value_text(value)
    if name in _VALUE_ALONE:
        return text
    if name == _SOFT_ADAPT:
        return "SoftAdapt" if value == _DEFAULT_VARIANT else f"SoftAdapt {text}"
    return f"a = {text}" if name == _EXPONENT else f"{column(name)} {text}"


def _value_text(value: Value) -> str:
    """Return a value as a label shows it. Different values have different texts, so ambiguous text is put in quotes."""
    if value is None:
        return "null"
    if isinstance(value, str):
        return _quoted_if_needed(value)
    return value_text(value)


@lru_cache(maxsize=1024)  # the rows of a sweep share few values
def _quoted_if_needed(value: str) -> str:
    if not _QUOTED.search(value) and value.isprintable():
        return value
    quoted = json.dumps(value, ensure_ascii=not value.isprintable())
    return quoted.replace("  ", " \\u0020")  # labels are compared after runs of spaces became one space


def _own_sizes(rows: Sequence[Row]) -> list[str]:
    """Return the sizes in rows that only a plug-in's family has."""
    names = dict.fromkeys(name for row in rows for name in row.keys() - FIELDS.keys())
    return sorted(name for name in names if name.startswith("model."))


class Labels:
    """The labels of a sweep's rows."""

    def __init__(self, rows: Sequence[Row], names: Iterable[str], searched: Collection[str] = ()):
        """Choose the settings that labels show.

        Args:
            names: the settings that may tell rows apart, in the order in which they are tried.
            searched: the settings that a search varies.
        """
        self.names = distinguishing_settings(rows, [*names, *_own_sizes(rows)], searched)
        self._names_after_head = [name for name in self.names if name not in HEAD]

    def label(self, row: Row) -> str:
        """Return a row's label."""
        head = " ".join(_value_text(row.get(name)) for name in HEAD)
        return ", ".join([head, *setting_texts(row, self._names_after_head)])


def find_rows_by_label(rows: Sequence[Row], label: str) -> tuple[list[int], int | None] | None:
    """Find the rows that a label names, or a part of a label such as a table's cell or an entry of a legend.

    Returns the indices of the rows that have all the settings in the label, and the fold in the label, if any. Returns
    None if some part of the label is not a setting of these rows.
    """
    known: dict[str, list[str]] = {}
    for name in _VALUE_ALONE:
        for text in {_value_text(row.get(name)) for row in rows}:
            known.setdefault(text, []).append(name)
    fold, own = None, _own_sizes(rows)
    settings: list[tuple[str, str]] = []
    parts = _PART.findall(_COUNT.sub("", " ".join(label.split())))
    for part in map(str.strip, parts):
        if match := _FOLD.fullmatch(part):
            fold = int(match["fold"])
        elif part != "-":  # "-" is the table's cell of a row without settings
            found = _settings_in_part(part, known, own)
            if found is None:
                return None
            settings += found
    if not settings and fold is None:
        return None
    return [i for i, row in enumerate(rows) if all(_row_has(row, name, text) for name, text in settings)], fold


def _settings_in_part(
    part: str, known: Mapping[str, Sequence[str]], own: Sequence[str]
) -> list[tuple[str, str]] | None:
    """Return the settings in one part of a label, with the texts of their values; None if it contains none.

    Args:
        known: for each text that may stand without a setting's name, the settings that have this value.
        own: the sizes that only plug-ins have.
    """
    name, _, value = part.partition(" ")
    if part == BASELINE:
        return [("method", next(method.name for method in METHODS if method.baseline))]
    if name == "SoftAdapt":
        return [(_SOFT_ADAPT, value or _DEFAULT_VARIANT)]
    if part.startswith("a = "):
        return [(_EXPONENT, part.removeprefix("a = "))]
    if value and (name in FIELDS or name in _SETTINGS or name in own):
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


def _row_has(row: Row, name: str, text: str) -> bool:
    """Whether a row's setting has the value that a text stands for; a number may be written in any form."""
    path = _SETTINGS.get(name, name)
    value = row[path] if path in row else row.get(column(path))
    if text in (_value_text(value), value):
        return True
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and float(text) == value
    except ValueError:
        return False
