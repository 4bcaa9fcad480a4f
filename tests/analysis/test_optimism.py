"""The best mean of many candidates, corrected for the choice."""

import numpy as np
import pytest

from sweeps.analysis.optimism import corrected_best
from sweeps.analysis.statistics import Sample

SCORES = np.array([
    [1.0, 2.0, 3.0],
    [2.0, 2.0, 2.5],
    [9.0, 0.5, 0.4],
])  # fmt: skip


def test_each_fold_is_scored_by_the_others_choice():
    """Means 2, 2.17, 3.3. Without fold 0 row 2 is the best (.45), without 1 row 0 (2), without 2 row 0 (1.5)."""
    found = corrected_best(SCORES)
    assert (found.best, found.mean, found.chosen) == (0, 2.0, (2, 0, 0))
    assert found.corrected == pytest.approx((9 + 2 + 3) / 3)
    assert found.half_width == Sample.of_folds({0: 9.0, 1: 2.0, 2: 3.0}, {}, 3).half_width()


def test_larger_is_better_when_maximising():
    found, mirrored = corrected_best(-SCORES, minimize=False), corrected_best(SCORES)
    assert (found.best, found.chosen) == (mirrored.best, mirrored.chosen)
    assert (found.mean, found.corrected) == (-mirrored.mean, -mirrored.corrected)


def test_one_candidate_is_not_corrected():
    found = corrected_best(SCORES[:1])
    assert found.corrected == found.mean == 2.0


@pytest.mark.parametrize("scores", [np.empty((0, 5)), np.ones((3, 1)), np.ones(3), np.array([[1.0, np.nan]])])
def test_what_is_no_table_of_scores_is_refused(scores):
    with pytest.raises(ValueError, match="must be finite"):
        corrected_best(scores)


def test_the_corrected_mean_of_noise_is_unbiased():
    """All candidates are equally good, so every choice is luck: the best mean is too low, the corrected mean is not."""
    rng = np.random.default_rng(0)
    found = [corrected_best(rng.standard_normal((40, 5))) for _ in range(3000)]
    error = 1 / np.sqrt(5 * 3000)
    assert abs(np.mean([one.corrected for one in found])) < 3 * error
    assert np.mean([one.mean for one in found]) < -0.9


def test_the_corrected_mean_of_random_candidates_is_unbiased():
    """Candidates differ, and share the effects of the folds. The truth is the mean of the rows that were chosen."""
    rng = np.random.default_rng(1)
    biases, optimism = [], []
    for _ in range(3000):
        truth = rng.standard_normal(40)
        found = corrected_best(truth[:, None] + rng.standard_normal(5) + rng.standard_normal((40, 5)))
        biases.append(found.corrected - truth[list(found.chosen)].mean())
        optimism.append(found.mean - truth[found.best])
    error = np.std(biases) / np.sqrt(len(biases))
    assert abs(np.mean(biases)) < 3 * error
    assert np.mean(optimism) < -8 * error
