"""How much too good the best mean of a search is, and what the correction leaves: random candidates, and Optuna's TPE.

    python benchmarks/search_bias.py [--random 4000] [--tpe 400]

The objective is made up: a bowl over three settings with its lowest point at a random place, in standard deviations
between candidates drawn at random. Each fold adds noise to it. Own noise is drawn anew for every training. Noise of
neighbours is a smooth function of the settings for each fold, so that a fold favours a region; an adaptive search can
exploit it. An effect that a fold has on all candidates alike changes no choice and no bias, but widens intervals.
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from sweeps.analysis.optimism import corrected_best
from sweeps.config.search import Objective, Range, Search
from sweeps.search.study import Trial, propose

FOLDS = 5
BASE = {"method": "multi_decoder"}  # all of the space applies to it
SPACE = {path: Range(0.0, 1.0) for path in ("training.lr", "loss.w1", "loss.w2")}
FOLD_SD = 0.5  # of a fold's effect on all candidates; about that of the noisiest recorded pool
WAVES, LENGTH = 50, 0.3  # of the noise of neighbours: random Fourier features, and how far a fold's favour reaches
Noise = Literal["own", "neighbours"]
Numbers = NDArray[np.float64]


class Problem:
    """A made-up objective with its folds. `truth` is a candidate's true mean, `score` what its folds show."""

    def __init__(self, rng: np.random.Generator, sd: float, noise: Noise):
        self.rng, self.sd, self.noise = rng, sd, noise
        self.lowest = rng.uniform(0.2, 0.8, len(SPACE))
        self.scale = self._bowl(rng.random((2000, len(SPACE)))).std()
        self.fold = FOLD_SD * rng.standard_normal(FOLDS)
        self.waves = rng.standard_normal((FOLDS, WAVES, len(SPACE))) / LENGTH
        self.phases = rng.uniform(0, 2 * np.pi, (FOLDS, WAVES))

    def _bowl(self, x: Numbers) -> Numbers:
        return np.asarray(((x - self.lowest) ** 2).sum(-1))

    def truth(self, x: Numbers) -> Numbers:
        """Return the true means of candidates (n, settings)."""
        return np.asarray(self._bowl(x) / self.scale)

    def score(self, x: Numbers) -> Numbers:
        """Return the scores (n, folds) of candidates (n, settings)."""
        if self.noise == "own":
            noise = self.rng.standard_normal((len(x), FOLDS))
        else:
            noise = np.cos(np.einsum("ns,fws->nfw", x, self.waves) + self.phases).sum(-1) * np.sqrt(2 / WAVES)
        return np.asarray(self.truth(x)[:, None] + self.fold + self.sd * noise)


class Biases(NamedTuple):
    """Of one search, in standard deviations between random candidates.

    Attributes:
        best: the best mean less the true mean of that candidate.
        corrected: the corrected mean less the mean truth of the candidates that were chosen without each fold.
        against_best: the corrected mean less the true mean of the candidate with the best mean.
        covered: whether the corrected mean's interval holds that true mean.
    """

    best: float
    corrected: float
    against_best: float
    covered: bool


def biases(problem: Problem, x: Numbers, scores: Numbers) -> Biases:
    """Return the biases of a search that tried the candidates x. The effects of the folds are taken out of biases."""
    found, truth, shift = corrected_best(scores), problem.truth(x), problem.fold.mean()
    assert found.half_width is not None
    return Biases(
        found.mean - shift - truth[found.best],
        found.corrected - shift - float(truth[list(found.chosen)].mean()),
        found.corrected - shift - truth[found.best],
        abs(found.corrected - truth[found.best]) <= found.half_width,
    )


def random_search(problem: Problem, n: int) -> tuple[Numbers, Numbers]:
    """Return n candidates drawn at random, and their scores."""
    x = problem.rng.random((n, len(SPACE)))
    return x, problem.score(x)


def tpe_search(problem: Problem, n: int) -> tuple[Numbers, Numbers]:
    """Return the n candidates that a search proposes one after another, and their scores."""
    seed = int(problem.rng.integers(2**31))
    search = Search(BASE, SPACE, Objective("unconditioned", "score"), configurations=n, seed=seed)
    trials: list[Trial] = []
    x, scores = np.empty((n, len(SPACE))), np.empty((n, FOLDS))
    for i in range(n):
        params = propose(search, trials, i + 1)
        x[i] = [params[path] for path in SPACE]
        scores[i] = problem.score(x[i : i + 1])[0]
        trials.append(Trial(i + 1, params, "complete", float(scores[i].mean())))
    return x, scores


Run = Callable[[Problem, int], tuple[Numbers, Numbers]]


def measure(run: Run, n: int, sd: float, noise: Noise, searches: int, seed: int = 0) -> NDArray[np.float64]:
    """Return the biases of independent searches of n candidates, (searches, len(Biases._fields))."""
    children = np.random.SeedSequence(seed).spawn(searches)
    problems = (Problem(np.random.default_rng(child), sd, noise) for child in children)
    return np.array([biases(problem, *run(problem, n)) for problem in problems])


def rows(random: int, tpe: int) -> Iterator[str]:
    """Yield the lines of the page's table."""
    yield "| candidates | n | noise | sd | searches | best mean | corrected | corrected, to the best | covered, % |"
    yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    asked: list[tuple[str, Run, int, tuple[int, ...], tuple[float, ...]]] = [
        ("random", random_search, random, (10, 40, 160), (0.3, 0.7)),
        ("TPE", tpe_search, tpe, (40,), (0.7,)),
    ]
    for name, run, searches, sizes, sds in asked:
        for noise in get_args(Noise):
            for sd in sds:
                for n in sizes:
                    found = measure(run, n, sd, noise, searches)
                    error = found.std(0) / np.sqrt(searches)
                    texts = [f"{found[:, i].mean():+.3f} ± {error[i]:.3f}" for i in range(3)]
                    covered = f"{100 * found[:, 3].mean():.1f}"
                    yield f"| {name} | {n} | {noise} | {sd} | {searches:,} | {' | '.join(texts)} | {covered} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=4000, help="searches of random candidates for each line")
    parser.add_argument("--tpe", type=int, default=400, help="searches with TPE for each line")
    options = parser.parse_args()
    for line in rows(options.random, options.tpe):
        print(line, flush=True)


if __name__ == "__main__":
    main()
