"""Several grids of one name in one folder: a run reports the rows of its own grid, and counts the others."""

import json
import re

import pytest

from sweeps.backends.base import train_unit
from sweeps.config import grid
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components

HEAD = "name: two\ndata: {dataset: digits, limit: 60}\nfolds: {n_splits: 2}\ntraining: {epochs: 1, batch_size: 16}\n"
FIRST = HEAD + "grid: [{family: autoencoder, method: [none, multi_decoder]}]\n"
SECOND = HEAD + "grid: [{family: autoencoder, method: [none, single_decoder]}]\n"
WROTE = "another grid of this name wrote its rows to {}/two/rows.parquet"


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that runs a grid's text with options, and returns the exit code and what was printed."""

    def run(text, name="grid", parts=None, **options):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        options = Options(str(tmp_path / "results"), **{"inline": True} | options)
        code = command(str(file), [], options, *([parts] if parts else []))
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def results(tmp_path):
    return str(tmp_path / "results")


def table_of(printed):
    """Return the table of a run, without the lines at its end."""
    table = ("\n" + printed)[("\n" + printed).rindex("\ntwo\n") :]
    return re.split(r"\n\n\d+ of \d+ done", table)[0].strip()


def test_a_run_reports_the_grid_in_hand(run, results):
    """Another command starts and ends while the first unit of this one trains, so its rows are the latest."""
    seen = []

    def meanwhile(*arguments):
        if not seen:
            seen.append(run(SECOND, "second"))
        return train_unit(*arguments)

    code, printed = run(FIRST, parts=Components(run_unit=meanwhile))
    assert (code, seen[0][0]) == (0, 0)
    (other,) = [table_of(out) for _, out in seen]
    assert "single_decoder" in other and "another grid" not in other
    own = table_of(printed)
    assert "multi_decoder" in own and "single_decoder" not in own
    assert own.splitlines()[-2:] == [
        f"{WROTE.format(results)}; the table holds the rows of this run's grid. python -m sweeps.report two shows the "
        "latest grid's rows, and with --all all rows",
        "not shown: 1 row (2 units) of other grids; the report's --all shows them",
    ]
    assert "single_decoder" in report(results, "two", ReportRequest()) and "multi_decoder" not in report(
        results, "two", ReportRequest()
    )
    rows = json.loads(report(results, "two", ReportRequest(format="json", all_rows=True)))[0]["rows"]
    assert [row["method"] for row in rows] == ["none", "multi_decoder", "single_decoder"]


def test_grids_one_after_another_need_no_note(run, results):
    """The second is the latest when it ends: only its rows are shown, and those of the first are counted."""
    run(FIRST)
    code, printed = run(SECOND)
    assert code == 0
    assert table_of(printed) == report(results, "two", ReportRequest())
    assert "wrote its rows" not in printed
    assert (
        table_of(printed).splitlines()[-1] == "not shown: 1 row (2 units) of other grids; the report's --all shows them"
    )


@pytest.mark.parametrize("options", [{"shard": "1/2"}, {"only": "autoencoder 1 none, fold 0"}, {}])
def test_a_part_reports_the_whole_grid(run, results, options):
    """It prints exactly what the report does, in a folder that also holds rows of another grid."""
    run(SECOND)
    _, printed = run(FIRST, **options)
    assert table_of(printed) == report(results, "two", ReportRequest())
    assert "multi_decoder" in printed


def test_rows_in_hand_need_no_file(run, results):
    """Another process damages rows.parquet while this one trains: the table is whole, and the file is named."""

    def damage(*arguments):
        outcome = train_unit(*arguments)
        open_ledger(results, "two").storage.write("rows.parquet", b"<html>")
        return outcome

    code, printed = run(FIRST, parts=Components(run_unit=damage))
    assert (code, run(FIRST)[0]) == (0, 0)
    shown = table_of(printed).splitlines()
    assert shown[:-1] == report(results, "two", ReportRequest()).splitlines()
    assert shown[-1].startswith("not read: rows.parquet (")


def test_a_row_that_left_is_counted(run, results, tmp_path, capsys):
    """Its done and failed units are counted below the table, or on stderr; so is a row whose units all failed."""
    run(HEAD + "grid: [{family: autoencoder, method: [none, multi_decoder, single_decoder]}]")
    ledger = open_ledger(results, "two")
    units = Plan(grid.load(str(tmp_path / "grid.yaml"), []), ledger.units(), frozenset()).rows
    ledger.storage.remove(f"units/{units[1][0].name}.parquet")
    ledger.write_failed(units[1][0], "no luck")
    ledger.write_failed(units[1][1], "before it was done")  # it is one unit all the same
    for unit in units[2]:
        ledger.storage.remove(f"units/{unit.name}.parquet")
        ledger.write_failed(unit, "no luck")
    run(HEAD + "grid: [{family: autoencoder}]")
    note = "not shown: 2 rows (4 units) of other grids; the report's --all shows them"
    assert report(results, "two", ReportRequest()).splitlines()[-1] == note
    assert capsys.readouterr().err == ""
    assert len(json.loads(report(results, "two", ReportRequest(format="json")))[0]["rows"]) == 1
    assert capsys.readouterr().err == note + "\n"
    shown = report(results, "two", ReportRequest(all_rows=True))
    assert "not shown" not in shown and shown.count("autoencoder") > 2
    ledger.storage.remove("rows.parquet")  # as of a version that had none
    assert report(results, "two", ReportRequest()).splitlines()[-1] == note
