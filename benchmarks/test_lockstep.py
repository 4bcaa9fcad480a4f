"""Units in lockstep, which benchmarks/packing.py measures, train to the same numbers as each would on its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from committed_losses import fit, kinds, settings_of
from lockstep import Lockstep
from tape import tape

from mtvae.runtime.determinism import reproducible

BENCHMARKS = Path(__file__).parent


@pytest.mark.parametrize("record", [None, tape], ids=["run", "recorded"])
@pytest.mark.parametrize("name", ["vqvae none", "gaussian_vae multi_decoder soft_adapt", "vqvae single_decoder"])
def test_lockstep_trains_each_unit_as_alone(name, record):
    """Three seeds in lockstep have the histories that they have alone, also when the steps are recorded."""

    def fit_of_seed(seed):
        return fit(settings_of(dict(kinds())[name] | {"seed": seed, "training.epochs": 3, "training.batch_size": 5}))

    alone, lockstep = list(map(fit_of_seed, range(3))), Lockstep(list(map(fit_of_seed, range(3))), record)
    with reproducible():
        while not lockstep.finished:
            lockstep.epoch()
            for each in alone:
                each.epoch()
    assert [each.history for each in lockstep.fits] == [each.history for each in alone]
    assert alone[0].history != alone[1].history
    if record is not None:
        assert lockstep.recorded.replay is not None


@pytest.mark.parametrize("units", [1, 2])
def test_a_timed_training_prints_its_measurements(tmp_path, units):
    """It trains an epoch that is not timed and two that are, on 40 training images and 4 validation images."""
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (44, 1, 28, 28), dtype=np.uint8))
    command = [sys.executable, str(BENCHMARKS / "trainings.py"), "ours", str(tmp_path / "images.npy")]
    done = subprocess.run([*command, "--units", str(units)], capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout.splitlines()[-1])
    assert printed["images"] == 2 * 40 * units
    assert 0 < printed["scoring"] < printed["ended"] - printed["began"]
    assert printed["flops"] > 0
