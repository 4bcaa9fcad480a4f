"""A results folder of the version before rows.parquet is read, reported and resumed.

tests/ledger/old_results was made by commit 7a2edac: units compacted and in files of their own, one failed, one to be
trained again, and its report.
"""

import shutil
from pathlib import Path

import pytest

from sweeps.analysis.results import read_table
from sweeps.config import grid
from sweeps.ledger import redo
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.report.contents import Asked, report
from sweeps.run.command import command
from sweeps.run.options import Options

OLD = Path(__file__).parent / "old_results"
GRID = str(OLD / "old.yaml")


@pytest.fixture
def results(tmp_path):
    shutil.copytree(OLD / "old", tmp_path / "old")
    return str(tmp_path)


@pytest.fixture
def ledger(results):
    return open_ledger(results, "old")


def test_the_report_is_the_same_to_the_character(results):
    assert report(results, "old", Asked()) + "\n" == (OLD / "report.txt").read_text()


def test_every_file_is_read(ledger):
    rows, damaged = ledger.read()
    assert damaged == []
    assert len(rows) == len(ledger.units()) == 7  # without the one that is marked
    assert len(ledger.compacted()) == 4
    assert redo.marked(ledger.storage) == {("7b3fed415bec", 1)}
    (failed,), _ = ledger.read("failed")
    assert failed["reason"] == "the loss is not finite in epoch 1"


def test_the_keys_are_those_of_today(ledger):
    plan = Plan(grid.load(GRID), ledger.units(), ledger.units("failed"))
    assert [row[0].key for row in plan.rows] == ledger.keys()
    assert (plan.count(plan.done), len(plan.still_failed), len(plan.missing())) == (7, 1, 2)


def test_a_row_without_unit_is_counted(ledger):
    """The settings of such a row stand in grid.yaml alone, which no report parses."""
    ledger.storage.remove("units/4683ad0c8c81-fold1.parquet")
    table = read_table(ledger)
    assert [row.key for row in table.rows] == ["7b3fed415bec", "7a2c7d6e2c1d", "ecaea7d5e0c2", "8ee25d6da945"]
    assert table.notes == ("not shown: 1 rows of grid.yaml without any unit, since there is no rows.parquet to read",)


def test_status_counts_and_changes_nothing(results, ledger, capsys):
    assert command(GRID, [], Options(results, status=True)) == 75
    out = capsys.readouterr().out
    assert "sweep old: 7 of 10 units done" in out
    assert "ecaea7d5e0c2  1/2 (1 failed)  vqvae 1 multi_decoder, uniform, training.lr 0.002" in out
    assert ledger.storage.names("") == ["grid.yaml", "units.parquet"]


def test_a_run_resumes_it(results, ledger, capsys):
    """The marked unit and the missing one are trained, the failed one waits; the rows are a file from then on."""
    before = {(row["key"], row["fold"]): row["finished_at"] for row in ledger.read()[0]}
    assert command(GRID, [], Options(results, inline=True)) == 1
    assert capsys.readouterr().out.count("] done: ") == 2
    after = {(row["key"], row["fold"]): row["finished_at"] for row in ledger.read()[0]}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {("7b3fed415bec", 1), ("4683ad0c8c81", 0)}
    assert redo.marked(ledger.storage) == frozenset()
    assert "rows.parquet" in ledger.storage.names("")
    assert "grid-1.yaml" not in ledger.storage.names("")
    again = report(results, "old", Asked())
    assert "uniform, training.lr 0.002          1/2 (1 failed)" in again
    assert compact(ledger) == (9, [])


def test_a_removed_mark_brings_its_result_back(results, ledger):
    ledger.storage.remove("redo/7b3fed415bec-fold1")
    assert len(ledger.units()) == 8
    row = next(row for row in read_table(ledger).rows if row.key == "7b3fed415bec")
    assert row.complete


def test_the_fixture_says_nothing_of_its_machine():
    for file in OLD.rglob("*"):
        data = file.read_bytes() if file.is_file() else b""
        assert b"/tmp" not in data
        assert b"/work" not in data
    log = open_ledger(OLD, "old").read("failed")[0][0]["log"]
    assert log == "results/old/logs/ecaea7d5e0c2-fold1.log"
