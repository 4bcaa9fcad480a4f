"""Texts for names, values, numbers and errors in messages."""

import difflib
from collections.abc import Iterable, Sequence

FORMULA = "=+@\t\r-"
"""Characters at which a spreadsheet begins a formula. The hyphen is last, so that they fit into a character class."""

UNSET = "is empty: is a variable not set?"
"""Message about a path that is empty, usually because a shell variable is not set."""


MOST_LEFT, MOST_LETTERS = 2, 100
"""Letters in which a misspelling and its word differ at most, and letters of the longest word that is compared."""


def error_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split())


def is_utf8(text: str) -> bool:
    """Whether a name can be written as UTF-8. Python keeps other bytes of a name as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def count_text(n: int, thing: str) -> str:
    """Return a number of things as text: "1 unit", "2,000 units"."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def size_text(n_bytes: float) -> str:
    """Return bytes as text in B, kB, MB or GB."""
    for name in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {name}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} GB"


def duration(seconds: float) -> str:
    """Return seconds as text in s, min or h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def one_line(text: str) -> str:
    """Make line breaks and terminal escapes in a text visible, so that a file's text cannot control the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest(word: str, words: Iterable[str], least: float = 0.5) -> str:
    """Return the end of a sentence that proposes the most similar word, or an empty text if no word is similar.

    If there is only one word, it is proposed in any case.

    Args:
        least: the similarity from which a word is proposed, from 0 (every word) to 1.
    """
    words = list(words)
    if len(words) == 1:
        return f"; did you mean {words[0]}?"
    matches = difflib.get_close_matches(word, words, 1, least)
    return f"; did you mean {matches[0]}?" if matches else ""


def plain(name: str) -> str:
    """Return a name without what people spell in different ways: case, `_`, `-`, `.` and spaces."""
    return "".join(c for c in name.casefold() if c not in "_-. ")


def misspelt(word: str, words: Iterable[str]) -> list[str]:
    """Return the words of which a word is a likely misspelling, the nearest ones if there are several.

    A misspelling has one letter too many or too few, a wrong letter, or two letters in the wrong order. Names that
    differ in their digits, such as cifar10 and cifar100, are different names.
    """

    def distance(other: str) -> int:
        """Return how many letters of both are not in the other; 99 if it is no misspelling."""
        a, b = plain(word), plain(other)
        blocks = difflib.SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        left = len(a) + len(b) - 2 * sum(block.size for block in blocks)
        same_digits = [c for c in a if c.isdigit()] == [c for c in b if c.isdigit()]
        return left if same_digits and left <= MOST_LEFT and left * 5 <= len(a) + len(b) else 99

    if len(word) > MOST_LETTERS:
        return []
    distances = {other: distance(other) for other in dict.fromkeys(words) if other != word}
    least = min(distances.values(), default=99)
    return [other for other, d in distances.items() if d == least < 99]


def did_you_mean(words: Sequence[str]) -> str:
    """Return the end of a sentence that proposes words, or an empty text if there is none."""
    return f"; did you mean {or_text(words)}?" if words else ""


def or_text(words: Sequence[str]) -> str:
    """Return words as text: "a", "a or b", "a, b or c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def number_text(value: float) -> str:
    """Return the shortest text that reads back as the same number."""
    text = f"{value:g}"
    return text if float(text) == value else repr(value).removesuffix(".0")


def value_text(value: object) -> str:
    """Return a setting's value as a grid file would write it, with text without quotes."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, float):
        return number_text(value)
    return one_line(value) if isinstance(value, str) else yaml_text(value)


def yaml_text(value: object) -> str:
    """Return any value as a grid file would write it, with text in quotes, which tell '3' from 3."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(yaml_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {yaml_text(item)}' for key, item in value.items())}}}"
    return repr(value)
