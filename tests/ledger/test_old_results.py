"""A results folder of the version before rows.parquet: it is read, reported and resumed.

Commit 7a2edac made tests/ledger/old_results: compacted units, units in their own files, one failed unit, one that is
marked for redo, and their report, to which later versions added flags and notes.
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
from sweeps.report.contents import ReportRequest, report
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
    assert report(results, "old", ReportRequest()) + "\n" == (OLD / "report.txt").read_text()


def test_every_file_is_read(ledger):
    rows, damaged = ledger.read()
    assert damaged == []
    assert len(rows) == len(ledger.units()) == 7  # without the marked unit
    assert len(ledger.compacted()) == 4
    assert redo.marked(ledger.storage) == {("7b3fed415bec", 1)}
    (failed,), _ = ledger.read("failed")
    assert failed["reason"] == "the loss is not finite in epoch 1"


def test_the_keys_are_those_of_today(ledger):
    plan = Plan(grid.load(GRID), ledger.units(), ledger.units("failed"))
    assert [row[0].key for row in plan.rows] == ledger.keys()
    assert (plan.count(plan.done), len(plan.still_failed), len(plan.missing())) == (7, 1, 2)


def test_a_row_without_unit_is_counted(ledger):
    """Only grid.yaml holds the settings of such a row, and no report parses it."""
    ledger.storage.remove("units/4683ad0c8c81-fold1.parquet")
    table = read_table(ledger)
    assert [row.key for row in table.rows] == ["7b3fed415bec", "7a2c7d6e2c1d", "ecaea7d5e0c2", "8ee25d6da945"]
    assert table.notes == ("not shown: 1 row of grid.yaml without any unit, because there is no rows.parquet to read",)


def with_keys_on_their_own_lines(text):
    """Put each key on its own line, as an editor that breaks long lines does."""
    return text.replace(", ", ",\n  ").replace("}  # ", "}\n  # ")


EDITS = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "a byte order mark": lambda text: "\ufeff" + text,
    "no space before the comment": lambda text: text.replace("  # ", "#"),
    "one space": lambda text: text.replace("  # ", " # "),
    "tabs": lambda text: text.replace("  # ", "\t#\t").replace("\n", "\t\n"),
    "spaces at the end": lambda text: text.replace("\n", "  \n"),
    "indented": lambda text: text.replace("\n- ", "\n  -   "),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "no last line end": lambda text: text.rstrip("\n"),
    "no line ends": lambda text: text.replace("\n", " "),
    "broken lines": with_keys_on_their_own_lines,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("rows", [None, b""])
def test_line_ends_and_spaces_change_nothing(results, ledger, edit, rows):
    """The rows of grid.yaml are shown in its order, also beside an empty rows.parquet, which is reported."""
    text = ledger.storage.read("grid.yaml").decode()
    assert edit(text) != text
    ledger.storage.write("grid.yaml", edit(text).encode())
    if rows is not None:
        ledger.storage.write("rows.parquet", rows)
    shown = [
        line
        for line in report(results, "old", ReportRequest()).splitlines()
        if not line.startswith("not read: rows.par")
    ]
    assert "\n".join(shown) + "\n" == (OLD / "report.txt").read_text()


@pytest.mark.parametrize(
    "text", ["", "\n", "grid: []\n", "- {}  # 000000000000\n", "\0\1", "name: old # 7b3fed415bec0\n"], ids=repr
)
def test_a_grid_without_known_keys_hides_no_row(results, ledger, text):
    """All rows are shown, and one line says so. An unknown key is a row without units."""
    ledger.storage.write("grid.yaml", text.encode())
    table = read_table(ledger)
    assert {row.key for row in table.rows} == set(open_ledger(OLD, "old").keys())
    lines = report(results, "old", ReportRequest()).splitlines()
    assert lines[-1] == "all rows are shown, because grid.yaml names none of them and there is no rows.parquet"
    assert sum("without any unit" in line for line in lines) == ("00000" in text)
    assert not any("no finished unit yet" in line for line in lines)


def test_a_truncated_grid_counts_the_other_rows(results, ledger):
    text = ledger.storage.read("grid.yaml").decode()
    ledger.storage.write("grid.yaml", text[: text.index("# 8ee25d6da945")].encode())
    shown = report(results, "old", ReportRequest())
    assert [row.key for row in read_table(ledger).rows] == ["7b3fed415bec"]
    assert shown.endswith("\nnot shown: 4 rows (7 units) of other grids; the report's --all shows them")


@pytest.mark.parametrize("grids", [{"grid.yaml"}, {"grid.yaml", "rows.parquet"}, {"rows.parquet"}])
def test_removed_grids_hide_no_row(results, ledger, grids, capsys):
    """A run writes the grids again and trains nothing."""
    command(GRID, [], Options(results, inline=True))
    expected = report(results, "old", ReportRequest())
    capsys.readouterr()
    for name in grids:
        ledger.storage.remove(name)
    assert sorted(report(results, "old", ReportRequest()).splitlines()) == sorted(expected.splitlines())
    assert command(GRID, [], Options(results, inline=True)) == 1
    assert "] done" not in capsys.readouterr().out
    assert {"grid.yaml", "rows.parquet"} <= set(ledger.storage.names(""))


def test_rows_of_another_sweep_are_reported(results, ledger, read_grid):
    """The rows of a copied rows.parquet have no units, and the rows of the units are counted."""
    other = open_ledger(results, "other")
    other.write_grid(read_grid("name: other\ngrid: [{}]"))
    ledger.storage.write("rows.parquet", other.storage.read("rows.parquet"))
    lines = report(results, "old", ReportRequest()).splitlines()
    assert lines[-1] == "not shown: 5 rows (8 units) of other grids; the report's --all shows them"


def test_units_that_cannot_be_read_are_no_news(results, ledger):
    """There are units, so the report does not say that none is finished."""
    for name in ("units.parquet", *[f"units/{name}" for name in ledger.storage.names("units")]):
        ledger.storage.write(name, b"<html>")
    for name in ledger.storage.names("failed"):
        ledger.storage.remove(f"failed/{name}")
    lines = report(results, "old", ReportRequest()).splitlines()
    assert lines[0] == "old: no unit could be read"
    assert sum(line.startswith("not read: ") for line in lines) == 5


def test_status_counts_and_changes_nothing(results, ledger, capsys):
    assert command(GRID, [], Options(results, status=True)) == 0
    out = capsys.readouterr().out
    assert "sweep old: 7 of 10 units done" in out
    assert "ecaea7d5e0c2  1/2 (1 failed)  vqvae 1 multi_decoder, uniform, training.lr 0.002" in out
    assert ledger.storage.names("") == ["grid.yaml", "units.parquet"]


def test_a_run_resumes_it(results, ledger, capsys):
    """The marked unit and the missing one are trained, and the failed one is not. The run writes rows.parquet.

    grid.yaml gains the settings that are new since, so the earlier one is kept as grid-1.yaml.
    """
    before = {(row["key"], row["fold"]): row["finished_at"] for row in ledger.read()[0]}
    assert command(GRID, [], Options(results, inline=True)) == 1
    assert capsys.readouterr().out.count("] done: ") == 2
    after = {(row["key"], row["fold"]): row["finished_at"] for row in ledger.read()[0]}
    assert before.items() <= after.items()
    assert after.keys() - before.keys() == {("7b3fed415bec", 1), ("4683ad0c8c81", 0)}
    assert redo.marked(ledger.storage) == frozenset()
    assert "rows.parquet" in ledger.storage.names("")
    assert "grid-1.yaml" in ledger.storage.names("")
    again = report(results, "old", ReportRequest())
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
