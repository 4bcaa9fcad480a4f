"""`limit: 1797` of digits and no limit give the same images, and units under either of the two keys count for both."""

import pytest
from grids import TWINS

from sweeps.config import grid, yaml_reader
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.equivalent_limits import done_under_other_keys
from sweeps.plan.plan import Plan
from sweeps.report.actions import Actions
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options


def parsed(limit):
    return grid.read(yaml_reader.parse(TWINS.format(limit=limit)), "twins.yaml")


def keys(limit):
    return {units[0].key for units in Plan(parsed(limit), frozenset(), frozenset()).rows}


@pytest.fixture
def sweep(tmp_path):
    """Return the command on the grid under a limit, with its options as keywords."""

    def run(limit, **options):
        file = tmp_path / "twins.yaml"
        file.write_text(TWINS.format(limit=limit))
        return command(str(file), [], Options(str(tmp_path / "results"), inline=True, **options))

    run.results = str(tmp_path / "results")
    run.ledger = open_ledger(run.results, "twins")
    return run


@pytest.mark.parametrize("compacted", [False, True], ids=["files", "compacted"])
@pytest.mark.parametrize(("first", "second"), [("1797", "null"), ("null", "1797")])
def test_done_units_count_for_both_keys(sweep, capsys, first, second, compacted):
    """Under the other key nothing is trained again, the table is the same, and the kept model is drawn."""
    assert sweep(first) == 0
    if compacted:
        compact(sweep.ledger)
    before = report(sweep.results, "twins", ReportRequest(columns=("folds", "unconditioned", "latent_loss")))
    capsys.readouterr()
    assert sweep(second, status=True) == 0
    assert "2 of 2 units done" in capsys.readouterr().out
    assert sweep(second, dry_run=True) == 0
    assert "2 done, 0 failed, 0 to train" in capsys.readouterr().out
    assert sweep(second) == 0
    out = capsys.readouterr().out
    assert "counted here too: 2 units done under another data.limit that means the same images" in out
    assert "] done" not in out
    after = report(sweep.results, "twins", ReportRequest(columns=("folds", "unconditioned", "latent_loss")))
    assert [line for line in after.splitlines() if "±" in line] == [line for line in before.splitlines() if "±" in line]
    assert {key for key, _ in sweep.ledger.units()} == keys(first) | keys(second)
    lines = Actions(write=True).run(sweep.ledger, "twins", ReportRequest())
    assert not [line for line in lines if "no picture" in line]
    assert sweep(second) == 0
    assert "another data.limit" not in capsys.readouterr().out


def test_redo_trains_an_adopted_unit_again(sweep, capsys):
    """A unit that was done under the other key is trained again by `--redo`."""
    assert sweep("1797") == 0
    capsys.readouterr()
    assert sweep("null", redo="*fold 0") == 0
    assert capsys.readouterr().out.count("] done: ") == 1


def test_another_limit_adopts_no_units():
    """Limits of fewer images adopt no unit that was done without a limit."""
    for limit in ("1000", "1796"):
        plan = Plan(parsed(limit), frozenset({(key, 0) for key in keys("null") | keys("1797")}), frozenset())
        assert done_under_other_keys(plan) == {}


def test_both_keys_in_one_grid():
    """Two rows of the same work adopt each other's done units."""
    both = grid.Grid("twins", (*parsed("1797").rows, *parsed("null").rows))
    (one,), (other,) = keys("1797"), keys("null")
    plan = Plan(both, frozenset({(one, 0), (other, 1)}), frozenset())
    found = {id_: unit.id for id_, unit in done_under_other_keys(plan).items()}
    assert found == {(one, 0): (other, 0), (other, 1): (one, 1)}
