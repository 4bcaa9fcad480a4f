"""What the samplers propose: in the space, the same for the same arguments, and better with what they are told."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searches import SMALL, run, small
from threadpoolctl import threadpool_info

from sweeps.config.search import Choices, Range, Search
from sweeps.config.settings import flatten
from sweeps.search.space import applies, default_params, params_of, settings_of
from sweeps.search.study import Trial, propose

SAMPLERS = ["random", "tpe", "gp"]
STATES = ["complete", "complete", "failed", "pruned", "running", "refused"]


def made_trial(search, number, state):
    """Return a trial at a random point in a state; values do not matter."""
    params = propose(replace(search, sampler="random"), [], number)
    return Trial(
        number,
        params,
        state,
        value=float(number % 7) if state == "complete" else None,
        steps={1: 2.0, 2: 1.5} if state == "pruned" else {},
        constraints={"collapsed": float(number % 3 - 1)} if state == "complete" else {},
        reason="fold 1: no memory" if state == "failed" else "",
    )


def made_trials(search, n):
    return [made_trial(search, number, STATES[number % len(STATES)]) for number in range(n)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches_a_small_space(sampler):
    """All values are tried, and the best is proposed again once it is known."""
    search = small(sampler=sampler, space={"training.epochs": Range(1, 4, integer=True)})
    proposed = [propose(search, [], number)["training.epochs"] for number in range(12)]
    assert set(proposed) == {1, 2, 3, 4}
    known = tuple(Trial(None, {"training.epochs": n % 4 + 1}, "complete", float(n % 4)) for n in range(24))
    found = [propose(search, known, number)["training.epochs"] for number in range(3)]
    assert sampler == "random" or found.count(1) >= 2


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_can_be_copied(sampler):
    """A proposed rate has at most 4 significant digits, which a label shows, and is told to the study as it is."""
    search, trials = small(sampler=sampler, space={"training.lr": SMALL.space["training.lr"]}), []
    for number in range(12):
        params = propose(search, trials, number)
        assert float(f"{params['training.lr']:.4g}") == params["training.lr"]
        trials.append(Trial(number, params, "complete", float(number)))
    assert len({trial.params["training.lr"] for trial in trials}) == 12


def proposals_of_every_sampler():
    searches_ = [small(sampler=sampler) for sampler in SAMPLERS]
    return [propose(search, made_trials(search, 30), 30) for search in searches_]


def test_a_proposal_depends_on_its_arguments_alone():
    """Another process, with other hashes of texts and another number of threads, gets the same proposals.

    It writes nothing to stderr, and a warning would be an error there.
    """
    environment = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]), "PYTHONHASHSEED": "7"}
    code = "import test_study; print(test_study.proposals_of_every_sampler())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.stdout) == ("", f"{proposals_of_every_sampler()}\n")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_number_attempt_and_seed_change_the_proposal(sampler):
    search = small(sampler=sampler)
    proposals = [
        propose(search, [], 3),
        propose(search, [], 4),
        propose(search, [], 3, attempt=1),
        propose(replace(search, seed=1), [], 3),
    ]
    assert all(a != b for i, a in enumerate(proposals) for b in proposals[:i])


def test_a_wider_search_begins_the_same():
    """A search of 6 configurations that is widened to 9 equals a search of 9."""
    first = run(SMALL, 6)
    assert first + run(replace(SMALL, configurations=9), 3, tuple(first)) == run(replace(SMALL, configurations=9), 9)


def test_the_seed_of_each_suggestion_is_its_own():
    """A sampler that is merely made again with its seed would repeat its first proposal."""
    trials = run(SMALL, 9)
    assert len({str(trial.params) for trial in trials}) == 9


def test_tpe_models_conditional_settings():
    """Exponents come close to the best one, although half of the trials have none."""
    search = small(space={"method": Choices(("none", "single_decoder")), "exponent": SMALL.space["exponent"]})
    trials = [Trial(i, {"method": "none"}, "complete", 2.0) for i in range(30)]
    for i in range(30):
        exponent = 10.0 + 5 * (i % 15)
        params = {"method": "single_decoder", "exponent": exponent}
        trials.append(Trial(30 + i, params, "complete", abs(exponent - 40) / 40))
    proposed = [propose(search, trials, number) for number in range(60, 80)]
    exponents = [params["exponent"] for params in proposed if "exponent" in params]
    assert len(exponents) >= 15
    assert sum(abs(exponent - 40) <= 10 for exponent in exponents) > 0.8 * len(exponents)  # by chance a third


@pytest.mark.parametrize(("sampler", "n"), [("tpe", 20), ("gp", 3)])
def test_samplers_avoid_what_was_refused(sampler, n):
    """Two thirds of the space are refused by a known constraint, though scores improve towards them."""
    search, trials = small(sampler=sampler, space={"training.lr": Range(0, 1)}), []
    for i in range(30):
        lr = i / 29
        state, value = ("complete", 1 - lr) if lr <= 1 / 3 else ("refused", None)
        trials.append(Trial(i, {"training.lr": lr}, state, value, constraints={"parameters": lr - 1 / 3}))
    known = [replace(trial, constraints={}) for trial in trials if trial.state == "complete"]

    def refused(told):
        return sum(propose(search, told, number)["training.lr"] > 0.4 for number in range(30, 30 + n))

    assert refused(trials) <= 0.2 * n
    assert refused(known) >= 0.6 * n


def test_tpe_avoids_what_the_rules_refuse():
    """A refusal without a measured violation counts as one."""
    search = small(space={"method": Choices(("none", "multi_decoder"))})
    trials = [Trial(i, {"method": "none"}, "complete", 1.0) for i in range(12)]
    trials += [Trial(i, {"method": "multi_decoder"}, "refused", reason="no") for i in range(12, 24)]
    assert [propose(search, trials, number)["method"] for number in range(24, 34)].count("none") >= 9


def test_a_changed_space_keeps_what_was_learned():
    """A new choice, wider bounds and a new setting keep every point; narrower bounds leave some out."""
    trials = run(small(sampler="random"), 40)
    flats = [flatten(settings_of(SMALL, trial.params)) for trial in trials]
    wider = {
        **SMALL.space,
        "method": Choices(("conditioned", "none", "multi_decoder", "single_decoder")),
        "exponent": Range(5, 100, 5),
        "training.weight_decay": Range(0.0, 0.1),
    }
    for space, kept in ((wider, 40), (SMALL.space | {"training.lr": Range(1e-3, 1e-2, log=True)}, None)):
        search = small(space=space)
        points = [params_of(search, flat) for flat in flats]
        told = [replace(t, params=p) for t, (p, _) in zip(trials, points, strict=True) if p is not None]
        assert len(told) == (kept or sum(flat["training.lr"] >= 1e-3 for flat in flats))
        assert {reason.partition(" 0")[0] for p, reason in points if p is None} <= {"outside the space: training.lr"}
        assert propose(search, told, 40) != propose(search, [], 40)


def test_a_running_trial_is_not_proposed_again():
    """With a running trial at the best point the sampler looks further away from it."""
    search = small(space={"training.lr": Range(0, 1)})
    known = [Trial(i, {"training.lr": i / 20}, "complete", abs(i / 20 - 0.5)) for i in range(20)]
    running = [Trial(20 + i, {"training.lr": 0.5}, "running") for i in range(5)]

    def distance(trials):
        return sum(abs(propose(search, trials, number)["training.lr"] - 0.5) for number in range(30, 50))

    assert distance(known + running) > 1.2 * distance(known)


def test_the_gaussian_process_leaves_no_trace():
    """Threads, random states and the environment are afterwards what they were, for units of the same process."""

    def state():
        threads = sorted((pool["filepath"], pool["num_threads"]) for pool in threadpool_info())
        numbers = [
            torch.get_num_threads(),
            torch.get_rng_state().tolist(),
            random.getstate(),
            torch.get_default_dtype(),
        ]
        return threads, numbers, repr(np.random.get_state()), dict(os.environ)

    search = small(sampler="gp", space={"training.lr": Range(0, 1)})
    trials = [Trial(i, {"training.lr": i / 12}, "complete", float(i)) for i in range(12)]
    propose(search, trials, 12)  # imports what it needs
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        before = state()
        propose(search, trials, 12)
        assert state() == before
    finally:
        torch.set_num_threads(threads)


def ranges(low, high, **options):
    """Return a strategy for ranges within bounds."""
    numbers = st.integers(low, high) if options.get("integer") else st.floats(low, high)
    return st.tuples(numbers, numbers).map(sorted).map(lambda ends: Range(*ends, **options))


def choices(*values):
    return st.lists(st.sampled_from(values), min_size=1, unique=True).map(lambda chosen: Choices(tuple(chosen)))


DIMENSIONS = {
    "family": choices("vqvae", "gaussian_vae", "autoencoder"),
    "method": choices("none", "multi_decoder", "single_decoder"),
    "exponent": ranges(1, 100, step=0.7) | choices(10.0, 40.0),
    "model.latent": ranges(1, 64, log=True, integer=True),
    "model.embeddings": ranges(8, 64, step=8, integer=True),
    "model.hidden": choices((4, 4), (8, 8), (8,)),
    "loss.w2": ranges(0, 2),
    "soft_adapt.variant": choices(None, "original", "loss_weighted"),
    "soft_adapt.beta": ranges(1e-4, 1, log=True),
    "training.lr": ranges(1e-6, 1, log=True),
    "training.shuffle": choices(True, False),
}
"""Dimensions in the order of the settings."""


@st.composite
def searches(draw, sampler):
    """Draw a search of any space."""
    paths = draw(st.lists(st.sampled_from(list(DIMENSIONS)), min_size=1, unique=True))
    space = {path: draw(dimension) for path, dimension in DIMENSIONS.items() if path in paths}
    return Search(
        {"data.limit": 60}, space, SMALL.objective, configurations=9, sampler=sampler, seed=draw(st.integers(0, 9))
    )


def lies_in_the_space(search, params):
    """Assert that exactly the settings that apply have a value, and that the point's configuration has this point."""
    assert params_of(search, flatten(settings_of(search, params))) == (params, "")
    applicable = [path for path in search.space if applies(search, path, params)]
    assert list(params) == applicable


@pytest.mark.parametrize(("sampler", "examples"), [("random", 25), ("tpe", 25), ("gp", 2)])
def test_every_proposal_lies_in_the_space(sampler, examples):
    """Also after trials of all states, and with the sampler's model in use."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(searches(sampler))
    def check(search):
        lies_in_the_space(search, default_params(search))
        for n in (0, 30 if sampler == "gp" else 24):
            lies_in_the_space(search, propose(search, made_trials(search, n), n))

    check()
