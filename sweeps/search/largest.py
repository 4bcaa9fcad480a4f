"""The corners of a search's space: configurations that need the most and the least of what a suggestion may need."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mtvae.cost import training_bytes
from sweeps.config.search import Search, combinations
from sweeps.config.settings import Settings
from sweeps.search.asked import judge
from sweeps.search.space import Params, applies, default_params

MOST = 200
"""How many combinations of choices and bounds are resolved."""


def corners(parts: Sequence[Search]) -> list[Settings]:
    """Return the default configuration of each part, and the valid combinations of choices and bounds of its space.

    Of a space with many combinations, some are drawn, always the same ones. Combinations that the rules refuse are left
    out, and so are those that the known constraints refuse, unless they refuse all.
    """
    free = [replace(part, constraints=()) for part in parts]
    return _valid(parts) or _valid(free)


def largest(settings: Sequence[Settings]) -> list[Settings]:
    """Return the configuration that takes the most memory, of each family and method, precision and source of images.

    A back end that measures memory then measures few configurations, and gives all others what the largest one takes.
    """
    found: dict[tuple[object, ...], Settings] = {}
    for one in settings:
        kind = one.family, one.method, one.training.precision, one.source
        if kind not in found or _bytes(one) > _bytes(found[kind]):
            found[kind] = one
    return list(found.values())


def _bytes(settings: Settings) -> int:
    return training_bytes(settings.cost, settings.training.batch_size)


def _valid(parts: Sequence[Search]) -> list[Settings]:
    found: dict[Settings, None] = {}
    for part in parts:
        for params in (default_params(part), *_corners(part)):
            settings, _, _ = judge(part, params)
            if settings is not None:
                found.setdefault(settings)
    return list(found)


def _corners(search: Search) -> Iterator[Params]:
    for chosen in combinations(search.space, MOST):
        params: Params = {}
        for path, value in chosen.items():
            if applies(search, path, params):
                params[path] = value
        yield params
