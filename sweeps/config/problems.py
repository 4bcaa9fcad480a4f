"""Problems of a grid file in words: what was written, what may be written, and how much of it is shown."""

import re
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from mtvae.config import Choice
from sweeps.config.scalars import Odd, readings
from sweeps.config.settings import LEAVES, adapter, options
from sweeps.text import nearest, written

MAX_SHOWN = 20
"""Problems that are shown."""
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


def explain(path: str, value: Any, error: ValidationError) -> str:
    """One line: what was written, what may be written, and the nearest valid word."""
    words = [
        w for option in options(LEAVES[path].annotation) if get_origin(option) is Literal for w in get_args(option)
    ]
    words += [name for known in LEAVES[path].metadata if isinstance(known, Choice) for name in known]
    wanted = [_english(e["msg"]) for e in error.errors() if e["type"] not in ("literal_error", "none_required")]
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


def shown(value: Any) -> str:
    """A value as a grid file would have it, cut off where it is long."""
    text = written(value)
    return text if len(text) < 60 else text[:57] + "..."


def _plain_forms(path: str, value: Any) -> str | None:
    """One line about a value that readers of YAML disagree on: what they read, and what may be written instead. None
    where they agree, and where the setting takes nothing of the kind."""
    read = readings(value)
    forms = [written(reading) for reading in read or () if _takes(path, reading)]
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


def _english(message: str) -> str:
    return message.removeprefix("Input should be ").replace("a valid ", "a ").replace("a integer", "an integer")
