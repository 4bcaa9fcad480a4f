"""Messages about the problems of a grid file: what was written, and what may be written instead."""

import re
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mtvae.config import Choice
from sweeps.config.own_sizes import all_paths
from sweeps.config.scalars import AmbiguousScalar, yaml_readings
from sweeps.config.settings import strict_validator, union_members
from sweeps.config.suggestions import suggest_setting
from sweeps.text import count_text, did_you_mean, misspelt, yaml_text

MAX_SHOWN = 20
"""How many problems are shown."""
MAX_TEXT = 400
"""Characters of a problem's message, and of the text that says where it is."""
SEARCH_BLOCKS = ("search", "base", "racing")
"""The keys of a grid file that say what is searched and raced."""
_AT_LINE = re.compile(r", line \d+")


def limit_problems(problems: list[str]) -> list[str]:
    """Return at most `MAX_SHOWN` problems, and a line that counts the rest.

    A message that occurs in many lines is shown for its first line first, so that other messages are shown too.
    """
    if len(problems) <= MAX_SHOWN:
        return problems
    firsts: dict[str, int] = {}  # message without its line -> index of its first problem
    for i, problem in enumerate(problems):
        firsts.setdefault(_AT_LINE.sub("", problem, count=1), i)
    rest = sorted(set(range(len(problems))).difference(firsts.values()))
    chosen = sorted([*firsts.values(), *rest][:MAX_SHOWN])
    more = len(problems) - MAX_SHOWN
    return [*(problems[i] for i in chosen), f"... and {count_text(more, 'more problem')}"]


def type_name(value: Any) -> str:
    """Return what a value is called in messages."""
    names = {type(None): "nothing", tuple: "a list", dict: "a mapping", str: "text", bool: "true or false"}
    if isinstance(value, AmbiguousScalar):
        value = value.yaml_12 if isinstance(value.yaml_11, str) else value.yaml_11
    return names.get(type(value), "a number")


def group_message(section: str) -> str:
    """Return the message about a group of settings that is given one value."""
    leaves = [path.partition(".")[2] for path in all_paths() if path.startswith(f"{section}.")]
    return f"{section} is a group of settings ({', '.join(leaves)}), not a value"


def unknown_setting_message(key: str) -> str:
    """Return the message about an unknown setting, with what it may mean."""
    if key in ("name", "grid", *SEARCH_BLOCKS):
        return f"{key} stands at the left margin of the file, not in a block or a group"
    hint = suggest_setting(key) or "; --settings lists all settings"
    return f"{truncate(key, 60) or yaml_text(key)} is not a setting{hint}"


def explain_invalid(path: str, value: Any, error: ValidationError, field: FieldInfo) -> str:
    """Return one line: what was written, what may be written, and the nearest valid word.

    Args:
        path: what the line calls the value.
        field: the field that refused the value.
    """
    words = [w for option in union_members(field.annotation) if get_origin(option) is Literal for w in get_args(option)]
    words += [name for known in field.metadata if isinstance(known, Choice) for name in known]
    explained_below = {"literal_error", "none_required"}
    if value:  # pydantic counts the valid items only
        explained_below.add("too_short")
    expected = [_expected(e) for e in error.errors() if e["type"] not in explained_below]
    if words:
        expected = [what for what in expected if what != "a string"]
        expected.append(("one of " if len(words) > 1 else "") + ", ".join(map(str, words)))
    plug_in = next((e["msg"] for e in error.errors() if e["type"] == "plug_in"), None)
    if plug_in is not None:
        return f"{path} cannot be loaded: {plug_in}"
    if forms := _explain_ambiguous(path, value, field):
        return forms
    word = value.text if isinstance(value, AmbiguousScalar) else value
    hint = did_you_mean(misspelt(word, map(str, words))) if isinstance(word, str) else ""
    if isinstance(value, str) and value in [str(w) for w in words if not isinstance(w, str)]:
        hint = ", without quotes"
    if expected == ["a string"] and isinstance(value, int | float):
        hint = ": put it in quotes"
    return f"{path} is {short_yaml(value)}; it must be {' or '.join(dict.fromkeys(expected))}{hint}"


def truncate(text: str, length: int) -> str:
    """Return a text, or its beginning if it has more than `length` characters."""
    return text if len(text) <= length else text[: length - 3] + "..."


def short_yaml(value: Any) -> str:
    """Return a value as a grid file would write it, truncated if it is long."""
    return truncate(yaml_text(value), 60)


def _explain_ambiguous(path: str, value: Any, field: FieldInfo) -> str | None:
    """Return one line about an ambiguous value: its readings, and the forms to write instead.

    Returns None if the value is not ambiguous, or if the field accepts none of its readings.
    """
    readings = yaml_readings(value)
    forms = [yaml_text(reading) for reading in readings or () if _accepts(field, reading)]
    if readings is None or not forms:
        return None
    old, new = ("text" if isinstance(reading, str) else short_yaml(reading) for reading in readings[:2])
    meaning = f"{old} in YAML" if old == new else f"{old} in YAML 1.1 and {new} in YAML 1.2"
    return f"{path} is {short_yaml(value)}, which is {meaning}; write {' or '.join(dict.fromkeys(forms))}"


def _accepts(field: FieldInfo, value: Any) -> bool:
    try:
        strict_validator(field).validate_python(value)
    except ValidationError:
        return False
    return True


def _expected(error: ErrorDetails) -> str:
    """Return what pydantic expected, in the words of a grid file."""
    message = error["msg"].removeprefix("Input should be ").replace("a valid ", "a ").replace("a integer", "an integer")
    known = {"tuple_type": "a list", "too_short": "a list of at least one", "int_parsing_size": "a smaller number"}
    each = "a list, each " if any(isinstance(place, int) for place in error["loc"]) else ""
    return each + known.get(error["type"], message)
