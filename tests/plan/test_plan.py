"""Keys of units, missing units, and the folds and seeds of a sweep."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.config.rules import resolve
from sweeps.config.settings import SETTING_INFO
from sweeps.data import seeds
from sweeps.data.splits import FoldDraw, Folds, fold_numbers, fold_sizes, split
from sweeps.plan.identity import key_of
from sweeps.plan.plan import Plan, seconds_left

GOLDEN = {
    # settings: key. A changed key orphans every done unit of that kind. Declare a neutral value on the field of a new
    # setting instead of changing a line here.
    (): "dc74260d122a",
    (("method", "single_decoder"), ("exponent", 20.0)): "c855457bb7ee",
    (("family", "gaussian_vae"), ("method", "multi_decoder")): "5b9060e92d4d",
    (("data.dataset", "mnist"), ("data.limit", 1000), ("seed", 7)): "701fd8dae1b0",
    (("data.dataset", "mnist"), ("folds.selection", "random_test_half")): "6f47edb585f8",
}


def row(**values):
    flat = {path.replace("__", "."): value for path, value in values.items()}
    return resolve(flat, frozenset(flat))


@pytest.mark.parametrize("given", GOLDEN, ids=str)
def test_golden_keys(given):
    assert key_of(resolve(dict(given), frozenset(dict(given)))) == GOLDEN[given]


CHANGED = {
    "seed": 5,
    "data.dataset": "mnist",
    "data.limit": 100,
    "folds.n_splits": 3,
    "folds.shuffle": False,
    "folds.selection": "fold",
    "family": "gaussian_vae",
    "method": "multi_decoder",
    "model.embeddings": 7,
    "model.embedding_size": 7,
    "model.residual_layers": 1,
    "model.hidden": (8, 8),
    "model.batch_norm": False,
    "model.output": "linear",
    "loss.w1": 2.0,
    "loss.latent_weight": 2.0,
    "loss.commitment_weight": 1.0,
    "training.epochs": 3,
    "training.batch_size": 3,
    "training.lr": 0.5,
    "training.weight_decay": 0.5,
    "training.shuffle": False,
    "training.deterministic": True,
}


@pytest.mark.parametrize("path", CHANGED)
def test_a_setting_that_counts_changes_the_key(path):
    assert key_of(resolve({path: CHANGED[path]}, frozenset())) != key_of(row())


def test_settings_outside_the_key_leave_it():
    changed = {
        "data.name": "pets",
        "data.root": "/elsewhere",
        "data.max_skipped": 0.5,
        "training.checkpoint_seconds": 1.0,
        "training.cuda_graph": False,
        "resources.cpus": 2.0,
        "resources.gpus": 0.5,
        "resources.memory": 10**9,
        "keep_models": "all",
    }
    assert changed.keys() == {path for path, about in SETTING_INFO.items() if not about.in_key}
    assert key_of(resolve(changed, frozenset())) == key_of(row())


def test_a_default_written_out_is_the_same_unit():
    assert key_of(row(training__lr=0.001, folds__n_splits=5, family="vqvae")) == key_of(row())


def test_missing_units_come_fold_by_fold(tiny):
    everything = Plan(tiny, frozenset(), frozenset())
    first, second = everything.units[0], everything.units[1]
    assert [unit.fold for unit in everything.missing()] == [0, 0, 0, 1, 1, 1]
    plan = Plan(tiny, frozenset({first.id}), frozenset({first.id, second.id}))
    assert len(plan.missing()) == 4
    assert second in plan.missing(retry=True)
    assert first not in plan.missing(retry=True)  # a unit that is done never counts as failed
    assert plan.still_failed == [second]


def test_seconds_left_says_what_it_does_not_know(tiny):
    missing = Plan(tiny, frozenset(), frozenset()).missing()
    key = missing[0].key
    assert seconds_left(missing, {key: [2.0, 4.0]}) == (6.0, 4)
    assert seconds_left(missing, {}) == (0.0, 6)


folds = st.builds(
    Folds,
    n_splits=st.integers(2, 7),
    shuffle=st.booleans(),
    selection=st.sampled_from([0.1, 0.5, 3, "fold"]),
)


@given(folds, st.integers(20, 200), st.integers(0, 2**63 - 1))
@settings(max_examples=60, deadline=None)
def test_a_split_parts_the_images(folds, n, seed):
    tested = []
    for fold in range(folds.n_splits):
        parts = split(n, folds, seed, fold)
        assert (len(parts.train), len(parts.selection), len(parts.test)) == fold_sizes(n, folds, fold)
        groups = [parts.train, parts.test] + ([] if folds.selection == "fold" else [parts.selection])
        assert sorted(np.concatenate(groups)) == list(range(n))
        assert parts.hash == split(n, folds, seed, fold).hash
        tested.extend(parts.test)
    assert sorted(tested) == list(range(n))


GOLDEN_SPLITS = {
    # (images, folds, shuffled, selection, seed, test half): hashes of the first and the last fold. They come from our
    # own drawing of the folds, which scikit-learn's KFold replaced.
    (1797, 5, True, 0.1, 0, 0): ["0f4640b027eafde0", "5a29b5625b269825"],
    (60000, 5, True, 0.1, 0, 0): ["430262de5ab5f9c0", "a92c0f44d00c7e51"],
    (60000, 5, True, "test_half", 0, 5000): ["862b6169d40755c6", "79b31f1cec562fb1"],
    (60000, 5, True, "random_test_half", 0, 5000): ["bf829202caf96b9c", "4c0d0898df4a4cdf"],
    (60000, 5, True, "fold", 2**63 - 1, 0): ["9bc3b6f17aebe87a", "2162bdce6e1a377b"],
    (103, 7, False, 3, 1, 0): ["2135304904eab1fc", "68a94bdb9122cbcb"],
    (100, 2, True, 0.5, 12345678901, 0): ["857d40fdec537cf1", "61b37d5a819dc2c2"],
    (11, 11, True, 1, 4, 0): ["cc2ac8a973342dc6", "8c440db70c2357b5"],
}


@pytest.mark.parametrize("given", GOLDEN_SPLITS, ids=str)
def test_golden_splits(given):
    n, n_splits, shuffle, selection, seed, half = given
    kind = Folds(n_splits=n_splits, shuffle=shuffle, selection=selection)
    numbers = fold_numbers(n, FoldDraw.of(kind, seed))
    assert (numbers.dtype, numbers.shape) == (np.int16, (n,))
    for numbered in (None, numbers):
        found = [split(n, kind, seed, fold, half, numbered, 2 * half).hash for fold in (0, n_splits - 1)]
        assert found == GOLDEN_SPLITS[given]


def test_splits_of_known_folds_need_no_scikit_learn():
    """Workers get the fold number of each image, because the library would take 110 MB in each of them."""
    code = (
        "import sys, numpy as np\nfrom sweeps.data.splits import Folds, split\nimport sweeps.worker.run_unit\n"
        "assert len(split(6, Folds(n_splits=3), 0, 1, 0, np.array([0, 1, 2, 0, 1, 2], np.int16)).test) == 2\n"
        "assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_mnist_has_the_thesiss_sizes():
    assert fold_sizes(60_000, Folds(), 0) == (43_200, 4_800, 12_000)


def test_the_split_follows_the_seed_and_the_fold():
    hashes = {split(100, Folds(), seed, fold).hash for seed in (0, 1) for fold in (0, 1)}
    assert len(hashes) == 4


def test_seeds_are_distinct_named_and_pinned():
    """A seed is pinned, because a change of it would silently change every result of every sweep."""
    both = [seeds.of_fold(3, fold, separate_draws=True, drawn_half=True) for fold in (0, 1)]
    shared = ("fold", "test_half")
    values = [value for named in both for name, value in named.items() if name not in shared]
    values += [both[0][name] for name in shared]
    assert len(set(values)) == len(values) == 2 * len(seeds.PER_FOLD) + 2 + len(shared)
    assert [both[0][name] for name in shared] == [both[1][name] for name in shared]
    assert seeds.of_fold(3, 0).keys() == {"fold", *seeds.PER_FOLD}
    assert all(0 <= value < 2**63 for value in values)
    assert both[0]["init"] == seeds.derive(3, "init", 0) == 3780758764193190541
