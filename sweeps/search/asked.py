"""The suggestions of a ledger as the search of now sees them: which lie in its space, and which are refused."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from sweeps.config.grid import Grid
from sweeps.config.rules import IncompatibleSettings
from sweeps.config.search import Choices, Search
from sweeps.config.settings import Settings, Value, flatten
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import Suggestion, read_all, settings_of_file
from sweeps.plan.identity import key_of, units_of
from sweeps.plan.unit import Unit
from sweeps.search.objective import constraint_text, known_numbers, violations
from sweeps.search.space import Params, applies, default_params, params_of, search_for, settings_of
from sweeps.text import count_text, number_text


@dataclass(frozen=True)
class Asked:
    """A suggestion that lies in the space of now.

    Attributes:
        part: the index of its search: with `each`, there is one for each value.
        params: its point in that search's space.
        settings: its configuration with the shared settings of now; None if it is refused.
        key: the key of its training; "" if it is refused.
        constraints: violations of the known constraints.
        refused: why it is not trained; "" if it is.
    """

    suggestion: Suggestion
    part: int
    params: Params
    settings: Settings | None
    key: str
    constraints: Mapping[str, float] = field(default_factory=dict)
    refused: str = ""

    @property
    def number(self) -> int:
        return self.suggestion.number

    @cached_property
    def units(self) -> list[Unit]:
        """Its units, without labels; none if it is refused."""
        return [] if self.settings is None else units_of(self.settings)


def parts_of(search: Search) -> list[Search]:
    """Return the searches that a search consists of: one for each value of `each`, or itself."""
    if search.each is None:
        return [search]
    choices = search.space[search.each]
    assert isinstance(choices, Choices)
    return [search_for(search, value) for value in choices.values]


def each_value(search: Search, part: int) -> Value:
    """Return the value of `each` to which a part belongs; None without `each`."""
    choices = None if search.each is None else search.space[search.each]
    return choices.values[part] if isinstance(choices, Choices) else None


def judge(search: Search, params: Params) -> tuple[Settings | None, Mapping[str, float], str]:
    """Return a point's settings, its violations of the known constraints, and why it is refused, or "".

    The settings are None if it is refused.
    """
    try:
        settings = settings_of(search, params)
    except IncompatibleSettings as error:
        return None, {}, str(error)
    known = [constraint for constraint in search.constraints if constraint.known]
    numbers = known_numbers(settings)
    found = violations(known, numbers)
    missed = [c for c in known if found[constraint_text(c)] > 0]
    why = "; ".join(f"{c.name} {number_text(numbers[c.name])}, not {c.operator} {c.bound:g}" for c in missed)
    return (None if why else settings), found, why


class Archive:
    """The suggestions in a sweep's folder, each read and placed once."""

    def __init__(self, storage: Storage, search: Search):
        self.storage, self.search, self.parts = storage, search, parts_of(search)
        self.asked: dict[int, Asked] = {}
        """Those that lie in the space of now, by number in ask order."""
        self.outside: dict[int, str] = {}
        """Why the others do not, by number."""
        self.damaged: dict[str, str] = {}
        """Why a file cannot be read, by name."""

    def refresh(self) -> list[Asked]:
        """Read the suggestions that have come since the last call, and return those that lie in the space."""
        known = self.asked.keys() | self.outside.keys()
        suggestions, damaged = read_all(self.storage, known)
        self.damaged = dict(damaged)
        return [asked for suggestion in suggestions if (asked := self.add(suggestion)) is not None]

    def add(self, suggestion: Suggestion) -> Asked | None:
        """Take in one suggestion, and return it if it lies in the space of now."""
        place = self._place_refused if suggestion.refused else self._place
        found = place(suggestion)
        if isinstance(found, str):
            self.outside[suggestion.number] = found
            return None
        number_before = next(reversed(self.asked), 0)
        self.asked[suggestion.number] = found
        if number_before > suggestion.number:  # another driver's file appeared late
            self.asked = dict(sorted(self.asked.items()))
        return found

    @property
    def rows(self) -> list[Asked]:
        """The suggestions that are trained, in ask order, each configuration once."""
        first: dict[str, Asked] = {}
        for asked in self.asked.values():
            if not asked.refused:
                first.setdefault(asked.key, asked)
        return list(first.values())

    def count(self, part: int) -> int:
        """Return how many configurations of a part were asked for and not refused: those that its limit counts."""
        return len({asked.key for asked in self.of_part(part) if not asked.refused})

    def is_used_up(self, part: int, hours: Callable[[Sequence[Unit]], float]) -> bool:
        """Return whether a part has reached one of its limits.

        Args:
            hours: returns how long the done ones of these units took.
        """
        wanted, limit = self.search.configurations, self.search.hours
        if wanted is not None and self.count(part) >= wanted:
            return True
        return limit is not None and hours([u for asked in self.of_part(part) for u in asked.units]) >= limit

    def of_part(self, part: int) -> list[Asked]:
        """Return the suggestions of a part, in ask order."""
        return [asked for asked in self.asked.values() if asked.part == part]

    def defaults(self) -> Iterator[tuple[int, Settings]]:
        """Yield the parts with their default configuration, unless that is refused."""
        for i, part in enumerate(self.parts):
            settings, _, _ = judge(part, default_params(part))
            if settings is not None:
                yield i, settings

    @property
    def may_ask(self) -> bool:
        """Whether the number of configurations allows further suggestions. Hours may still forbid them."""
        return self.search.configurations is None or self.left > 0

    @property
    def left(self) -> int:
        """How many configurations may still be asked for, over all parts; 0 if only hours limit the search."""
        wanted = self.search.configurations
        return 0 if wanted is None else sum(max(0, wanted - self.count(i)) for i in range(len(self.parts)))

    def with_suggestions(self, sweep: Grid) -> Grid:
        """Return the grid with the suggestions as further rows, in ask order; its own rows come first, each once."""
        keys = set(map(key_of, sweep.rows))
        new = [asked.settings for asked in self.rows if asked.settings is not None and asked.key not in keys]
        return replace(sweep, rows=(*sweep.rows, *new))

    @property
    def problems(self) -> list[str]:
        """One line for each damaged file, and one on the suggestions that are left out."""
        lines = [
            f"{self.storage.path(name)}: not read ({why}); its number stays taken, its units are kept"
            for name, why in self.damaged.items()
        ]
        if outside := [why for why in self.outside.values() if why]:
            lines.append(f"{count_text(len(outside), 'suggestion')} left out: {reasons_text(outside)}")
        return lines

    def _place(self, suggestion: Suggestion) -> Asked | str:
        """Return a trained suggestion with its point, or why it has none."""
        for i, part in enumerate(self.parts):
            if each_value(self.search, i) == suggestion.each and (same := _unchanged(part, suggestion)) is not None:
                return self._asked(suggestion, i, dict(suggestion.params), same, suggestion.key)
        try:
            flat = flatten(settings_of_file(suggestion.settings))
        except ValueError as error:
            return str(error)
        whys = []
        for i, part in enumerate(self.parts):
            params, why = params_of(part, flat)
            if params is not None:
                settings = settings_of(part, params)
                return self._asked(suggestion, i, params, settings, key_of(settings))
            whys.append(why)
        return whys[0]

    def _asked(self, suggestion: Suggestion, part: int, params: Params, settings: Settings, key: str) -> Asked:
        known = [constraint for constraint in self.search.constraints if constraint.known]
        found = violations(known, known_numbers(settings)) if known else {}
        return Asked(suggestion, part, params, settings, key, found)

    def _place_refused(self, suggestion: Suggestion) -> Asked | str:
        """Return a refused suggestion if the rules of now refuse it in the space of now.

        Otherwise return "", because it was never trained and says nothing.
        """
        for i, part in enumerate(self.parts):
            params = dict(suggestion.params)
            if each_value(self.search, i) != suggestion.each or not _in_space(part, params):
                continue
            _, found, why = judge(part, params)
            if why:
                return Asked(suggestion, i, params, None, "", found, why)
        return ""


def _unchanged(search: Search, suggestion: Suggestion) -> Settings | None:
    """Return the settings of a suggestion's own point if they still are its configuration; None if not.

    This is quicker to tell than `params_of`.
    """
    params = suggestion.params
    if not _in_space(search, params) or any(applies(search, path, params) for path in search.space.keys() - params):
        return None
    try:
        settings = settings_of(search, params)
    except IncompatibleSettings:
        return None
    return settings if key_of(settings) == suggestion.key else None


def _in_space(search: Search, params: Mapping[str, Value]) -> bool:
    """Whether the space has these settings and values."""
    return all(path in search.space and search.space[path].holds(value) for path, value in params.items())


def reasons_text(reasons: Iterable[str], most: int = 3) -> str:
    """Return the most frequent reasons on one line, each with how often it occurs."""
    counts = Counter(reasons).most_common()
    shown = "; ".join(f"{n} {why}" for why, n in counts[:most])
    return shown + (f"; and {len(counts) - most} further reasons" if len(counts) > most else "")
