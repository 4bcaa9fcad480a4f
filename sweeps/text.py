"""How names and values are put into words."""

import difflib
from collections.abc import Iterable

FORMULA = "=+@\t\r-"
"""What a spreadsheet takes for the beginning of a formula, in an order that a regular expression's class can hold."""

UNSET = "is empty: is a variable not set?"
"""What there is to say of a path that a shell was to fill in."""


def error_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())


def is_utf8(text: str) -> bool:
    """Whether a name can be written as UTF-8; Python keeps other bytes of a name as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def count_text(n: int, thing: str) -> str:
    """A number of things in words: "1 unit", "2,000 units"."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def one_line(text: str) -> str:
    """Text with its line breaks and terminal escapes made visible: a file cannot write to the screen through us."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(word: str, words: Iterable[str], least: float = 0.5) -> str:
    """The end of a sentence that says what may have been meant; empty where nothing is near.

    Args:
        least: likeness that is near, from 0, which everything has, to 1.
    """
    words = list(words)
    if len(words) == 1:
        return f"; did you mean {words[0]}?"
    matches = difflib.get_close_matches(word, words, 1, least)
    return f"; did you mean {matches[0]}?" if matches else ""


def number_text(value: float) -> str:
    """The shortest text of a number that reads back as the same number."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value).removesuffix(".0")


def value_text(value: object) -> str:
    """A setting's value as a grid file would have it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, float):
        return number_text(value)
    return one_line(value) if isinstance(value, str) else yaml_text(value)


def yaml_text(value: object) -> str:
    """Any value as a grid file would have it, with text in quotes, which tell '3' from 3."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(yaml_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {yaml_text(item)}' for key, item in value.items())}}}"
    return repr(value)
