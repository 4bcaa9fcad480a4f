"""The next suggestion of one search: what the sampler proposes, asked again where that is known already."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sweeps.config.search import Search
from sweeps.config.settings import Settings, flatten
from sweeps.ledger.suggestions import Suggestion
from sweeps.plan.identity import key_of
from sweeps.search.asked import judge
from sweeps.search.space import Params, default_params
from sweeps.search.study import Trial, propose

SAMPLED = 10
"""Proposals of the sampler for one suggestion. If all are known, the next ones are drawn at random."""
PROPOSALS = 60
"""Proposals for one suggestion in all. If all are known, the space counts as exhausted."""


def next_suggestion(
    search: Search, trials: Sequence[Trial], number: int, keys: Collection[str], refused: Sequence[Params], first: bool
) -> Suggestion | None:
    """Return the suggestion with this number, which may be refused; None if every proposal is known.

    Args:
        keys: the keys of all known configurations.
        refused: the points that were refused before.
        first: whether it is the first suggestion of its search, which is the default configuration. It may equal a row
            of the grid.
    """
    for attempt in range(PROPOSALS):
        if is_default := first and attempt == 0:
            params = default_params(search)
        else:
            params = propose(search if attempt < SAMPLED else _at_random(search), trials, number, attempt)
        settings, _, why = judge(search, params)
        if why and params not in refused:
            return Suggestion(number, params, seed=search.seed, attempt=attempt, refused=why)
        if settings is not None and (is_default or key_of(settings) not in keys):
            return _suggestion(settings, Suggestion(number, params, seed=search.seed, attempt=attempt))
    return None


def _at_random(search: Search) -> Search:
    return replace(search, sampler="random")


def _suggestion(settings: Settings, suggestion: Suggestion) -> Suggestion:
    return replace(suggestion, settings=flatten(settings), key=key_of(settings))
