"""What the command prints at its end about units that are not done."""

import pytest
from work_sources import chain

from sweeps.plan.plan import Plan
from sweeps.run.ending import DONE, FAILED, STOPPED, conclude
from sweeps.run.train import Ran


@pytest.fixture
def end(tiny, ledger, capsys):
    """Return a function of done and failed units, as places among six, that returns the exit code and stderr.

    Each of the first three units requires the one before it.
    """

    def end(done, failed, stopped=False):
        plan = Plan(tiny, frozenset(), frozenset())
        units = chain(plan.units[:3]) + plan.units[3:]
        ids = [unit.id for unit in units]
        plan = Plan(tiny, frozenset(ids[i] for i in done), frozenset(ids[i] for i in failed))
        plan.__dict__["rows"] = [units]  # a grid with stages that require others
        return conclude(plan, ledger, Ran(stopped)), capsys.readouterr().err

    return end


def test_blocked_units_are_named(end):
    code, err = end(done=[3, 4, 5], failed=[0])
    assert code == FAILED
    assert err.count("blocked: ") == 2
    assert "1 of 6 units failed; --retry trains them again" in err
    assert "2 of 6 units are blocked" in err


def test_units_whose_parents_wait_are_not_blocked(end):
    code, err = end(done=[3, 4], failed=[])
    assert code == STOPPED
    assert "blocked" not in err
    assert "2 of 6 units done; the same command resumes the sweep" in err


def test_a_stop_beside_blocked_units_is_a_stop(end):
    code, err = end(done=[3, 4], failed=[0])
    assert code == STOPPED
    assert err.count("blocked: ") == 2
    assert "2 of 6 units done; the same command resumes the sweep" in err


def test_nothing_is_blocked_when_all_is_done(end):
    assert end(done=range(6), failed=[]) == (DONE, "")


def test_a_status_names_the_command_that_trains(end, monkeypatch):
    monkeypatch.setattr("sys.argv", ["sweeps.run", "a.yaml", "--status", "--workers", "2"])
    _, err = end(done=[3, 4], failed=[])
    assert "the command without --status resumes the sweep: python -m sweeps.run a.yaml --workers 2\n" in err
