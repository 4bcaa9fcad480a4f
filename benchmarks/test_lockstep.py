"""Units in lockstep, which benchmarks/packing.py measures, are the trainings that each would be on its own."""

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
def test_each_units_digits_are_its_own(name, record):
    def of(seed):
        return fit(settings_of(dict(kinds())[name] | {"seed": seed, "training.epochs": 3, "training.batch_size": 5}))

    alone, pack = [of(seed) for seed in range(3)], Lockstep([of(seed) for seed in range(3)], record)
    with reproducible():
        while not pack.finished:
            pack.epoch()
            for f in alone:
                f.epoch()
    assert [f.history for f in pack.fits] == [f.history for f in alone]
    assert alone[0].history != alone[1].history
    if record is not None:
        assert pack.recorded.replay is not None


@pytest.mark.parametrize("units", [1, 2])
def test_what_a_timed_training_says(tmp_path, units):
    """An epoch that is not timed and two that are; 40 images train, 4 pick the epoch."""
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (44, 1, 28, 28), dtype=np.uint8))
    command = [sys.executable, str(BENCHMARKS / "trainings.py"), "ours", str(tmp_path / "images.npy")]
    done = subprocess.run([*command, "--units", str(units)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["images"] == 2 * 40 * units
    assert 0 < said["scoring"] < said["ended"] - said["began"]
    assert said["flops"] > 0
