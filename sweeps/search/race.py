"""A race: a work source that trains the folds of each configuration in order, and stops configurations that lag."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mtvae.config import METHODS
from sweeps.analysis.racing import RULES
from sweeps.analysis.statistics import summarise
from sweeps.config.search import Objective, Racing
from sweeps.config.stages import STAGES, TRAINING
from sweeps.data.splits import FoldDraw
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.plan.work_source import Done, Envelope, Record, Wait, WorkSource

Score = Callable[[Record], float | None]
"""Returns the objective's value on a fold from the record of its unit; None if the record has none."""

Mark = Callable[[str, str, int], None]
"""Writes down that a configuration is stopped: its key, the reason, and how many folds it has."""


def same_folds(unit: Unit) -> Hashable:
    """Return a value that is equal for units whose folds hold the same images."""
    return unit.settings.source, FoldDraw.of(unit.settings.folds, unit.settings.seed)


def same_model(unit: Unit) -> Hashable:
    """Return a value that is equal for the rows of a grid among which a table marks the best.

    They have the same family and configuration, and were trained on the same folds of the same images.
    """
    return same_folds(unit), unit.settings.family, unit.settings.configuration


def compared_baselines(units: Iterable[Unit], group: Callable[[Unit], Hashable] = same_model) -> set[str]:
    """Return the keys of the baselines that other methods of their group are compared with.

    A race should spare them, because the differences of all other rows need their folds.
    """
    keys: dict[bool, dict[str, Hashable]] = {True: {}, False: {}}
    for unit in units:
        keys[METHODS[unit.settings.method].baseline][unit.training_id[0]] = group(unit)
    others = set(keys[False].values())
    return {key for key, own in keys[True].items() if own in others}


def by_configuration(units: Iterable[Unit]) -> list[Unit]:
    """Sort units configuration by configuration, each fold by fold, so that some configuration soon has all folds.

    The configurations keep their order, and so do the stages of a fold.
    """
    units = list(units)
    order = {key: i for i, key in enumerate(dict.fromkeys(unit.training_id[0] for unit in units))}
    return sorted(units, key=lambda unit: (order[unit.training_id[0]], unit.fold))


@dataclass
class _Configuration:
    """A configuration in the race.

    Attributes:
        example: any of its units.
        stage: the stage that measures the objective.
        scores: the objective's values, by fold.
        held: the units that the inner source has handed out and this one has not, by fold.
        open_fold: the fold whose score is still to come; no unit of another fold goes out before.
    """

    example: Unit
    stage: str
    scores: dict[int, float] = field(default_factory=dict)
    held: list[Unit] = field(default_factory=list)
    open_fold: int | None = None

    @property
    def n_folds(self) -> int:
        return self.example.settings.folds.n_splits

    @property
    def complete(self) -> bool:
        return len(self.scores) == self.n_folds

    @property
    def mean(self) -> float:
        """The mean of its scores. It has at least one."""
        summary = summarise(list(self.scores.values()))
        assert summary is not None
        return summary.mean

    @property
    def ready(self) -> Unit | None:
        """The unit that may go out now, if the race lets it."""
        if not self.held or self.open_fold not in (None, self.held[0].fold):
            return None
        return self.held[0]


