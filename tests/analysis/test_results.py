"""Rows of a table from a ledger: missing and unusable results are reported, and no number is made up."""

import json
import math

import pytest

from sweeps.analysis.differences import differences
from sweeps.analysis.results import find_sweeps, read_table
from sweeps.analysis.table_row import ReportError
from sweeps.plan.plan import Plan
from sweeps.report.contents import KINDS, ReportRequest, report
from sweeps.report.tables.formats import FORMATS

GRID = """
name: tiny
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
grid: [{family: autoencoder, method: [none, multi_decoder]}]
"""
SCORES = {"unconditioned_per_image": 2.0, "conditioned_per_image": 1.0, "collapsed": False, "split_hash": "a"}


def test_a_folder_without_sweeps_is_reported(tmp_path):
    with pytest.raises(ReportError, match="no sweep here"):
        find_sweeps(str(tmp_path), None)


def test_a_baseline_without_folds_is_reported(read_grid, ledger):
    """The baseline is in the grid and has no unit yet, so there is a reason in place of a difference."""
    grid = read_grid(GRID)
    for unit in Plan(grid, frozenset(), frozenset()).units:
        if unit.settings.method != "none":
            ledger.write(unit, SCORES)
    ledger.write_grid(grid)
    found = differences(read_table(ledger))
    assert {(c.row.settings["method"], c.why_not) for c in found} == {
        ("multi_decoder", "no fold of the baseline is done")
    }
    assert all(c.difference is None and c.p_holm is None for c in found)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_an_old_infinite_score_is_a_failed_fold(read_grid, ledger, value):
    """Earlier versions recorded it as done. It is left out of the means and reported, and every format is printed."""
    grid = read_grid(GRID)
    for unit in Plan(grid, frozenset(), frozenset()).units:
        wrong = {"conditioned_per_image": value} if unit.settings.method != "none" and unit.fold == 1 else {}
        ledger.write(unit, SCORES | {"unconditioned_per_pixel": 0.1, "mean_image_per_pixel": 1.0} | wrong)
    ledger.write_grid(grid)
    _, row = read_table(ledger).rows
    reason = f"a score is not finite: conditioned_per_image is {value} (recorded as done by an earlier version; "
    reason += "--redo trains it again)"
    assert (row.complete, list(row.folds), row.failed) == (False, [0], {1: reason})
    folder, _, name = ledger.storage.root.rpartition("/")
    for format in FORMATS:
        for kind in KINDS:
            shown = report(folder, name, ReportRequest((kind,), format))
            assert reason in shown or kind != "table" or format in ("json", "csv", "latex")
    (table,) = json.loads(report(folder, name, ReportRequest(("table",), "json")))
    assert [(r["folds"], r["failed"], r["unconditioned_mean"]) for r in table["rows"]] == [(2, 0, 2.0), (1, 1, 2.0)]


def test_huge_scores_are_printed_short_in_every_report(read_grid, ledger):
    """The scores are finite, but not their sum or square, so the spread is null in JSON."""
    grid = read_grid(GRID)
    for unit in Plan(grid, frozenset(), frozenset()).units:
        ledger.write(
            unit, SCORES | {"unconditioned_per_image": 1.7e308 if unit.fold else -1.7e308, "latent_loss": 1.7e308}
        )
    ledger.write_grid(grid)
    folder, _, name = ledger.storage.root.rpartition("/")
    text = report(folder, name, ReportRequest(("table", "statistics", "differences")))
    assert max(map(len, text.splitlines())) < 200
    tables = json.loads(report(folder, name, ReportRequest(("table", "statistics", "differences"), "json")))
    assert tables[0]["rows"][0]["unconditioned_variance"] is None
    assert tables[0]["rows"][0]["unconditioned_min"] == -1.7e308
