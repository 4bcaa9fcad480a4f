"""Optuna's side of a search: the samplers, and a study with the trials that they learn from."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial
from threadpoolctl import threadpool_limits

from sweeps.config.search import Choices, Dimension, Search
from sweeps.config.settings import Value
from sweeps.data.seeds import derive
from sweeps.search.space import Params, applies, short
from sweeps.search.study import Trial
from sweeps.text import value_text

REFUSED = "refused"
"""The constraint that a refused trial violates if it violates none of the search's, because the rules refuse it."""

_STATES = {
    "complete": TrialState.COMPLETE,
    "failed": TrialState.FAIL,
    "pruned": TrialState.PRUNED,
    "running": TrialState.RUNNING,
    "refused": TrialState.PRUNED,  # TPE avoids it, because it violates a constraint
}


def ask(search: Search, trials: Sequence[Trial], number: int, attempt: int) -> Params:
    """Return the sampler's proposal, as `propose` describes it."""
    seed = derive(search.seed, f"search, attempt {attempt}", number) >> 31  # Optuna's seeds are below 2^32
    # The last digits of a matrix product depend on the number of threads, and so would a Gaussian process's proposal.
    threads = threadpool_limits(1) if search.sampler == "gp" else nullcontext()
    with _quiet(), threads:
        study = optuna.create_study(sampler=_sampler(search, seed), direction=_direction(search))
        _add(study, search, _learned_from(search, trials))
        trial = study.ask()
        params: Params = {}
        for path, dimension in search.space.items():
            if applies(search, path, params):
                params[path] = _suggest(trial, path, dimension)
    return params


class _Lines(BaseJournalBackend):
    """The lines of a journal in memory, because a file would be locked and synchronized for every trial."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        return self.lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += logs


def write(search: Search, trials: Sequence[Trial], path: Path) -> None:
    """Write a study into a new journal."""
    with _quiet():
        journal = _Lines()
        storage = optuna.storages.JournalStorage(journal)
        study = optuna.create_study(storage=storage, study_name="search", direction=_direction(search))
        study.set_metric_names([search.objective.column])
        study.set_user_attr("score_on", search.objective.score_on)
        _add(study, search, trials)
        JournalFileBackend(str(path)).append_logs(journal.lines)


def _direction(search: Search) -> Literal["minimize", "maximize"]:
    return "minimize" if search.objective.minimize else "maximize"


def _sampler(search: Search, seed: int) -> BaseSampler:
    """Return a sampler with this seed."""
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    tpe = TPESampler(seed=seed, group=True)  # group: settings that apply together are modelled jointly
    if search.sampler == "tpe":
        return tpe
    # A Gaussian process models only the settings that apply to all configurations. TPE proposes the others.
    return GPSampler(seed=seed, independent_sampler=tpe, warn_independent_sampling=False)


def _learned_from(search: Search, trials: Sequence[Trial]) -> Sequence[Trial]:
    """Return the trials as the sampler needs them. A Gaussian process learns from complete trials alone.

    For it a refused trial becomes complete with the worst known value, and every complete trial has every constraint,
    at its bound where the violation is not known, because Optuna needs the same constraints of each.
    """
    if search.sampler == "random":
        return []
    values = [trial.value for trial in trials if trial.value is not None]
    if search.sampler == "tpe" or not values:
        return trials
    worst = max(values) if search.objective.minimize else min(values)
    known = {i: _violations(trial) for i, trial in enumerate(trials) if trial.state in ("complete", "refused")}
    names = dict.fromkeys(name for violations in known.values() for name in violations)
    return [
        trial
        if i not in known
        else replace(
            trial,
            state="complete",
            value=worst if trial.value is None else trial.value,
            constraints={name: known[i].get(name, 0.0) for name in names},
        )
        for i, trial in enumerate(trials)
    ]


def _violations(trial: Trial) -> dict[str, float]:
    """Return the violations of a trial's constraints. A refused trial has at least one."""
    violations = dict(trial.constraints)
    if trial.state == "refused" and not any(violation > 0 for violation in violations.values()):
        violations[REFUSED] = 1.0
    return violations


def _add(study: optuna.Study, search: Search, trials: Sequence[Trial]) -> None:
    """Add trials to a study, with the distributions of the current space."""
    distributions = {path: _distribution(dimension) for path, dimension in search.space.items()}
    study.add_trials(_frozen(trial, distributions) for trial in trials)


def _frozen(trial: Trial, distributions: Mapping[str, BaseDistribution]) -> FrozenTrial:
    attributes = {"number": trial.number, "state": trial.state, "reason": trial.reason}
    return create_trial(
        state=_STATES[trial.state],
        value=trial.value,
        params={path: _stored(value) for path, value in trial.params.items()},
        distributions={path: distributions[path] for path in trial.params},
        intermediate_values=dict(trial.steps),
        constraints=_violations(trial),
        user_attrs={name: value for name, value in attributes.items() if value not in (None, "")},
    )


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choices):
        return CategoricalDistribution([_stored(value) for value in dimension.values])
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.integer:
        return IntDistribution(int(low), int(high), dimension.log, int(step or 1))
    return FloatDistribution(low, high, dimension.log, step)


def _stored(value: Value) -> Value:
    """Return a value as Optuna stores it: a tuple as text."""
    return value_text(value) if isinstance(value, tuple) else value


def _suggest(trial: optuna.Trial, path: str, dimension: Dimension) -> Value:
    """Return the value that is proposed for a setting. A number is one of those that the space holds, and short."""
    if isinstance(dimension, Choices):
        stored = [_stored(value) for value in dimension.values]
        return dimension.values[stored.index(trial.suggest_categorical(path, stored))]
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.integer:
        return short(dimension, trial.suggest_int(path, int(low), int(high), step=int(step or 1), log=dimension.log))
    return short(dimension, trial.suggest_float(path, low, high, step=step, log=dimension.log))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna's log lines below errors, and two warnings.

    They are that a function is experimental, and that the steps of a range do not meet its upper bound.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "The distribution is specified by", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
