"""Whether one search of `search_digits.py` was unlucky: many searches of a model of its trainings.

    python benchmarks/search_surrogate.py [--searches 100] [--configurations 24]

Extremely randomised trees learn the logarithm of the mean error from the configurations that the four searches of
`results/search_digits` have trained. Each search then minimises what the trees predict, without noise.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
import typer
from search_digits import RESULTS, WAYS, Found, read_search, space, the_search
from sklearn.ensemble import ExtraTreesRegressor

from sweeps.config.search import SamplerKind
from sweeps.search.space import Params, default_params
from sweeps.search.study import Trial, propose

Predict = Callable[[Params], float]


def features(point: Params) -> list[float]:
    """Return a point as numbers; a setting that does not apply has its default."""
    flags = [point["method"] == method for method in ("none", "multi_decoder", "single_decoder")]
    given = {"loss.w2": 1.0, "exponent": 40.0} | point
    numbers = ("model.embeddings", "loss.w2", "loss.latent_weight", "training.lr", "exponent")
    return [*flags, point["model.codebook_init"] == "data", *[float(np.log(given[name])) for name in numbers]]


def learn(found: Sequence[Found]) -> tuple[Predict, float, int]:
    """Return what predicts a point's error, R² on configurations that a tree has not seen, and how many there are."""
    points = [features(point) for one in found for point in one.points]
    errors = np.log(np.concatenate([one.scores.mean(1) for one in found]))
    model = ExtraTreesRegressor(100, random_state=0, bootstrap=True, oob_score=True).fit(points, errors)
    trees = [tree.tree_ for tree in model.estimators_]

    def predict(point: Params) -> float:
        row = np.array([features(point)], np.float32)
        return float(np.exp(np.mean([tree.predict(row)[0, 0] for tree in trees])))

    return predict, float(model.oob_score_), len(points)


def ours(predict: Predict, seed: int, n: int, sampler: SamplerKind) -> float:
    """Return the lowest error that our search finds with n configurations, the default one included."""
    search = replace(the_search(1), seed=seed, sampler=sampler)
    trials: list[Trial] = []
    for number in range(1, n + 1):
        point = default_params(search) if number == 1 else propose(search, trials, number)
        trials.append(Trial(number, point, "complete", predict(point)))
    return min(trial.value for trial in trials if trial.value is not None)


def plain_optuna(predict: Predict, seed: int, n: int) -> float:
    """Return the lowest error of a study with Optuna's default sampler, as `OptunaSearch` makes it."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(n):
        space(trial := study.ask())
        study.tell(trial, predict(trial.params))
    return float(study.best_value)


def main(searches: int = 100, configurations: int = 24) -> None:
    """Print a table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    predict, known, n = learn([found for way in WAYS if (found := read_search(RESULTS, way, 1)) is not None])
    best: dict[str, list[float]] = defaultdict(list)
    for seed in range(1, searches + 1):
        best[WAYS["tpe"]].append(ours(predict, seed, configurations, "tpe"))
        best["Optuna's default sampler"].append(plain_optuna(predict, seed, configurations))
        best[WAYS["random"]].append(ours(predict, seed, configurations, "random"))
    print(f"{n} configurations, R² {known:.2f}; {searches} searches of {configurations}.\n")
    print("| | mean of the best | median | worst |\n| --- | ---: | ---: | ---: |")
    for name, values in best.items():
        mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
        print(f"| {name} | {mean:.4f} ± {error:.4f} | {np.median(values):.4f} | {max(values):.4f} |")


if __name__ == "__main__":
    typer.run(main)
