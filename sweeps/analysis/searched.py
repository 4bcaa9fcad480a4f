"""What the files of a sweep say of its search: what it looks for, what it has suggested, and what is confirmed."""

from dataclasses import dataclass
from functools import cached_property

from sweeps.analysis.objective import objective_columns, readable_columns
from sweeps.config.search import Choices
from sweeps.config.settings import Value
from sweeps.ledger.confirmations import CONFIRM_FILE, Confirmation, read_confirmations
from sweeps.ledger.ledger import Damage
from sweeps.ledger.search_file import SEARCH_FILE, SearchDescription, read_description
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import Suggestion, read_all


@dataclass(frozen=True)
class Searched:
    """The search of a sweep."""

    description: SearchDescription
    suggestions: tuple[Suggestion, ...]
    confirmations: tuple[Confirmation, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the ledger that a report on the search needs."""
        bounded = [constraint.name for constraint in self.description.constraints]
        return tuple(dict.fromkeys([*objective_columns(self.description.objective), *readable_columns(bounded)]))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of the first suggestion of each configuration, by key."""
        return {s.key: s.number for s in reversed(self.suggestions) if not s.refused}

    @property
    def each_values(self) -> tuple[Value, ...]:
        """The values for which the search is done separately; one None without `each`."""
        each = self.description.each
        dimension = None if each is None else self.description.space.get(each)
        return dimension.values if isinstance(dimension, Choices) else (None,)


def read_searched(storage: Storage, own: SearchDescription | None = None) -> tuple[Searched | None, Damage]:
    """Return the search of a sweep, or None if it has none, and the files that cannot be read.

    Args:
        own: what a run's own search looks for; None for the search of the latest grid.

    Raises:
        StorageError: the machine cannot read a file now.
    """
    description, why = read_description(storage) if own is None else (own, "")
    damaged = [(SEARCH_FILE, why)] if why else []
    if description is None:
        return None, damaged
    suggestions, bad = read_all(storage)
    confirmations, why = read_confirmations(storage)
    damaged += [*bad, *([(CONFIRM_FILE, why)] if why else [])]
    return Searched(description, tuple(suggestions), tuple(confirmations)), damaged
