"""Rows of a table from a ledger: what is missing is said, and nothing is made up."""

import pytest

from sweeps.analysis.differences import differences
from sweeps.analysis.results import ReportError, find, read_table
from sweeps.plan.plan import Plan

GRID = """
name: tiny
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
grid: [{family: autoencoder, method: [none, multi_decoder]}]
"""
SCORES = {"unconditioned_per_image": 2.0, "conditioned_per_image": 1.0, "collapsed": False, "split_hash": "a"}


def test_a_folder_without_sweeps_is_said(tmp_path):
    with pytest.raises(ReportError, match="no sweep here"):
        find(str(tmp_path), None)


def test_a_row_without_its_baselines_folds_is_said(read_grid, ledger):
    """The baseline is in the grid and has no unit yet: no difference, and the reason."""
    grid = read_grid(GRID)
    for unit in Plan(grid, frozenset(), frozenset()).units:
        if unit.settings.method != "none":
            ledger.write(unit, SCORES)
    ledger.write_grid(grid)
    found = differences(read_table(ledger))
    assert {(c.row.settings["method"], c.why_not) for c in found} == {("multi_decoder", "no fold of the baseline done")}
    assert all(c.difference is None and c.p_holm is None for c in found)
