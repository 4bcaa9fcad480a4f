"""The searches of `search_digits.py` have one space, and the page says what the committed ledgers hold."""

from pathlib import Path

import numpy as np
import optuna
import search_digits
from search_digits import Found, the_search

from sweeps.config import grid
from sweeps.config.settings import flatten
from sweeps.ledger.ledger import open_ledger
from sweeps.search.space import params_of, settings_of

PAGE = Path(search_digits.__file__).with_suffix(".md")


def test_ray_and_grid_search_our_space():
    """Each point of the define-by-run space, and each row of the grid, is a point of our space."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, search = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)), the_search(1)
    seen = set()
    for _ in range(60):
        search_digits.space(trial := study.ask())
        assert params_of(search, flatten(settings_of(search, trial.params)))[0] == trial.params
        seen |= trial.params.keys()
    assert seen == search.space.keys()
    rows = grid.load(str(search_digits.COARSE), ["seed=1"]).rows
    assert len(rows) == search_digits.CONFIGURATIONS
    assert all(params_of(search, flatten(row))[0] for row in rows)


def test_choice_is_the_best_so_far():
    """The choice is the point with the best mean, and the curve ends at that mean."""
    scores = np.array([[3.0, 1.0], [1.0, 2.0], [2.0, 2.5]])
    found = Found("tpe", 1, ({"a": 1}, {"a": 2}, {"a": 3}), scores)
    assert (found.choice, found.best_so_far.tolist()) == ({"a": 2}, [2.0, 1.5, 1.5])
    assert found.first(1).choice == {"a": 1}


def test_page_holds_the_ledgers_numbers():
    """Every line that the page command prints of the committed ledgers stands on the page."""
    found = search_digits.searches(search_digits.RESULTS)
    fresh = search_digits.scores_by_key(open_ledger(search_digits.RESULTS, "confirm"))
    printed = "\n".join(search_digits.lines(found, fresh)).splitlines()
    assert len(printed) > 3 * len(search_digits.WAYS)
    assert set(printed) <= set(PAGE.read_text().splitlines())
