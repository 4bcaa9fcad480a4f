"""Searches with a conditional space, and objectives that cost nothing, for tests."""

import math
from dataclasses import replace
from typing import Any

from sweeps.config.search import Choices, Objective, Range, Search
from sweeps.search.space import Params
from sweeps.search.study import Trial, propose

OBJECTIVE = Objective("unconditioned", "unconditioned_per_pixel")
SMALL = Search(
    base={"family": "gaussian_vae", "configuration": 1, "data.limit": 60, "folds.n_splits": 2},
    space={
        "method": Choices(("none", "multi_decoder", "single_decoder")),
        "exponent": Range(10, 80, 5),  # of single_decoder only
        "model.latent": Range(4, 64, log=True, integer=True),
        "training.lr": Range(1e-4, 1e-2, log=True),
    },
    objective=OBJECTIVE,
    configurations=6,
)


def small(**changes: Any) -> Search:
    """Return the small search with changed fields."""
    return replace(SMALL, **changes)


def score(params: Params) -> float:
    """Return a made-up score, best at method single_decoder, exponent 40, latent 16 and learning rate 1e-3."""
    by_method = {"none": 1.0, "multi_decoder": 0.5}.get(params["method"], 0.0)
    by_exponent = ((params.get("exponent", 40) - 40) / 20) ** 2
    by_latent = math.log(params["model.latent"] / 16) ** 2
    return float(by_method + by_exponent + by_latent + math.log10(params["training.lr"] / 1e-3) ** 2)


def run(search: Search, n: int, known: tuple[Trial, ...] = ()) -> list[Trial]:
    """Return the first n suggestions of a search after the known trials, each scored before the next is asked."""
    trials = list(known)
    for number in range(len(known), len(known) + n):
        params = propose(search, trials, number)
        trials.append(Trial(number, params, "complete", score(params)))
    return trials[len(known) :]
