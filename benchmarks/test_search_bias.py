"""The correction of the best mean is unbiased for random candidates, and the made-up problems are what they say."""

from typing import get_args

import numpy as np
import pytest
import search_bias


@pytest.mark.parametrize("noise", get_args(search_bias.Noise))
def test_scores_scatter_around_the_truth(noise):
    """Noise has the asked deviation, and its mean over the folds is the effect of the folds."""
    problem = search_bias.Problem(np.random.default_rng(0), 0.7, noise)
    x = np.random.default_rng(1).random((3000, 3))
    off = problem.score(x) - problem.truth(x)[:, None] - problem.fold
    assert problem.truth(x).std() == pytest.approx(1, rel=0.1)
    assert off.std() == pytest.approx(0.7, rel=0.15)
    near = problem.score(x + 1e-3) - problem.truth(x + 1e-3)[:, None] - problem.fold
    alike = np.corrcoef(off[:, 0], near[:, 0])[0, 1]
    assert alike > 0.99 if noise == "neighbours" else abs(alike) < 0.1


@pytest.mark.parametrize("noise", get_args(search_bias.Noise))
def test_random_candidates_are_corrected_without_bias(noise):
    found = search_bias.measure(search_bias.random_search, 40, 0.7, noise, 400)
    best, corrected, *_ = found.T
    error = corrected.std() / np.sqrt(len(found))
    assert abs(corrected.mean()) < 2 * error
    assert best.mean() < -5 * error


def test_tpe_finds_better_candidates_than_chance():
    problem = search_bias.Problem(np.random.default_rng(0), 0.1, "own")
    tpe, chance = (problem.truth(run(problem, 40)[0]) for run in (search_bias.tpe_search, search_bias.random_search))
    assert tpe.mean() < chance.mean() - 0.5
    assert len(list(search_bias.rows(2, 1))) == 2 + 12 + 2