class RacingSource:
    """Hands out another source's units, fold after fold of a configuration and many configurations side by side.

    Before each further fold, the rule compares the configuration with the incumbent, the best configuration of its
    group that has all folds. Where the rule says so, the configuration is marked as stopped and dropped. The inner
    source's order decides which configurations come first; units that it has handed out already go before new ones.

    A configuration with a failed fold cannot become the incumbent. Its other folds are trained, unless the rule stops
    it, because `--retry` can still complete it.
    """

    def __init__(
        self,
        inner: WorkSource,
        racing: Racing,
        score: Score,
        columns: Sequence[str],
        mark: Mark,
        done: Iterable[tuple[Unit, float]] = (),
        stopped: Mapping[str, str] | None = None,
        group: Callable[[Unit], Hashable] = same_model,
        spared: Collection[str] = (),
    ):
        """Wrap a source whose configurations come one after another (`by_configuration`).

        Args:
            score: reads the objective's value from a record.
            columns: the columns of a record that `score` needs.
            mark: called once for each configuration that is stopped, before the inner source hears of it.
            done: the units that were done before, each with its score.
            stopped: the reasons of earlier marks, by key. They are honoured unless the configuration has all its folds.
            group: gives configurations that may stop each other an equal value. Those with other folds never do.
            spared: the keys of configurations that are never stopped.
        """
        self._inner, self._racing, self._score, self._columns = inner, racing, score, columns
        self._mark, self._spared = mark, frozenset(spared)
        self._group = lambda unit: (same_folds(unit), group(unit))
        self._configurations: dict[str, _Configuration] = {}
        self._holding: dict[str, _Configuration] = {}  # those with held units, in the inner source's order
        self._running: set[UnitId] = set()
        self._incumbents: dict[Hashable, _Configuration] = {}
        for unit, value in done:
            self._note(self._of(unit), unit.fold, value)
        for key, reason in ({} if stopped is None or racing.rule == "none" else stopped).items():
            known = self._configurations.get(key)
            if known is None or not known.complete:
                inner.drop(key, reason)

    def next(self) -> Unit | Wait | Done:
        while (unit := self._next_held()) is None:
            found = self._inner.next()
            if isinstance(found, Unit):
                self._hold(found)
            elif self._holding and not self._running:
                # The unit that would give an open fold its score never comes: it was blocked, or it failed before.
                for configuration in self._holding.values():
                    configuration.open_fold = None
            else:
                return Wait() if self._holding else found
        self._running.add(unit.id)
        return unit

    def finished(self, unit: Unit, outcome: Outcome, record: Record | None) -> None:
        self._running.discard(unit.id)
        configuration = self._of(unit)
        if unit.stage == configuration.stage and outcome.is_done and record is not None:
            value = self._score(record)
            if value is not None:
                self._note(configuration, unit.fold, value)
        if unit.fold == configuration.open_fold and (unit.stage == configuration.stage or not outcome.is_done):
            configuration.open_fold = None
        self._inner.finished(unit, outcome, record)
        if outcome is Outcome.STOPPED:  # the sweep ends, and the next folds must wait for this one
            for held in self._let_go(unit.training_id[0]):
                self._inner.finished(held, Outcome.STOPPED, None)

    def drop(self, key: str, reason: str) -> None:
        self._let_go(key)
        self._inner.drop(key, reason)

    def envelope(self) -> Envelope:
        envelope = self._inner.envelope()
        return replace(envelope, columns=tuple(dict.fromkeys([*envelope.columns, *self._columns])))

    def _of(self, unit: Unit) -> _Configuration:
        key = unit.training_id[0]
        if key not in self._configurations:
            self._configurations[key] = _Configuration(unit, objective_stage(self._racing.objective))
        return self._configurations[key]

    def _hold(self, unit: Unit) -> None:
        configuration = self._holding.setdefault(unit.training_id[0], self._of(unit))
        configuration.held.append(unit)
        configuration.held.sort(key=lambda held: held.fold)

    def _let_go(self, key: str) -> list[Unit]:
        """Forget the held units of a configuration, and return them."""
        configuration = self._holding.pop(key, None)
        if configuration is None:
            return []
        held, configuration.held = configuration.held, []
        return held

    def _next_held(self) -> Unit | None:
        """Return the first held unit that may go out, after stopping the configurations before it that lag."""
        for key, configuration in list(self._holding.items()):
            if (unit := configuration.ready) is None:
                continue
            if reason := self._reason_to_stop(key, configuration):
                self._mark(key, reason, len(configuration.scores))
                self.drop(key, reason)
                continue
            configuration.held.pop(0)
            if not configuration.held:
                del self._holding[key]
            if unit.stage in (TRAINING, configuration.stage) and unit.fold not in configuration.scores:
                configuration.open_fold = unit.fold
            return unit
        return None

    def _note(self, configuration: _Configuration, fold: int, value: float) -> None:
        """Take a score, and take the configuration for the incumbent if it is complete now and the best."""
        configuration.scores[fold] = value
        if not configuration.complete:
            return
        group = self._group(configuration.example)
        incumbent, minimize = self._incumbents.get(group), self._racing.objective.minimize
        if incumbent is None or (
            configuration.mean < incumbent.mean if minimize else configuration.mean > incumbent.mean
        ):
            self._incumbents[group] = configuration

    def _reason_to_stop(self, key: str, configuration: _Configuration) -> str:
        """Return why the race stops a configuration; empty if it goes on."""
        incumbent = self._incumbents.get(self._group(configuration.example))
        if incumbent is None or configuration.complete or key in self._spared:
            return ""
        n, minimize = configuration.n_folds, self._racing.objective.minimize
        if not RULES[self._racing.rule](configuration.scores, incumbent.scores, minimize, n):
            return ""
        return (
            f"{self._racing.rule}: {self._racing.objective.metric} {configuration.mean:.6g} over "
            f"{len(configuration.scores)} of {n} folds, against {incumbent.mean:.6g} of {incumbent.example.label}"
        )


def objective_stage(objective: Objective) -> str:
    """Return the stage that measures the objective. A training's settings do not tell which later stages follow."""
    return next((stage.name for stage in STAGES if objective.metric in [m.name for m in stage.metrics]), TRAINING)
