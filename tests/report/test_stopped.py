"""Rows that a race has stopped: shown with their folds, and never the base of a mark or a p-value."""

import json

import pytest
from made_tables import as_published, table_of

from sweeps import frames
from sweeps.analysis.differences import best_keys, differences
from sweeps.analysis.results import read_table
from sweeps.ledger.suggestions import write_stopped
from sweeps.plan.plan import Plan
from sweeps.report.contents import KINDS, ReportRequest, report
from sweeps.report.tables.formats import FORMATS
from sweeps.report.thesis.claims_sheet import claims_sheet

GRID = """
name: raced
data: {dataset: digits, limit: 60}
folds: {n_splits: 5}
grid: [{method: none}, {method: multi_decoder, sampler: [uniform, exact]}]
"""
REASON = "forgiving: unconditioned 9 over 2 of 5 folds"


def fill(ledger, grid, stopped, errors):
    """Write all rows with these errors, the stopped one with two folds and its mark, and return its key."""
    rows = Plan(grid, frozenset(), frozenset()).rows
    for i, (units, error) in enumerate(zip(rows, errors, strict=True)):
        for unit in units[: 2 if i == stopped else 5]:
            value = error + unit.fold * 1e-3 * (i + 1)
            scores = {"unconditioned_per_pixel": value, "unconditioned_per_image": value}
            ledger.write(unit, scores | {"collapsed": False, "split_hash": str(unit.fold)})
    ledger.write_grid(grid)
    write_stopped(ledger.storage, rows[stopped][0].key, REASON, 2)
    return rows[stopped][0].key


def shown(ledger, kind="table", format="text"):
    folder, _, name = ledger.storage.root.rpartition("/")
    return report(folder, name, ReportRequest((kind,), format))


@pytest.mark.parametrize("format", [format for format in FORMATS if format not in ("csv", "json")])
def test_a_stopped_row_says_so(read_grid, ledger, format):
    fill(ledger, read_grid(GRID), 2, [1.0, 0.5, 3.0])
    text = shown(ledger, format=format)
    assert text.count("2/5, stopped") == 1
    assert "stopped: a race ended 1 configuration before the last fold" in text.replace("\\", "")
    assert "failed:" not in text


def test_records_hold_the_reason(read_grid, ledger):
    key = fill(ledger, read_grid(GRID), 2, [1.0, 0.5, 3.0])
    (table,) = json.loads(shown(ledger, format="json"))
    assert {row["key"]: row["stopped"] for row in table["rows"] if row["stopped"]} == {key: REASON}
    assert REASON in shown(ledger, format="csv")
    folder, _, name = ledger.storage.root.rpartition("/")
    assert frames.table(name, folder).set_index("key")["stopped"].dropna().to_dict() == {key: REASON}


def test_a_stopped_row_is_never_the_best(read_grid, ledger):
    """It has the lowest mean of all. The best of the others is marked; without the mark of the race, no row is."""
    key = fill(ledger, read_grid(GRID), 2, [1.0, 0.5, 0.1])
    table = read_table(ledger)
    (best,) = best_keys(table, "unconditioned")
    assert best == table.rows[1].key != key
    assert "0.504" in next(line for line in shown(ledger).splitlines() if " *" in line and "multi_decoder" in line)
    assert ", stopped rows aside" in shown(ledger)
    table.rows[2].stopped = None
    assert best_keys(table, "unconditioned") == set()


def test_the_best_need_not_wait_for_stopped_rows(read_grid, ledger):
    """A stopped row that is far worse does not keep the best row from its mark."""
    fill(ledger, read_grid(GRID), 2, [1.0, 0.5, 3.0])
    table = read_table(ledger)
    assert best_keys(table, "unconditioned") == {table.rows[1].key}


@pytest.mark.parametrize("stopped", [0, 2])
def test_differences_of_stopped_rows_have_no_p(read_grid, ledger, stopped):
    """A race looks at the folds before it stops a row, so a test on them is not valid; nor on a stopped baseline's."""
    key = fill(ledger, read_grid(GRID), stopped, [1.0, 0.5, 3.0])
    found = {c.row.key: c for c in differences(read_table(ledger)) if c.metric == "unconditioned"}
    touched = [c for c in found.values() if key in (c.row.key, c.baseline.key)]
    assert len(touched) == (2 if stopped == 0 else 1)
    for c in touched:
        assert (c.p_holm, c.difference.p, c.difference.low, c.difference.error) == (None, None, None, None)
        assert c.difference.n == 2
        assert c.why_not == f"a race stopped {'the baseline' if stopped == 0 else 'it'} before it had all folds"
    assert all(c.p_holm == c.difference.p for c in found.values() if c not in touched)  # Holm over one test
    assert "*" not in shown(ledger, "differences").replace("* below", "") or stopped == 2


def test_a_mark_counts_until_all_folds_are_done(read_grid, ledger):
    """`racing: none` trains the rest; then the row is complete, whatever mark is left in the ledger."""
    grid = read_grid(GRID)
    key = fill(ledger, grid, 2, [1.0, 0.5, 3.0])
    units = [unit for unit in Plan(grid, frozenset(), frozenset()).units if unit.key == key]
    for unit in units[2:]:
        ledger.write(unit, {"unconditioned_per_pixel": 3.0, "unconditioned_per_image": 3.0, "split_hash": "a"})
    row = read_table(ledger).rows[2]
    assert (row.key, row.complete, row.stopped) == (key, True, None)
    assert "stopped" not in shown(ledger)


def test_marks_of_other_grids_are_ignored(read_grid, ledger):
    fill(ledger, read_grid(GRID), 2, [1.0, 0.5, 3.0])
    write_stopped(ledger.storage, "0" * 12, REASON, 1)
    assert [row.stopped for row in read_table(ledger).rows] == [None, None, REASON]


def test_every_sheet_shows_a_stopped_row(read_grid, ledger):
    fill(ledger, read_grid(GRID), 2, [1.0, 0.5, 3.0])
    for kind in KINDS:
        for format in FORMATS:
            assert shown(ledger, kind, format) or format == "csv"  # a published row or a claim needs MNIST
    assert "2/5, stopped" in shown(ledger, "statistics")


def test_claims_leave_stopped_rows_out():
    """With every row stopped nothing is measured, and a note says how many rows that were."""
    table = table_of("grid_thesis.yaml", as_published)
    before = claims_sheet("thesis", table)
    for row in table.rows:
        row.stopped = REASON
    after = claims_sheet("thesis", table)
    assert {record["ours_verdict"] for record in after.records} == {"not measured"}
    assert {record["ours_verdict"] for record in before.records} != {"not measured"}
    assert f"not judged because a race stopped them: {len(table.rows)} rows" in after.notes
