"""Ray gives the same digits as inline with any number of workers; and what happens when a worker dies."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial

import pytest
import torch
from records import rows_of
from stand_ins import die, die_by, raise_this, train_on_half_a_gpu
from work_sources import chain

from sweeps.backends.base import RunContext, train_unit
from sweeps.backends.inline import Inline
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import Loaded
from sweeps.ledger.ledger import Ledger
from sweeps.plan.plan import Plan
from sweeps.plan.unit import PlacementError
from sweeps.plan.work_source import GridSource


@pytest.fixture
def ledgers(tmp_path, ledger):
    """Return a function that makes a ledger of this name."""
    return lambda name: Ledger(ledger.storage.folder(f"../{name}"))


def run(backend, plan, units, ledger, run_unit=train_unit):
    """Run units of a plan, and return the `Progress` that it updated."""
    with Progress(plan, units, terminal=False) as progress:
        backend.run(GridSource(units), RunContext(ledger, {}, run_unit=run_unit), progress, Stop())
    return progress


def run_on_ray(plan, ledger, workers, units=None, run_unit=train_unit):
    from sweeps.backends.ray_tune.driver import RayTune

    return run(RayTune(workers), plan, plan.missing() if units is None else units, ledger, run_unit)


def test_the_number_of_workers_changes_no_digit(plan, ledgers, ray_session, capsys):
    """Inline, with one worker and with two."""
    progress = run(Inline(), plan, plan.missing(), ledgers("inline"))
    one = run_on_ray(plan, ledgers("one"), 1)
    two = run_on_ray(plan, ledgers("two"), 2)
    expected = rows_of(ledgers("inline"))
    assert len(expected) == 6
    assert rows_of(ledgers("one")) == expected
    assert rows_of(ledgers("two")) == expected
    for seen in (progress, one, two):
        assert seen.done == {unit.id for unit in plan.units}
        assert (seen.images, seen.images_left, seen.running) == (6 * 54, 0, {})


def test_a_failing_unit_leaves_the_others_done(read_grid, ledgers, ray_session, capsys):
    g = read_grid("""
        name: a
        data.limit: 60
        folds.n_splits: 2
        training.epochs: 20
        grid: [{training.lr: [0.001, 1.0e+30]}]
    """)
    ledger = ledgers("failing")
    progress = run_on_ray(Plan(g, frozenset(), frozenset()), ledger, 2)
    plan = Plan(g, ledger.units(), ledger.units("failed"))
    assert [len(plan.done), len(plan.still_failed), len(progress.failed)] == [2, 2, 2]
    assert plan.missing() == []


def attempts_of(tmp_path, pattern):
    """Return a `run_unit` that dies by a pattern, and a function that counts its calls."""
    folder = tmp_path / "attempts"
    folder.mkdir()
    return partial(die_by, folder, pattern), lambda: len(list(folder.iterdir()))


def test_a_dead_workers_unit_resumes_from_its_checkpoint(read_grid, ledgers, digits, ray_session, tmp_path, capsys):
    from sweeps.worker import run_unit

    g = read_grid("""
        name: a
        data.limit: 60
        folds.n_splits: 2
        training: {epochs: 120, batch_size: 16, checkpoint_seconds: 0}
        grid: [{method: single_decoder}]
    """)
    plan = Plan(g, frozenset(), frozenset())
    unit = plan.units[0]
    dying, attempts = attempts_of(tmp_path, "p")
    progress = run_on_ray(plan, ledgers("hurt"), 1, [unit], dying)
    run_unit.run_unit(unit, Loaded(digits), ledgers("whole"), "cpu", {})
    assert attempts() == 2
    assert rows_of(ledgers("hurt")) == rows_of(ledgers("whole"))
    (row,), _ = ledgers("hurt").read()
    assert row["resumed"] == 1
    assert progress.images_left == 0
    assert 0 < progress.images <= 120 * 27  # images before the checkpoint are not counted again


def test_a_unit_whose_workers_keep_dying_fails(plan, ledgers, ray_session, capsys):
    """The unit that requires it never runs, and is not failed."""
    ledger, units = ledgers("dying"), chain(plan.missing()[:2])
    progress = run_on_ray(plan, ledger, 1, units, die)
    (row,), _ = ledger.read("failed")
    assert row["reason"] == "its worker died 3 times without progress"
    assert progress.failed == {units[0].id}


def test_a_worker_that_raises_did_not_die(plan, ledgers, ray_session, capsys):
    """The reason is the error, and the log shows where it was raised."""
    ledger, units = ledgers("raising"), plan.missing()[:1]
    run_on_ray(plan, ledger, 1, units, partial(raise_this, LookupError("no\nsuch thing")))
    (row,), _ = ledger.read("failed")
    assert row["reason"] == "LookupError: no such thing, 3 times without progress"
    log = ledger.storage.read(f"logs/{units[0].name}.log").decode()
    assert "its worker ended with an error 3 times" in log
    assert "died" not in log
    assert "in raise_this" in log


@pytest.mark.parametrize("hook", ["started", "trained", "finished"])
def test_an_error_of_the_driver_is_no_death(plan, ledgers, ray_session, monkeypatch, capsys, hook):
    """The sweep ends with that error, and no unit is failed."""

    def broken(self, *arguments):
        raise BrokenPipeError(hook)

    monkeypatch.setattr(Progress, hook, broken)
    ledger = ledgers("callback")
    with pytest.raises(BrokenPipeError, match=hook):
        run_on_ray(plan, ledger, 1, plan.missing()[:2])
    assert ledger.units("failed") == frozenset()
    assert len(ledger.units()) <= 1


LONG = """
name: long
data.limit: 60
folds.n_splits: 2
training: {epochs: 400, batch_size: 16, checkpoint_seconds: 0}
grid: [{method: single_decoder}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["ppppp", "vvpv"])
def test_deaths_after_progress_do_not_count(read_grid, ledgers, digits, ray_session, tmp_path, pattern, capsys):
    """`vvpv` is four deaths, more than a unit may have without progress."""
    from sweeps.worker import run_unit

    plan = Plan(read_grid(LONG), frozenset(), frozenset())
    unit = plan.units[0]
    dying, attempts = attempts_of(tmp_path, pattern)
    run_on_ray(plan, ledgers("hurt"), 1, [unit], dying)
    assert attempts() == len(pattern) + 1
    run_unit.run_unit(unit, Loaded(digits), ledgers("whole"), "cpu", {})
    assert rows_of(ledgers("hurt")) == rows_of(ledgers("whole"))
    (row,), _ = ledgers("hurt").read()
    assert row["resumed"] == pattern.count("p")
    log = ledgers("hurt").storage.read(f"logs/{unit.name}.log").decode()
    assert "\ndone\n" in log
    assert f"its worker died {len(pattern)} times" in log
    assert ledgers("hurt").units("failed") == frozenset()


