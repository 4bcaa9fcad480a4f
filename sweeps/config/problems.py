"""Problems of a grid file in words: what was written, what may be written, and how much of it is shown."""

import re
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mtvae.config import Choice
from sweeps.config.scalars import Odd, readings
from sweeps.config.settings import LEAVES, SECTIONS, adapter, options
from sweeps.text import nearest, yaml_text

MAX_SHOWN = 20
"""Problems that are shown."""
MAX_TEXT = 400
"""Characters of a problem, and of what says where it is."""
_AT_LINE = re.compile(r", line \d+")


def few(problems: list[str]) -> list[str]:
    """The first problems, and how many more there are. One that is told for many lines leaves room for the others."""
    if len(problems) <= MAX_SHOWN:
        return problems
    firsts: dict[str, int] = {}
    for place, problem in enumerate(problems):
        firsts.setdefault(_AT_LINE.sub("", problem, count=1), place)
    rest = sorted(set(range(len(problems))).difference(firsts.values()))
    shown = sorted([*firsts.values(), *rest][:MAX_SHOWN])
    more = len(problems) - MAX_SHOWN
    return [*(problems[place] for place in shown), f"... and {more:,} more {'problem' if more == 1 else 'problems'}"]


def type_name(value: Any) -> str:
    """A value's kind in a reader's words."""
    names = {type(None): "nothing", tuple: "a list", dict: "a mapping", str: "text", bool: "true or false"}
    if isinstance(value, Odd):
        value = value.new if isinstance(value.old, str) else value.old
    return names.get(type(value), "a number")


def is_group(section: str) -> str:
    """Says of a group of settings what is in it."""
    leaves = [path.partition(".")[2] for path in LEAVES if path.startswith(f"{section}.")]
    return f"{section} is a group of settings ({', '.join(leaves)}), not a value"


def is_unknown(key: str) -> str:
    """Says that there is no such setting, and which may be meant."""
    return f"{cut(key, 60) or yaml_text(key)} is not a setting{nearest(key, _words(key))}"


def _words(key: str) -> list[str]:
    """What may be written where `key` stands: a setting of its section, or any setting or section."""
    section, dot, _ = key.partition(".")
    if dot and section in SECTIONS:
        return [path for path in LEAVES if path.startswith(f"{section}.")]
    leaves = {path.partition(".")[2]: path for path in LEAVES if "." in path}
    return [leaves[key]] if key in leaves else [*LEAVES, *SECTIONS, "name", "grid"]


def explain(path: str, value: Any, error: ValidationError) -> str:
    """One line: what was written, what may be written, and the nearest valid word."""
    words = [
        w for option in options(LEAVES[path].annotation) if get_origin(option) is Literal for w in get_args(option)
    ]
    words += [name for known in LEAVES[path].metadata if isinstance(known, Choice) for name in known]
    told_otherwise = {"literal_error", "none_required"}
    if value:  # pydantic counts only the items that are right
        told_otherwise.add("too_short")
    wanted = [_wanted(e) for e in error.errors() if e["type"] not in told_otherwise]
    if words:
        wanted = [what for what in wanted if what != "a string"]
        wanted.append(("one of " if len(words) > 1 else "") + ", ".join(map(str, words)))
    plug_in = next((e["msg"] for e in error.errors() if e["type"] == "plug_in"), None)
    if plug_in is not None:
        return f"{path} cannot be had: {plug_in}"
    if forms := _plain_forms(path, value):
        return forms
    word = value.text if isinstance(value, Odd) else value
    hint = nearest(word, map(str, words)) if isinstance(word, str) and len(words) > 1 else ""
    if wanted == ["a string"] and isinstance(value, int | float):
        hint = ": put it in quotes"
    return f"{path} is {shown(value)}; it must be {' or '.join(dict.fromkeys(wanted))}{hint}"


def cut(text: str, length: int) -> str:
    """A text, or its beginning where it is longer."""
    return text if len(text) <= length else text[: length - 3] + "..."


def shown(value: Any) -> str:
    """A value as a grid file would have it, cut off where it is long."""
    return cut(yaml_text(value), 60)


def _plain_forms(path: str, value: Any) -> str | None:
    """One line about a value that readers of YAML disagree on: what they read, and what may be written instead. None
    where they agree, and where the setting takes nothing of the kind."""
    read = readings(value)
    forms = [yaml_text(reading) for reading in read or () if _takes(path, reading)]
    if read is None or not forms:
        return None
    old, new = ("text" if isinstance(reading, str) else shown(reading) for reading in read[:2])
    said = f"{old} in YAML" if old == new else f"{old} in YAML 1.1 and {new} in YAML 1.2"
    return f"{path} is {shown(value)}, which is {said}; write {' or '.join(dict.fromkeys(forms))}"


def _takes(path: str, value: Any) -> bool:
    try:
        adapter(path).validate_python(value)
    except ValidationError:
        return False
    return True


def _wanted(error: ErrorDetails) -> str:
    """What may be written, in a reader's words."""
    message = error["msg"].removeprefix("Input should be ").replace("a valid ", "a ").replace("a integer", "an integer")
    known = {"tuple_type": "a list", "too_short": "a list of at least one", "int_parsing_size": "a smaller number"}
    each = "a list, each " if any(isinstance(place, int) for place in error["loc"]) else ""
    return each + known.get(error["type"], message)
