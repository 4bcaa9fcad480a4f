"""Properties of a setting besides its type, its default and its description, as an annotation of its field."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]
"""Values of a configuration by dotted path."""


class _NoValue:
    """Type of `NO_VALUE`."""


NO_VALUE = _NoValue()
"""The `neutral` of a setting that has no neutral value."""


@dataclass(frozen=True)
class Setting:
    """An annotation of a field: `Annotated[int, Setting(...)]`.

    `applies` and `default` get the values of a configuration by dotted path. Settings are resolved in their order, so
    the values of earlier settings are final.

    Attributes:
        in_key: whether it is part of a unit's key, because it can change the unit's numbers.
        neutral: the value at which it stays out of the key. A setting that is added later needs one, at which the
            numbers are the same as before, so that done work of earlier versions still counts.
        neutral_where: says whether that value is neutral in a configuration; None if it is in all.
        silent: whether the lines above a table leave it out at its neutral value, as they did before it existed.
        applies: says whether it applies to a configuration; None if it applies to all.
        default: returns its value in a configuration to which it applies and which does not give one.
        why_not: one clause that says why it does not apply; `{family}` and other settings are filled in.
        of_method: whether it belongs to the method: configurations that differ only in such settings differ by method.
        where: the configurations to which it applies, as text, such as "method single_decoder"; empty for all.
        default_text: its default as text, where the default depends on the configuration.
        synonyms: names that other tools give it; messages about an unknown setting translate them.
        stage: the later stage that alone reads it; empty for a setting that the training reads. It is no part of the
            training's key, and configurations that differ only in such settings share their training.
    """

    in_key: bool = True
    neutral: Any = NO_VALUE
    neutral_where: Callable[[Values], bool] | None = None
    silent: bool = False
    applies: Callable[[Values], bool] | None = None
    default: Callable[[Values], Any] = lambda values: None
    why_not: str = ""
    of_method: bool = False
    where: str = ""
    default_text: str = ""
    synonyms: tuple[str, ...] = ()
    stage: str = ""

    def is_neutral(self, value: Any, values: Values) -> bool:
        """Whether the setting stays out of the key at this value, in a configuration with these values."""
        if self.neutral is NO_VALUE or self.neutral != value:
            return False
        return self.neutral_where is None or self.neutral_where(values)


def setting_is(path: str, *values: Any) -> Callable[[Values], bool]:
    """Return an `applies` that is true if another setting has one of these values."""
    return lambda v: v[path] in values


def constant(value: Any) -> Callable[[Values], Any]:
    """Return a `default` that is the same for all configurations."""
    return lambda v: value
