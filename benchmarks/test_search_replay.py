"""The vectorised races of `search_replay.py` are those of the rules and of the work source."""

import warnings

import numpy as np
import optuna
import pytest
import search_replay

from sweeps.analysis.racing import RULES


def draw(seed=0, searches=60, rows=8):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((searches, rows, 1)) + 0.7 * rng.standard_normal((searches, rows, 5))


@pytest.mark.parametrize("name", ["none", "forgiving", "corrected_t"])
def test_races_follow_the_rules_of_the_house(name):
    """Each race is that of a plain loop over `sweeps.analysis.racing`."""
    scores = draw()
    found = search_replay.race(scores, search_replay.RULES[name])
    for search, matrix in enumerate(scores):
        incumbent, best, trained, stopped = {}, -1, 0, set()
        for row, values in enumerate(matrix):
            own = {}
            for fold, value in enumerate(values):
                if RULES[name](own, incumbent, True, 5):
                    stopped.add(row)
                    break
                own[fold] = value
            trained += len(own)
            if len(own) == 5 and (not incumbent or np.mean(values) < np.mean(list(incumbent.values()))):
                incumbent, best = own, row
        assert (trained / 40, best) == (found.share[search], found.chosen[search])
        assert found.lost[search] == (matrix.mean(1).argmin() in stopped)


def test_wilcoxon_decides_as_optuna_does():
    """The pruner of Optuna is asked after every fold of two trials, the first of which has all folds."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # pytest undoes it after the test
    pruner = optuna.pruners.WilcoxonPruner()
    stopped = 0
    for scores in draw(1, searches=40, rows=2):
        study = optuna.create_study(pruner=pruner)
        study.add_trial(
            optuna.trial.create_trial(value=scores[0].mean(), intermediate_values=dict(enumerate(scores[0])))
        )
        trial = study.ask()
        for fold in range(4):
            trial.report(scores[1, fold], fold)
            ours = search_replay.wilcoxon_pruner(scores[1:, : fold + 1], scores[:1])
            assert ours.tolist() == [trial.should_prune()]
            stopped += ours[0]
    assert 0 < stopped < 40


def test_deviations_are_found_again():
    """The analysis of variance finds the deviations of a made pool, and none between folds where there is none."""
    rng = np.random.default_rng(2)
    pool = 2 * rng.standard_normal((400, 1)) + 3 * rng.standard_normal((1, 200)) + 0.5 * rng.standard_normal((400, 200))
    assert search_replay.deviations(pool) == pytest.approx((2, 3, 0.5), rel=0.15)
    assert search_replay.deviations(pool - pool.mean(0)).fold == 0


def test_bars_hold_in_the_noisiest_pool():
    """Folds and losses of the rules that a grid may name, as the page says."""
    pools = dict(search_replay.recorded_pools())
    assert len(pools) == 12
    pool = pools["digits, vqvae, conditioned"]
    recorded = search_replay.replay(pool, 2000)["corrected_t"]
    assert (recorded.share <= 0.8, recorded.lost <= 0.1) == (True, True)
    made = search_replay.simulate(search_replay.deviations(pool), 2000, 60)
    assert made["forgiving"].share <= 0.5
    assert made["forgiving"].lost <= 0.08
    assert made["forgiving"].share < made["corrected_t"].share < made["Wilcoxon"].share < made["none"].share == 1
    assert made["paired mean"].lost > 3 * made["forgiving"].lost
    assert len([*search_replay.summary({"": made}), *search_replay.pool_lines({"": made})]) == 7 + 3
