"""What is known of one setting besides its type, its default and its text. It stands on the setting's field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]
"""Values of a configuration by dotted path."""


class _NoValue:
    """There is no neutral value: the setting always counts."""


NO_VALUE = _NoValue()


@dataclass(frozen=True)
class Setting:
    """An annotation of a field: `Annotated[int, Setting(...)]`.

    `applies` and `default` see the values of a configuration by dotted path, in the order of the settings: those that
    stand before are resolved.

    Attributes:
        counts: whether it can change a unit's numbers, and so is part of its key.
        neutral: the value at which it stays out of the key. A setting that is added later has one, at which the numbers
            are what they were before, so that a newer version never orphans done work.
        neutral_where: the configurations in which that value is neutral; None: all.
        applies: which configurations it applies to; None: all.
        default: its value where it applies and is not given.
        why_not: why it does not apply elsewhere, in one clause. `{family}` and other settings are filled in.
        of_method: it belongs to a method: two configurations that agree in all others differ by method alone.
    """

    counts: bool = True
    neutral: Any = NO_VALUE
    neutral_where: Callable[[Values], bool] | None = None
    applies: Callable[[Values], bool] | None = None
    default: Callable[[Values], Any] = lambda values: None
    why_not: str = ""
    of_method: bool = False

    def is_neutral(self, value: Any, values: Values) -> bool:
        """Whether the value leaves the key as it is, in a configuration with these values."""
        if self.neutral is NO_VALUE or self.neutral != value:
            return False
        return self.neutral_where is None or self.neutral_where(values)


def where(path: str, *values: Any) -> Callable[[Values], bool]:
    """An `applies`: where another setting has one of these values."""
    return lambda v: v[path] in values


def always(value: Any) -> Callable[[Values], Any]:
    """A `default` that is the same everywhere."""
    return lambda v: value
