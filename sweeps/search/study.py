"""What a search proposes next, from the configurations that are told to it.

The study is built anew for each proposal, in memory, from the configurations in their order and with the space of now.
So a proposal depends on nothing else, a killed search resumes to the same proposals, and a changed space keeps what was
learned. (Optuna's own storages refuse a changed space.) This module imports Optuna only to propose and to export.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sweeps.config.search import Search
from sweeps.search.space import Params

State = Literal["complete", "failed", "pruned", "running", "refused"]


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
    from sweeps.search import optuna_study

    return optuna_study.ask(search, trials, number, attempt)


def export(search: Search, trials: Sequence[Trial], path: Path) -> None:
    """Write the study as a journal that optuna-dashboard opens. A file that exists is replaced.

    Raises:
        OSError: the file cannot be written.
    """
    from sweeps.search import optuna_study

    written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        optuna_study.write(search, trials, written)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
