"""The work source of a search: the grid's units first, then the folds of one suggestion after another."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from sweeps.config.labels import Labels
from sweeps.config.settings import Settings, flatten
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.suggestions import create, numbers
from sweeps.plan.identity import LABEL_ORDER, units_of
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.plan.work_source import Done, Envelope, GridSource, Record, Wait, WorkSource, examples
from sweeps.search.asked import Archive, Asked, each_value, reasons_text
from sweeps.search.largest import corners, largest
from sweeps.search.proposals import next_suggestion
from sweeps.search.results import Results
from sweeps.search.space import Params, params_of
from sweeps.search.study import Trial
from sweeps.text import count_text, value_text

REFUSED_IN_A_ROW = 100
"""After so many refused suggestions in a row nothing more is asked."""


class SearchSource:
    """Hands out the grid's units, then the units of suggestions, all folds of a configuration in parallel.

    Before it asks for a new suggestion, it takes up those of the ledger that are not finished and whose driver no
    longer runs, the lowest number first. Suggestions of another running driver are told to the sampler as running; what
    is left of them is taken up at the end. With `each`, the value with the fewest suggestions is next, so that all have
    had about as many whenever the search is stopped.

    A suggestion depends on the search, on what is known when it is asked for, and on its number. With one worker, a
    search that was killed therefore resumes to the same suggestions.
    """

    def __init__(
        self,
        grid: WorkSource,
        archive: Archive,
        rows: Sequence[Sequence[Unit]],
        ledger: Ledger,
        say: Callable[[Sequence[str]], None] = lambda lines: None,
        on_asked: Callable[[Archive], None] = lambda archive: None,
        retry: bool = False,
        done: Sequence[Record] | None = None,
    ):
        """Read the ledger's results.

        Args:
            grid: hands out the units of the grid's rows.
            archive: the ledger's suggestions.
            rows: all units of each row of the grid.
            say: prints lines.
            on_asked: called after each new suggestion, before its units are handed out.
            retry: whether failed units are trained again.
            done: the records of all done units, with the columns of `search_columns`; None: they are read.
        """
        self._grid, self._archive, self._ledger = grid, archive, ledger
        self._search = archive.search
        self._say, self._on_asked = say, on_asked
        self._results = Results(archive.search, ledger, retry, done)
        self._examples = corners(self._archive.parts)
        flats = [flatten(settings) for settings in (*(row[0].settings for row in rows), *self._examples)]
        self._labels = Labels(flats, LABEL_ORDER, archive.search.space)
        self._units: dict[int, list[Unit]] = {}  # of suggestions, by number
        self._rows = {row[0].key: row for row in rows}
        self._points = self._points_of_rows()
        self._stopped: dict[str, str] = {}  # why a race stopped a configuration, by key
        self._taken: dict[int, GridSource] = {}  # suggestions whose units this source hands out, by number
        self._waiting: dict[int, Asked] = {}  # unfinished suggestions that it does not hand out
        self._at_start = frozenset(self._archive.asked)
        self._running: dict[UnitId, str] = {}  # with the key of the training that the unit is built on
        self._closed: set[int] = set()  # parts for which nothing more is asked
        self._let_wait(self._archive.asked.values())
        say(self._archive.problems)

    def next(self) -> Unit | Wait | Done:
        if isinstance(unit := self._grid.next(), Unit):
            return self._out(unit)
        while True:
            for number, source in list(self._taken.items()):
                if isinstance(unit := source.next(), Unit):
                    return self._out(unit)
                if isinstance(unit, Done):
                    del self._taken[number]  # none of its units waits for another one any more
            if self._take_up() or self._ask():
                continue
            if self._running:
                return Wait()
            self._read_others()
            if not self._take_up(everything=True):
                return Done()

    def finished(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        self._running.pop(unit.id, None)
        self._results.note(unit, outcome, record)
        self._grid.finished(unit, outcome, record)
        for source in self._taken.values():
            source.finished(unit, outcome, record)

    def drop(self, key: str, reason: str) -> None:
        self._stopped[key] = reason
        self._running = {id_: training for id_, training in self._running.items() if training != key}
        self._waiting = {number: asked for number, asked in self._waiting.items() if asked.key != key}
        self._grid.drop(key, reason)
        for source in self._taken.values():
            source.drop(key, reason)

    def envelope(self) -> Envelope:
        """Return examples of the grid's units, of unfinished suggestions, and of the largest that may be suggested."""
        grid = self._grid.envelope()
        unfinished = [unit for asked in self._waiting.values() for unit in self._results.missing(self._units_of(asked))]
        possible = [units_of(settings, None, self._label(settings)) for settings in largest(self._examples)]
        new = self._archive.left
        if self._search.configurations is None:  # only hours limit it: at least one more for each part
            new = sum(not self._is_over(i) for i in range(len(self._archive.parts)))
        new *= max(map(len, possible), default=0)
        kinds = examples([*grid.units, *unfinished, *[unit for units in possible for unit in units]])
        columns = tuple(dict.fromkeys([*grid.columns, *self._results.columns]))
        return Envelope(tuple(kinds), grid.n_units + len(unfinished) + new, columns)

    def trials(self, part: int) -> list[Trial]:
        """Return what is told to the sampler of a part: the grid's rows, then suggestions in ask order, each once."""
        told: dict[str, Trial] = {}
        for key, params in self._points[part].items():
            told[key] = self._results.trial(None, params, self._rows[key], self._stopped.get(key))
        for asked in self._archive.of_part(part):
            if (key := asked.key or str(asked.number)) not in told:
                told[key] = self._trial(asked)
        return list(told.values())

    def all_trials(self) -> list[Trial]:
        """Return what is told to the samplers of all parts, as points in the space of the whole search.

        Rows of the grid come first, then suggestions in ask order.
        """
        found = []
        for part in range(len(self._archive.parts)):
            own = {} if self._search.each is None else {self._search.each: each_value(self._search, part)}
            found += [replace(trial, params={**own, **trial.params}) for trial in self.trials(part)]
        return sorted(found, key=lambda trial: trial.number or 0)

    def _trial(self, asked: Asked) -> Trial:
        if asked.refused:
            return Trial(asked.number, asked.params, "refused", constraints=asked.constraints, reason=asked.refused)
        return self._results.trial(asked.number, asked.params, self._units_of(asked), self._stopped.get(asked.key))

    def _points_of_rows(self) -> list[dict[str, Params]]:
        """Return the points of the grid's rows by key, for each part; print how many rows have none, and why."""
        points: list[dict[str, Params]] = [{} for _ in self._archive.parts]
        reasons = []
        for key, row in self._rows.items():
            flat = flatten(row[0].settings)
            found = [params_of(part, flat) for part in self._archive.parts]
            for place, (params, _) in zip(points, found, strict=True):
                if params is not None:
                    place[key] = params
            if not any(params is not None for params, _ in found):
                reasons.append(found[0][1])
        if reasons:
            are = "row is" if len(reasons) == 1 else "rows are"
            self._say([f"{len(reasons)} {are} not told to the search: {reasons_text(reasons)}"])
        return points

    def _out(self, unit: Unit) -> Unit:
        self._running[unit.id] = unit.training_id[0]
        return unit

    def _let_wait(self, suggestions: Iterable[Asked]) -> None:
        """Keep those suggestions that are not finished. Units of grid rows are the grid's own."""
        for asked in suggestions:
            if not asked.refused and asked.key not in self._rows and self._results.missing(self._units_of(asked)):
                self._waiting[asked.number] = asked

    def _read_others(self) -> None:
        """Read what other drivers have asked for and done since the last call."""
        damaged = set(self._archive.damaged)
        self._let_wait(self._archive.refresh())
        if not damaged.issuperset(self._archive.damaged):
            self._say(self._archive.problems)
        if self._waiting:
            waiting = list(self._waiting.values())
            self._results.look_up([unit for asked in waiting for unit in self._units_of(asked)])
            self._waiting.clear()
            self._let_wait(waiting)

    def _take_up(self, everything: bool = False) -> bool:
        """Begin to hand out the first unfinished suggestion whose driver has ended. Return whether there is one.

        Args:
            everything: also take up suggestions whose driver may still run. Work is done twice then, at most.
        """
        for number, asked in self._waiting.items():
            state = asked.suggestion.driver_state
            ended = state != "running" if number in self._at_start else state == "ended"
            if (everything or ended) and asked.key not in self._stopped:
                del self._waiting[number]
                self._take(asked)
                return True
        return False

    def _take(self, asked: Asked) -> None:
        units = self._units_of(asked)
        done = frozenset(unit.id for unit in units if unit.id in self._results.done)
        self._taken[asked.number] = GridSource(self._results.missing(units), done)

    def _ask(self) -> bool:
        """Ask for a suggestion that is to be trained, or take one up. Return whether there is one.

        Refused suggestions on the way are written too.
        """
        while len(self._closed) < len(self._archive.parts):
            self._read_others()
            if self._take_up():
                return True
            open_parts = [i for i in range(len(self._archive.parts)) if i not in self._closed]
            part = min(open_parts, key=lambda i: (self._archive.count(i), i))
            if self._is_over(part):
                self._closed.add(part)
                continue
            asked = self._create(part)
            if asked is not None and not asked.refused and asked.key not in self._rows:
                self._take(asked)
                return True
        return False

    def _is_over(self, part: int) -> bool:
        """Return whether a part has used up one of its limits, or too many suggestions in a row were refused."""
        last = self._archive.of_part(part)[-REFUSED_IN_A_ROW:]
        if len(last) == REFUSED_IN_A_ROW and all(asked.refused for asked in last):
            self._say([f"search{self._of_part(part)}: ends, because {len(last)} suggestions in a row were refused"])
            return True
        return self._archive.is_used_up(part, self._results.hours)

    def _create(self, part: int) -> Asked | None:
        """Ask for a suggestion and write it. Return None if another driver took its number, or nothing is left."""
        search = self._archive.parts[part]
        own = self._archive.of_part(part)
        number = max(numbers(self._ledger.storage), default=0) + 1
        keys = {asked.key for asked in self._archive.asked.values()} | self._rows.keys()
        refused = [asked.params for asked in own if asked.refused]
        suggestion = next_suggestion(search, self.trials(part), number, keys, refused, first=not own)
        if suggestion is None:
            n = count_text(self._archive.count(part), "configuration")
            self._say([f"search{self._of_part(part)}: ends after {n}, because every proposal is known by now"])
            self._closed.add(part)
            return None
        suggestion = replace(suggestion, each=each_value(self._search, part))
        if not create(self._ledger.storage, suggestion):
            return None
        asked = self._archive.add(suggestion)
        assert asked is not None, "a proposal lies in the space"
        self._announce(asked)
        return asked

    def _announce(self, asked: Asked) -> None:
        if asked.settings is None:
            point = ", ".join(f"{path} {value_text(value)}" for path, value in asked.params.items())
            self._say([f"suggestion refused{self._of_part(asked.part)}: {point}: {asked.refused}"])
            return
        wanted = self._search.configurations
        of = "" if wanted is None else f" of {wanted}"
        n = self._archive.count(asked.part)
        self._say([f"suggestion {n}{of}{self._of_part(asked.part)}: {self._label(asked.settings)}"])
        self._on_asked(self._archive)

    def _of_part(self, part: int) -> str:
        """Return which part is meant, for a line; empty without `each`."""
        each = self._search.each
        return "" if each is None else f" ({each} {value_text(each_value(self._search, part))})"

    def _label(self, settings: Settings) -> str:
        return self._labels.label(flatten(settings))

    def _units_of(self, asked: Asked) -> list[Unit]:
        """Return the units of a suggestion, with labels."""
        if asked.number not in self._units and asked.settings is not None:
            label = self._label(asked.settings)
            self._units[asked.number] = [replace(unit, label=label) for unit in asked.units]
        return self._units.get(asked.number, [])
