"""What Optuna proposes next, from the configurations that are told to it.

The study is built anew for each proposal, in memory, from the configurations in their order and with the space of now.
So a proposal depends on nothing else, a killed search resumes to the same proposals, and a changed space keeps what was
learned. (Optuna's own storages refuse a changed space.)
"""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sweeps.config.search import Choices, Dimension, Search
from sweeps.config.settings import Value
from sweeps.data.seeds import derive
from sweeps.search.space import Params, applies, highest, nearest
from sweeps.text import value_text

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as OptunaTrial

State = Literal["complete", "failed", "pruned", "running", "refused"]

REFUSED = "refused"
"""The name of the constraint that a proposal misses if the rules of the settings refuse it."""


@dataclass(frozen=True)
class Trial:
    """A configuration as the search knows it.

    Attributes:
        number: the suggestion's number; None for a row of the grid.
        params: its point in the current space.
        state: "complete": all folds are done; "failed": a fold failed; "pruned": a race stopped it; "running": not all
            folds are done; "refused": the rules or a known constraint refused it before training.
        value: the mean over all folds; None unless complete.
        steps: if pruned, the mean over the folds so far, by number of folds.
        constraints: violations by the constraint's name, as `Constraint.violation` returns them; at most 0 where kept.
        reason: why it failed, was stopped or was refused; one line.
    """

    number: int | None
    params: Params
    state: State
    value: float | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
    constraints: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""


def propose(search: Search, trials: Sequence[Trial], number: int, attempt: int = 0) -> Params:
    """Return the point that the sampler proposes as suggestion `number`. Rules or known constraints may refuse it.

    Args:
        trials: what is known, in the order in which it was asked; all points lie in the current space.
        attempt: how many proposals for this number were refused or known before.
    """
    import optuna

    with _quiet():
        sampler = _sampler(search, derive(search.seed, f"search, attempt {attempt}", number) >> 31)
        study = optuna.create_study(sampler=sampler, direction=_direction(search))
        _add(study, search, _for_gaussian_process(search, trials) if search.sampler == "gp" else trials)
        trial = study.ask()
        params: Params = {}
        for path, dimension in search.space.items():
            if applies(search, path, params):
                params[path] = _suggest(trial, path, dimension)
    return params


def export(search: Search, trials: Sequence[Trial], path: Path) -> None:
    """Write the study as a journal that optuna-dashboard opens. A file that exists is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _quiet():
            storage = optuna.storages.JournalStorage(JournalFileBackend(str(written)))
            study = optuna.create_study(storage=storage, study_name="search", direction=_direction(search))
            study.set_metric_names([search.objective.column])
            study.set_user_attr("score_on", search.objective.score_on)
            _add(study, search, trials)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)


def _direction(search: Search) -> Literal["minimize", "maximize"]:
    return "minimize" if search.objective.minimize else "maximize"


def _sampler(search: Search, seed: int) -> "BaseSampler":
    """Return a sampler with this seed, below 2^32."""
    from optuna.samplers import GPSampler, RandomSampler, TPESampler

    if search.sampler == "random":
        return RandomSampler(seed=seed)
    tpe = TPESampler(seed=seed, group=True)  # group: conditional settings are modelled jointly
    if search.sampler == "tpe":
        return tpe
    # The Gaussian process knows only the settings that apply to all configurations; TPE proposes the others.
    return GPSampler(seed=seed, independent_sampler=tpe, warn_independent_sampling=False)


def _add(study: "Study", search: Search, trials: Sequence[Trial]) -> None:
    """Add trials to a study, with the distributions of the current space."""
    distributions = {path: _distribution(dimension) for path, dimension in search.space.items()}
    study.add_trials(_frozen(search, trial, distributions) for trial in trials)


def _frozen(search: Search, trial: Trial, distributions: "Mapping[str, BaseDistribution]") -> "FrozenTrial":
    from optuna.trial import TrialState, create_trial

    state = {
        "complete": TrialState.COMPLETE,
        "failed": TrialState.FAIL,
        "pruned": TrialState.PRUNED,
        "running": TrialState.RUNNING,
        "refused": TrialState.PRUNED,
    }[trial.state]
    attributes = {"number": trial.number, "reason": trial.reason}
    return create_trial(
        state=state,
        value=trial.value,
        params={path: _told(value) for path, value in trial.params.items()},
        distributions={path: distributions[path] for path in trial.params},
        intermediate_values=dict(trial.steps),
        constraints=_violations(trial),
        user_attrs={name: value for name, value in attributes.items() if value not in (None, "")},
    )


def _distribution(dimension: Dimension) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution([_told(value) for value in dimension.values])
    low, high, step = dimension.low, highest(dimension), dimension.step
    if dimension.integer:
        return IntDistribution(int(low), int(high), dimension.log, int(step or 1))
    return FloatDistribution(low, high, dimension.log, step)


def _told(value: Value) -> Value:
    """Return a value as Optuna stores it: a tuple as text."""
    return value_text(value) if isinstance(value, tuple) else value


def _suggest(trial: "OptunaTrial", path: str, dimension: Dimension) -> Value:
    """Ask for the value of one setting. A number is one that the space holds exactly."""
    if isinstance(dimension, Choices):
        told = [_told(value) for value in dimension.values]
        return dimension.values[told.index(trial.suggest_categorical(path, told))]
    low, high, step = dimension.low, highest(dimension), dimension.step
    if dimension.integer:
        return nearest(dimension, trial.suggest_int(path, int(low), int(high), step=int(step or 1), log=dimension.log))
    return nearest(dimension, trial.suggest_float(path, low, high, step=step, log=dimension.log))


def _violations(trial: Trial) -> dict[str, float]:
    """Return the violations that the sampler is told. A refused trial has at least one."""
    refused = trial.state == "refused" and not any(violation > 0 for violation in trial.constraints.values())
    return {**trial.constraints, **({REFUSED: 1.0} if refused else {})}


def _for_gaussian_process(search: Search, trials: Sequence[Trial]) -> list[Trial]:
    """Return trials such that a Gaussian process avoids the refused ones. It learns from complete trials alone.

    A refused trial becomes complete with the worst known value, and every complete trial has every constraint, at its
    bound where the violation is not known, because Optuna needs as many constraints of each.
    """
    values = [trial.value for trial in trials if trial.value is not None]
    if not values:
        return list(trials)
    worst = max(values) if search.objective.minimize else min(values)
    learned = [trial for trial in trials if trial.state in ("complete", "refused")]
    names = dict.fromkeys(name for trial in learned for name in _violations(trial))
    told = []
    for trial in trials:
        if trial.state in ("complete", "refused"):
            value = worst if trial.state == "refused" else trial.value
            constraints = {name: _violations(trial).get(name, 0.0) for name in names}
            trial = replace(trial, state="complete", value=value, constraints=constraints)
        told.append(trial)
    return told


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's log lines below errors, and its warnings that some of its functions are experimental."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
