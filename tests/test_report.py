"""The table: what it rests on, what it shows, and its statistics against numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps import report
from sweeps.ledger import Ledger
from sweeps.plan import Plan
from sweeps.statistics import summarise
from sweeps.storage import Storage
from sweeps.table import read_table


def results(value, collapsed=False):
    return {
        "unconditioned_per_pixel": value,
        "unconditioned_per_image": 256 * value,
        "latent_loss": 2 * value,
        "collapsed": collapsed,
    }


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_summary_against_numpy(values):
    s = summarise(values)
    assert s.n == len(values)
    assert s.mean == pytest.approx(np.mean(values), rel=1e-12, abs=1e-9)
    assert s.variance == pytest.approx(np.var(values), rel=1e-9, abs=1e-6)
    assert summarise(values[::-1]).mean == s.mean


def test_nothing_to_summarise():
    assert summarise([]) is None


@pytest.fixture
def swept(tiny, ledger, plan):
    """vqvae none: both folds, one collapsed; single_decoder: one done, one failed; gaussian_vae: nothing."""
    ledger.write_grid(tiny)
    none, single = plan.rows[0], plan.rows[1]
    ledger.write(none[0], results(0.01))
    ledger.write(none[1], results(0.03, collapsed=True))
    ledger.write(single[1], results(0.02) | {"conditioned_per_pixel": 0.005})
    ledger.write_failed(single[0], "no luck")
    return ledger


def lines(ledger):
    folder = ledger.storage.root.rpartition("/")
    return report.report(folder[0], folder[2]).splitlines()


def test_a_row_says_how_many_folds_it_rests_on(swept):
    table = [" ".join(line.split()) for line in lines(swept)]
    assert "vqvae none - - 2/2 0.0200 ± 1.0e-04 - 0.0400 ± 4.0e-04 per pixel 1" in table
    assert "vqvae single_decoder uniform 40 1/2 (1 failed) 0.0200 ± ? 0.0050 ± ? 0.0400 ± ? per pixel 0" in table
    assert "gaussian_vae multi_decoder uniform - 0/2 - - - per image 0" in table


def test_what_was_never_trained_is_flagged(read_grid, tmp_path):
    ledger = Ledger(Storage(tmp_path / "a"))
    g = read_grid("name: a\ngrid: [{method: conditioned}]")
    ledger.write_grid(g)
    ledger.write(Plan(g, frozenset(), frozenset()).units[0], results(0.5) | {"conditioned_per_pixel": 0.1})
    text = lines(ledger)
    assert any("0.5000 ± ? * 0.1000 ± ?" in " ".join(line.split()) for line in text)
    assert text[-1].startswith("* the zero condition")


def test_shared_settings_stand_once_above_and_only_there(swept):
    text = lines(swept)
    assert any("dataset digits" in line for line in text)
    head = next(line for line in text if line.startswith("family"))
    assert head.split()[:4] == ["family", "method", "sampler", "exponent"]
    assert "configuration 1" in text[1]
    assert not any("cpus" in line or "model.embeddings" in line for line in text)


def test_a_setting_that_differs_is_a_column(read_grid, tmp_path):
    g = read_grid("name: a\ngrid: [{training.lr: [0.1, 0.2], model.hidden: [[8, 8], [16, 16]]}]")
    ledger = Ledger(Storage(tmp_path / "a"))
    ledger.write_grid(g)
    assert read_table(ledger).columns() == ["model.hidden", "training.lr"]
    assert "[16, 16]      0.2" in "\n".join(lines(ledger))


def test_the_latest_grid_decides_which_rows_are_shown(swept, read_grid):
    swept.write_grid(
        read_grid(
            "name: tiny\nseed: 3\ndata.limit: 60\nfolds.n_splits: 2\ntraining: {epochs: 2, batch_size: 16}\ngrid: [{}]"
        )
    )
    assert len(read_table(swept).rows) == 1


def test_a_damaged_file_is_named_and_nothing_is_changed(swept, plan):
    name = f"units/{plan.units[0].name}.parquet"
    swept.storage.write(name, b"no parquet")
    assert lines(swept)[-1].startswith(f"not read: {plan.units[0].name}.parquet")
    assert swept.storage.read(name) == b"no parquet"


def test_the_tabulated_fold_picking_the_epoch_is_said(read_grid, tmp_path):
    ledger = Ledger(Storage(tmp_path / "a"))
    ledger.write_grid(read_grid("name: a\nfolds.selection: fold\ngrid: [{}]"))
    assert lines(ledger)[-1] == "the tabulated fold itself picked the epoch: optimistic"
