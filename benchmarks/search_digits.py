"""A real search on digits: our TPE and random search, plain Ray Tune with Optuna, and a grid, at equal trainings.

    python benchmarks/search_digits.py train WAY SEED     a search: WAY is tpe, random, grid or ray
    python benchmarks/search_digits.py confirm            the choices again, on fresh splits and seeds
    python benchmarks/search_digits.py page               the tables of search_digits.md, and the figure

`tpe`, `random` and `grid` are `python -m sweeps.run --inline` with `search_digits.yaml` or `search_digits_grid.yaml`.
`ray` is Ray Tune through its public interface, as its users combine it with Optuna: `Repeater` asks `OptunaSearch` for
a configuration and starts five trials of it, of which each trains one fold. All four train and score a unit with the
same code, and write it into a ledger. Every command resumes.
"""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from ledger_scale import machine
from numpy.typing import NDArray

from sweeps.analysis.optimism import corrected_best
from sweeps.config import grid
from sweeps.config.search import Search
from sweeps.config.settings import Settings, column
from sweeps.data.datasets import load
from sweeps.ledger import rows
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.ledger.provenance import provenance
from sweeps.ledger.schema import Row
from sweeps.plan.identity import key_of, units_of
from sweeps.search.space import Params, default_params, settings_of

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "search_digits"
SEARCH, COARSE = HERE / "search_digits.yaml", HERE / "search_digits_grid.yaml"
WAYS = {"tpe": "TPE, ours", "random": "random, ours", "ray": "Ray Tune, OptunaSearch", "grid": "grid"}
CONFIGURATIONS, FOLDS, CONFIRM_SEEDS = 40, 5, (101, 102)
COLUMN = "unconditioned_per_pixel"
Numbers = NDArray[np.float64]

app = typer.Typer(help=__doc__, rich_markup_mode=None, add_completion=False)
Folder = Annotated[Path, typer.Option("--results", help="folder of the sweeps")]
Count = Annotated[int, typer.Option("--configurations", help="how many; a later call may ask for more")]


@cache
def the_search(seed: int) -> Search:
    """Return the search of the grid file, with this seed."""
    found = grid.load(str(SEARCH), [f"seed={seed}"]).search
    assert found is not None
    return found


@app.command()
def train(way: str, seed: int, results: Folder = RESULTS, configurations: Count = CONFIGURATIONS) -> None:
    """Run one search, or what is left of it."""
    name = f"{way}-{seed}"
    if way == "ray":
        train_with_ray(seed, results.resolve(), configurations)
    elif way == "grid":
        coarse = grid.load(str(COARSE), [f"seed={seed}"])
        run_rows(name, coarse.rows[:configurations], results)
    else:
        limits = [f"search.configurations={configurations}", f"search.sampler={way}", f"seed={seed}"]
        run_sweep(SEARCH, name, results, limits)


def run_sweep(file: Path, name: str, results: Path, overrides: Sequence[str] = ()) -> None:
    command = [sys.executable, "-m", "sweeps.run", str(file), "--inline", "--results", str(results)]
    for override in (f"name={name}", *overrides):
        command += ["--set", override]
    subprocess.run(command, check=True)


