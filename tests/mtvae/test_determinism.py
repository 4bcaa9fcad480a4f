"""`reproducible` sets everything that makes digits repeat while a unit runs, and restores it afterwards."""

import os
import subprocess
import sys

import pytest
import torch
from committed_losses import fit, settings_of

from mtvae.runtime.determinism import reproducible
from sweeps.data.datasets import Loaded
from sweeps.stages import training
from sweeps.worker import run_unit


def state():
    """Return the number of threads, and whether algorithms are deterministic and chosen by benchmark."""
    return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark


@pytest.mark.parametrize("deterministic", [False, True])
def test_reproducible_restores_the_state_before(deterministic):
    """Threads and algorithms are set inside and restored after an error, and no random number is drawn."""
    before, generator = state(), torch.get_rng_state()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), reproducible(deterministic):
            assert state() == (1, deterministic, False)
            raise ZeroDivisionError
        assert state() == (2, *before[1:])
    finally:
        torch.set_num_threads(before[0])
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_callers_own_choice_comes_back_too():
    """A caller's `warn_only` is restored as well."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with reproducible(False):
            assert not torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("value", [None, ":16:8"])
def test_cublas_gets_its_workspace_setting(value):
    """The setting is in the environment before cuBLAS starts, and a user's own value wins."""
    code = (
        "import os\nfrom mtvae.runtime.determinism import reproducible\n"
        "with reproducible(): print(os.environ['CUBLAS_WORKSPACE_CONFIG'])"
    )
    env = {} if value is None else {"CUBLAS_WORKSPACE_CONFIG": value}
    inherited = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=inherited | env, check=True)
    assert done.stdout.strip() == (value or ":4096:8")


@pytest.mark.parametrize("method", ["none", "single_decoder"])
def test_two_runs_are_equal_whatever_was_set_outside(method):
    """The number of threads outside changes no digit."""
    s = settings_of({"family": "gaussian_vae", "method": method})
    histories = []
    for threads, deterministic in [(1, False), (2, False), (2, True)]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with reproducible(deterministic):
                f = fit(s)
                f.epoch()
        finally:
            torch.set_num_threads(before)
        histories.append(f.history)
    assert histories[0] == histories[1] == histories[2]


def test_every_unit_runs_reproducibly(read_grid, ledger, digits, monkeypatch):
    """Each of four units is scored inside `reproducible`, with its own `training.deterministic`."""
    from sweeps.plan.plan import Plan

    g = read_grid(
        "name: a\ndata.limit: 60\nfolds.n_splits: 2\ntraining: {epochs: 1}\n"
        "grid: [{training.deterministic: [false, true]}]"
    )
    seen, outside = [], state()
    score = training.score
    monkeypatch.setattr(training, "score", lambda *a: (seen.append(state()), score(*a))[1])
    units = Plan(g, frozenset(), frozenset()).units
    assert len({unit.key for unit in units}) == 2
    for unit in units:
        assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "done"
        assert state() == outside
    assert seen == [(1, False, False)] * 2 + [(1, True, False)] * 2
