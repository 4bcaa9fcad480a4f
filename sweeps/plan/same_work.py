"""Refuses plans that would mix work: two data sets under one key, or done units of an older default."""

from collections.abc import Iterator

from sweeps.config.settings import SETTING_INFO, Settings, flatten, unflatten
from sweeps.data.datasets import DATASETS, root_of, title
from sweeps.plan.identity import WITH_NEUTRAL_VALUE, key_of
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.text import count_text, value_text


def check_same_work(plan: Plan) -> None:
    """Check that a plan's keys stand for the work that its grid describes.

    Raises:
        ChoiceError: two data sets of the user's own have the same key, or the ledger holds units that were done with
            the neutral value of a setting whose default is another value now, and the grid does not give that setting.
    """
    _check_roots(plan)
    _check_defaults(plan)


def _check_roots(plan: Plan) -> None:
    """Raise ChoiceError if a key belongs to two folders, whose units could not be told apart."""
    found: dict[str, Settings] = {}
    for row in plan.rows:
        settings = row[0].settings
        if DATASETS[settings.data.dataset].own:
            other = found.setdefault(row[0].key, settings).data
            if root_of(other).absolute() != root_of(settings.data).absolute():
                raise ChoiceError(
                    f"data.root {value_text(other.root)} and {value_text(settings.data.root)} ({title(settings.data)}) "
                    "have the same images, as far as can be seen before they are read (a folder: names and sizes of "
                    "its files), so their units cannot be told apart; give each a sweep of its own (name)"
                )


def _check_defaults(plan: Plan) -> None:
    """Raise ChoiceError if done units have the neutral value of a setting that the grid leaves to its new default."""
    done = {key for key, _ in plan.done}
    for row in plan.rows if done else ():
        settings = row[0].settings
        for path, value in _new_defaults(settings, plan.grid.given):
            neutral = SETTING_INFO[path].neutral
            key = key_of(unflatten(flatten(settings) | {path: neutral}))
            if key in done:
                units = count_text(sum(other == key for other, _ in plan.done), "unit")
                raise ChoiceError(
                    f"{path} is not given, and is {value_text(value)} now; {units} of {row[0].label} were done with "
                    f"{value_text(neutral)}: --set {path}={value_text(neutral)} continues them, "
                    f"--set {path}={value_text(value)} starts anew"
                )


def _new_defaults(settings: Settings, given: frozenset[str]) -> Iterator[tuple[str, object]]:
    """Yield the settings that a grid does not give and that are not neutral, with their values."""
    flat = flatten(settings)
    for path in WITH_NEUTRAL_VALUE - given:
        value = flat[path]
        neutral = SETTING_INFO[path].neutral
        if value not in (None, neutral) and SETTING_INFO[path].is_neutral(neutral, flat):
            yield path, value