def run_rows(name: str, configurations: Sequence[Settings], results: Path) -> None:
    """Run a sweep of these configurations."""
    sweep = grid.Grid(name, tuple(dict.fromkeys(configurations)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "grid.yaml"
        file.write_text(sweep.dump(list(map(key_of, sweep.rows))))
        run_sweep(file, name, results)


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


def train_with_ray(seed: int, results: Path, configurations: int) -> None:
    """Search with Ray Tune, and write the configurations as the rows of a sweep, in the order of the asks."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    from ray import tune
    from ray.tune.search import Repeater
    from ray.tune.search.optuna import OptunaSearch

    search, name, trials = the_search(seed), f"ray-{seed}", results / f"ray-{seed}-trials"
    ledger, code = open_ledger(results, name), provenance()

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
                num_samples=configurations * FOLDS,
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


@dataclass(frozen=True)
class Found:
    """What a search has found: the configurations with all folds, in the order in which they were asked for.

    Attributes:
        points: the settings of each, by dotted path.
        scores: the errors on the test folds, (configurations, folds).
    """

    way: str
    seed: int
    points: tuple[Params, ...]
    scores: Numbers

    def first(self, n: int) -> "Found":
        return replace(self, points=self.points[:n], scores=self.scores[:n])

    @property
    def choice(self) -> Params:
        """The point with the best mean."""
        return self.points[int(self.scores.mean(1).argmin())]

    @property
    def best_so_far(self) -> Numbers:
        return np.minimum.accumulate(self.scores.mean(1))


def scores_by_key(ledger: Ledger) -> Mapping[str, Numbers]:
    """Return the scores of the configurations that have all folds, in the order of the folds."""
    by_key: dict[str, dict[int, float]] = defaultdict(dict)
    for record in ledger.read("units", [COLUMN])[0]:
        by_key[record["key"]][record["fold"]] = record[COLUMN]
    return {key: np.array([by[i] for i in range(FOLDS)]) for key, by in by_key.items() if len(by) == FOLDS}


def read_search(results: Path, way: str, seed: int) -> Found | None:
    """Return what a search has found; None if it has not begun."""
    ledger = open_ledger(results, f"{way}-{seed}")
    asked, _ = rows.read(ledger.storage)
    scores = scores_by_key(ledger)
    kept = [row for row in asked or [] if row["key"] in scores]
    if not kept:
        return None
    return Found(way, seed, tuple(map(point_of, kept)), np.array([scores[row["key"]] for row in kept]))


def point_of(row: Row) -> Params:
    """Return the searched settings of a row."""
    return {path: row[column(path)] for path in the_search(1).space if row[column(path)] is not None}


def searches(results: Path) -> list[Found]:
    """Return all searches of the seeds with which ours have begun, cut to what all of them have."""
    begun = sorted({int(path.name.split("-")[1]) for path in results.glob("tpe-*")})
    by_seed = [[read_search(results, way, seed) for way in WAYS] for seed in begun]
    found = [one for of_seed in by_seed for one in of_seed if one is not None]
    n = min(len(one.points) for one in found)
    return [one.first(n) for one in found]


def confirmed_rows(point: Params) -> list[Settings]:
    """Return a configuration under the fresh seeds."""
    return [settings_of(the_search(seed), point) for seed in CONFIRM_SEEDS]


@app.command()
def confirm(results: Folder = RESULTS) -> None:
    """Train the choice of each search, and the default configuration, on fresh splits and seeds."""
    points = [default_params(the_search(1)), *[one.choice for one in searches(results)]]
    run_rows("confirm", [settings for point in points for settings in confirmed_rows(point)], results)


def confirmed(fresh: Mapping[str, Numbers], point: Params) -> Numbers | None:
    """Return a configuration's scores on the fresh folds, of all fresh seeds; None if any is missing."""
    keys = [key_of(settings) for settings in confirmed_rows(point)]
    return np.concatenate([fresh[key] for key in keys]) if all(key in fresh for key in keys) else None


def lines(found: Sequence[Found], fresh: Mapping[str, Numbers]) -> Iterator[str]:
    """Yield the tables: what each search told and what is true of its choice, its settings, and the best so far."""
    yield "| seed | | best mean | corrected | true | true less best | true less that of TPE | folds |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in found:
        tpe = next(other for other in found if (other.way, other.seed) == ("tpe", one.seed))
        yield _line(one, confirmed(fresh, one.choice), confirmed(fresh, tpe.choice))
    default = default_params(the_search(1))
    told = next(one for one in found if one.way == "tpe")
    true = confirmed(fresh, default)
    if told.points[0] == default and true is not None:
        yield f"| {told.seed} | default | {told.scores[0].mean():.4f} | | {true.mean():.4f} | | | |"
    yield "\n| seed | | choice |\n| ---: | --- | --- |"
    for one in found:
        text = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in one.choice.items())
        yield f"| {one.seed} | {WAYS[one.way]} | {text} |"
    n = len(found[0].points)
    marks = sorted({*range(5, n, 5), n})
    yield f"\n| seed | best so far after trainings: | {' | '.join(str(FOLDS * k) for k in marks)} |"
    yield f"| ---: | --- |{' ---: |' * len(marks)}"
    for one in found:
        yield f"| {one.seed} | {WAYS[one.way]} | {' | '.join(f'{one.best_so_far[k - 1]:.4f}' for k in marks)} |"


def _line(one: Found, true: Numbers | None, tpe: Numbers | None) -> str:
    best = corrected_best(one.scores)
    cells = [f"{best.mean:.4f}", f"{best.corrected:.4f}"]
    if true is not None:
        cells += [f"{true.mean():.4f}", f"{true.mean() - best.mean:+.4f}"]
        if one.way != "tpe" and tpe is not None:
            less = true - tpe
            error = less.std(ddof=1) / np.sqrt(len(less))
            cells += [f"{less.mean():+.4f} ± {error:.4f}", f"{(less > 0).sum()} of {len(less)} worse"]
    return f"| {one.seed} | {WAYS[one.way]} | {' | '.join(cells + [''] * (6 - len(cells)))} |"


def draw(found: Sequence[Found], file: Path) -> None:
    """Draw the best mean so far against trainings, a panel for each seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    seeds = sorted({one.seed for one in found})
    figure, axes = plt.subplots(1, len(seeds), figsize=(5 * len(seeds), 3.5), sharey=True, squeeze=False)
    for axis, seed in zip(axes[0], seeds, strict=True):
        for one in (one for one in found if one.seed == seed):
            style = "--" if one.way == "grid" else "-"
            axis.step(FOLDS * np.arange(1, len(one.points) + 1), one.best_so_far, style, where="post")
            axis.set(title=f"seed {seed}", xlabel="trainings", yscale="log")
        axis.legend([WAYS[one.way] for one in found if one.seed == seed])
    axes[0][0].set_ylabel("best mean so far, unconditioned per pixel")
    figure.savefig(file, dpi=100, bbox_inches="tight")


@app.command()
def page(results: Folder = RESULTS) -> None:
    """Print the tables, and draw the figure into the folder of the sweeps."""
    found = searches(results)
    print(f"{len(found[0].points)} configurations x {FOLDS} folds each. {machine()}.\n")
    print("\n".join(lines(found, scores_by_key(open_ledger(results, "confirm")))))
    draw(found, results / "best_so_far.png")


if __name__ == "__main__":
    app()
