"""The benchmark of priors' bits, on few made codes."""

import json

import numpy as np
import prior_bits
import pytest


@pytest.fixture
def folder(tmp_path):
    """Store codes of 80 grids of 4x4 in each fold, of which half are code 3, and the results of a model."""
    draws = np.random.default_rng(0)
    for fold in range(prior_bits.FOLDS):
        codes = np.where(draws.random((80, 4, 4)) < 0.5, 3, draws.integers(0, 128, (80, 4, 4))).astype("int16")
        parts = {"train": np.arange(60), "selection": np.arange(60, 70), "test": np.arange(70, 80)}
        np.savez_compressed(tmp_path / f"codes-{fold}.npz", codes=codes, **parts)
        model = {"unconditioned_per_pixel": 0.01, "perplexity": 20.0}
        (tmp_path / f"model-{fold}.json").write_text(json.dumps(model))
    return tmp_path


def test_every_fold_is_fitted_once(folder, monkeypatch, capsys):
    """A PixelCNN is measured once on its way and once at its best epoch; the page has each fold's bits."""
    monkeypatch.setattr(prior_bits, "CPU_SECONDS", 0.01)
    prior_bits.fit("tables", folder)
    prior_bits.fit("1x4", folder, seconds=0.05)
    written = {file: file.stat().st_mtime_ns for file in folder.glob("*.json")}
    assert len(written) == 15
    prior_bits.fit("1x4", folder, seconds=0.05)
    assert {file: file.stat().st_mtime_ns for file in folder.glob("*.json")} == written
    found = [json.loads((folder / f"1x4-{fold}.json").read_text()) for fold in range(prior_bits.FOLDS)]
    assert all(0 < f["at_130"] < 9 and 0 < f["best"] < 9 and 1 <= f["best_epoch"] <= f["epochs"] for f in found)
    prior_bits.sampling(folder, grids=2, turns=2)
    monkeypatch.setitem(prior_bits.WHATS, "1x4", "small")
    capsys.readouterr()
    prior_bits.page(folder)
    shown = capsys.readouterr().out
    assert "| uniform | 7.000 |" in shown and "small, best epoch" in shown and "| ratio of a turn |" in shown


def test_the_histograms_bits_are_the_codes(folder):
    """They are the mean of -log2 of the training set's frequencies, with 1 added to each count."""
    prior_bits.fit("tables", folder)
    arrays = np.load(folder / "codes-0.npz")
    counts = np.bincount(arrays["codes"][:60].ravel(), minlength=128) + 1
    expected = -np.log2(counts / counts.sum())[arrays["codes"][70:80]].mean()
    assert json.loads((folder / "tables-0.json").read_text())["histogram"] == pytest.approx(expected)