@pytest.mark.slow
def test_three_deaths_at_one_checkpoint_fail_a_unit(read_grid, ledgers, ray_session, tmp_path, capsys):
    plan = Plan(read_grid(LONG), frozenset(), frozenset())
    unit = plan.units[0]
    dying, attempts = attempts_of(tmp_path, "ppvvvvv")
    progress = run_on_ray(plan, ledgers("dying"), 1, [unit], dying)
    assert attempts() == 4
    (row,), _ = ledgers("dying").read("failed")
    assert row["reason"] == "its worker died 3 times without progress"
    log = ledgers("dying").storage.read(f"logs/{unit.name}.log").decode()
    assert "its worker died 4 times" in log
    assert progress.failed == {unit.id}


def test_a_missing_gpu_is_said_before_the_trials(read_grid, ledgers, ray_session):
    g = read_grid("name: a\nresources.gpus: 0.5\ngrid: [{}]")
    plan = Plan(g, frozenset(), frozenset())
    with pytest.raises(PlacementError, match=r"resources.gpus is 0.5, but the largest node has 0"):
        run_on_ray(plan, ledgers("gpu"), 1)


def test_a_worker_without_its_gpu_ends_the_sweep(read_grid, ledgers, ray_session):
    """As on a node that joined after the nodes were checked. No unit is failed."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    plan = Plan(read_grid("name: a\ndata.limit: 60\ngrid: [{}]"), frozenset(), frozenset())
    ledger = ledgers("late")
    with pytest.raises(PlacementError, match=r"resources.gpus is 0.5, but torch sees no GPU on \w"):
        run_on_ray(plan, ledger, 2, run_unit=train_on_half_a_gpu)
    assert ledger.units("failed") == ledger.units() == frozenset()


def test_the_token_of_rays_ports_is_private(tmp_path, monkeypatch):
    from sweeps.backends.ray_tune import session

    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    session.make_token_private()
    assert token.stat().st_mode & 0o777 == 0o600
    token.unlink()
    session.make_token_private()  # nothing to protect
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_sweep_resumes_with_the_same_command(tiny_file, tmp_path, number):
    """A signal ends the command with exit code 75; the same command finishes the sweep."""
    arguments = [sys.executable, "-m", "sweeps.run", str(tiny_file), "--results", str(tmp_path), "--workers", "2"]
    arguments += ["--set", "training.epochs=150"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("tiny/units/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    signalled_at = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75, out + err
    assert time.monotonic() - signalled_at < 20
    assert "the same command resumes the sweep" in err
    assert "Traceback" not in err
    done = len(list(tmp_path.glob("tiny/units/*.parquet")))
    assert 1 <= done < 6
    again = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stdout.count("done: ") == 6 - done
    assert again.stderr == ""


def test_an_address_without_a_cluster_is_one_line(tiny_file, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sweeps.run", str(tiny_file), "--results", str(tmp_path), "--address", "nonsense"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("no Ray cluster at nonsense: ")
    assert len(done.stderr.splitlines()) == 1


def test_only_folders_of_killed_drivers_are_removed(tmp_path, monkeypatch):
    """Those that Tune writes into; another host's may be in use."""
    from sweeps.backends.ray_tune import session

    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    host, gone = socket.gethostname(), 2**22 + 1  # above Linux's largest process number
    for name in (
        f"sweeps-tune.{host}-{gone}-00.tmp",
        f"sweeps-tune.{host}-{os.getpid()}-00.tmp",
        "sweeps-tune.x-1-0.tmp",
    ):
        (tmp_path / name).mkdir()
    new = session.scratch_folder()
    assert new.stat().st_mode & 0o777 == 0o700
    left = {path.name for path in tmp_path.iterdir()} - {new.name}
    assert left == {f"sweeps-tune.{host}-{os.getpid()}-00.tmp", "sweeps-tune.x-1-0.tmp"}
