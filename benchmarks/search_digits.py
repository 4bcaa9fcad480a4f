"""A real search on digits: our TPE and random search, plain Ray Tune with Optuna, and a grid, at equal trainings.

    python benchmarks/search_digits.py train WAY SEED     one search of 200 trainings: tpe, random, grid or ray
    python benchmarks/search_digits.py confirm            the choices again, on fresh splits and seeds
    python benchmarks/search_digits.py page > benchmarks/search_digits.md

`tpe`, `random` and `grid` are `python -m sweeps.run --inline` with `search_digits.yaml` or `search_digits_grid.yaml`.
`ray` is Ray Tune through its public interface, as its users combine it with Optuna: `Repeater` asks `OptunaSearch` for
a configuration and starts five trials of it, of which each trains one fold. All four train and score a unit with the
same code, and write it into a ledger, so every command resumes.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
import yaml
from ledger_scale import machine
from numpy.typing import NDArray

from sweeps.analysis.optimism import corrected_best
from sweeps.config import grid
from sweeps.config.rules import resolve
from sweeps.config.search import Search
from sweeps.config.settings import FIELDS, flatten
from sweeps.data.datasets import load
from sweeps.ledger import rows
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.ledger.provenance import provenance
from sweeps.ledger.schema import Row
from sweeps.plan.identity import units_of
from sweeps.search.space import Params, params_of, settings_of

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search_digits"
SEARCH, COARSE = HERE / "search_digits.yaml", HERE / "search_digits_grid.yaml"
WAYS = {"tpe": "TPE, ours", "random": "random, ours", "ray": "Ray Tune, OptunaSearch", "grid": "grid"}
CONFIGURATIONS, FOLDS, CONFIRM_SEEDS = 40, 5, (101, 102)
COLUMN = "unconditioned_per_pixel"

app = typer.Typer(help=__doc__, rich_markup_mode=None, add_completion=False)
Folder = Annotated[Path, typer.Option("--results", help="folder of the sweeps")]


def the_search(seed: int) -> Search:
    """Return the search of the grid file, with this seed."""
    found = grid.load(str(SEARCH), [f"seed={seed}"]).search
    assert found is not None
    return found


@app.command()
def train(way: str, seed: int, results: Folder = RESULTS) -> None:
    """Run one search, or what is left of it."""
    if way == "ray":
        return train_with_ray(seed, results)
    options = ["--set", "search.sampler=random"] if way == "random" else []
    return run_sweep(COARSE if way == "grid" else SEARCH, f"{way}-{seed}", results, "--set", f"seed={seed}", *options)


def run_sweep(file: Path, name: str, results: Path, *options: str) -> None:
    command = [sys.executable, "-m", "sweeps.run", str(file), "--inline", "--results", str(results)]
    subprocess.run([*command, "--set", f"name={name}", *options], check=True)


def space(trial: Any) -> None:
    """Suggest a point of the space of `search_digits.yaml`, in Optuna's define-by-run form."""
    method = trial.suggest_categorical("method", ["none", "multi_decoder", "single_decoder"])
    if method == "single_decoder":
        trial.suggest_float("exponent", 10, 80, step=5)
    if method == "multi_decoder":
        trial.suggest_float("loss.w2", 0.1, 2, log=True)
    trial.suggest_int("model.embeddings", 16, 256, log=True)
    trial.suggest_categorical("model.codebook_init", ["uniform", "data"])
    trial.suggest_float("loss.latent_weight", 0.05, 2, log=True)
    trial.suggest_float("training.lr", 3e-4, 1e-2, log=True)


def train_with_ray(seed: int, results: Path) -> None:
    """Search with Ray Tune, and write the configurations as the rows of a sweep, in the order of the asks."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray import tune
    from ray.tune.search import Repeater
    from ray.tune.search.optuna import OptunaSearch

    search, name, trials = the_search(seed), f"ray-{seed}", results.resolve() / f"ray-{seed}-trials"
    ledger, code = open_ledger(results.resolve(), name), provenance()

    def train_fold(config: dict[str, Any]) -> None:
        fold = config.pop("__trial_index__")
        tune.report({"error": score_of(ledger, code, search, config, fold)})

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    if tune.Tuner.can_restore(str(trials)):
        tuner = tune.Tuner.restore(str(trials), trainable=train_fold, resume_unfinished=True, resume_errored=True)
    else:
        tuner = tune.Tuner(
            train_fold,
            tune_config=tune.TuneConfig(
                search_alg=Repeater(OptunaSearch(space, metric="error", mode="min", seed=seed), repeat=FOLDS),
                num_samples=CONFIGURATIONS * FOLDS,
                reuse_actors=True,  # else every trial starts a process, which takes longer than its training
            ),
            run_config=tune.RunConfig(name=trials.name, storage_path=str(trials.parent), verbose=0),
        )
    found = tuner.fit()
    configs = [result.config for result in found if result.config]  # a trial that was stopped early has none
    asked = [{k: v for k, v in config.items() if k != "__trial_index__"} for config in configs]
    ledger.write_grid(grid.Grid(name, tuple(dict.fromkeys(settings_of(search, point) for point in asked))))


def score_of(ledger: Ledger, code: Row, search: Search, point: Params, fold: int) -> float:
    """Train one fold of a configuration unless the ledger has it. Return the error on its test fold."""
    import torch

    from sweeps.worker.run_unit import run_unit

    torch.set_num_threads(1)
    unit = units_of(settings_of(search, point))[fold]
    run_unit(unit, load(unit.settings.source), ledger, "cpu", code)
    table, why = ledger.try_read(f"units/{unit.name}.parquet", [COLUMN])
    if table is None:
        raise RuntimeError(why or "the unit failed")
    return float(table[COLUMN][0].as_py())


if __name__ == "__main__":
    app()
