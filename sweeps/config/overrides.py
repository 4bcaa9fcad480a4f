"""Values of `--set`: how their text is read, and which of them cause a row's problem."""

from collections.abc import Mapping, Sequence, Set

from mtvae.config import Choice
from sweeps.config.rules import IncompatibleSettings, resolve
from sweeps.config.settings import FIELDS, Value, union_members


def as_it_stands(path: str, text: str) -> str | None:
    """Return the value of a setting that takes any text, as it stands after `=`; None if the text is YAML.

    In a path, `#`, `~` and `:` mean themselves. `null`, and text that begins with a quotation mark, are YAML.
    """
    text = text.strip()
    if not _takes_text(path) or text in ("", "null") or text[0] in "'\"":
        return None
    return text


def _takes_text(path: str) -> bool:
    """Whether a setting, or the sweep's name, takes any text."""
    if path not in FIELDS:
        return path == "name"
    field = FIELDS[path]
    return str in union_members(field.annotation) and not any(isinstance(item, Choice) for item in field.metadata)


def causes(
    problem: tuple[str, str],
    row: Mapping[str, Value],
    replaced: Sequence[str],
    in_file: Mapping[str, Value],
    set_for_row: Set[str],
) -> list[str]:
    """Return the settings without whose override a row does not have a problem.

    Args:
        problem: the setting to change, and why.
        row: the row's values.
        replaced: the settings that `--set` gives.
        in_file: the values that the file gives.
        set_for_row: paths that were set for this row itself, as `resolve` takes them.
    """
    found = []
    for path in replaced:
        values = {name: value for name, value in row.items() if name != path}
        values |= {path: in_file[path]} if path in in_file else {}
        try:
            resolve(values, frozenset(set_for_row - {path}))
        except IncompatibleSettings as error:
            if problem in error.problems:
                continue
        found.append(path)
    return found
