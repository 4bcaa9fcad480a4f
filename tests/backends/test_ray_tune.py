"""Ray: the same digits as inline, whatever the number of workers, and what happens when a worker dies."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from records import rows_of

from sweeps.backends import inline
from sweeps.backends.base import Job
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.ledger.ledger import Ledger
from sweeps.plan.plan import Plan
from sweeps.plan.unit import PlacementError


@pytest.fixture
def ledgers(tmp_path, ledger):
    """Ledgers beside each other."""
    return lambda name: Ledger(ledger.storage.folder(f"../{name}"))


def run_on_ray(plan, ledger, workers):
    from sweeps.backends.ray_tune import driver

    with Progress(plan, plan.missing(), terminal=False) as progress:
        driver.run_units(Job(plan.missing(), ledger, {}), progress, Stop(), workers, None)
    return progress


def test_inline_one_worker_and_two_give_the_same_digits(plan, ledgers, ray_session, capsys):
    with Progress(plan, plan.missing(), terminal=False) as progress:
        inline.run_units(Job(plan.missing(), ledgers("inline"), {}), progress, Stop())
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


def test_a_worker_that_dies_once_costs_what_it_did_since_its_checkpoint(
    read_grid, ledgers, digits, ray_session, monkeypatch, tmp_path, capsys
):
    from sweeps.backends.ray_tune import driver
    from sweeps.worker import run_unit

    g = read_grid("""
        name: a
        data.limit: 60
        folds.n_splits: 2
        training: {epochs: 120, batch_size: 16, checkpoint_seconds: 0}
        grid: [{method: single_decoder}]
    """)
    unit = Plan(g, frozenset(), frozenset()).units[0]
    marker, real_trial = tmp_path / "died", driver._trial

    def die_once_it_is_saved(job):
        while not job.ledger.storage.exists(f"checkpoints/{unit.name}.pt"):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)

    def die_once(config, job, images, flag):
        if not marker.exists():
            marker.touch()
            threading.Thread(target=die_once_it_is_saved, args=(job,)).start()
        real_trial(config, job, images, flag)

    monkeypatch.setattr(driver, "_trial", die_once)
    with Progress(Plan(g, frozenset(), frozenset()), [unit], terminal=False) as progress:
        driver.run_units(Job([unit], ledgers("hurt"), {}), progress, Stop(), 1, None)
    run_unit.run_unit(unit, digits, ledgers("whole"), "cpu", {})
    assert marker.exists()
    assert rows_of(ledgers("hurt")) == rows_of(ledgers("whole"))
    (row,), _ = ledgers("hurt").read()
    assert row["resumed"] == 1
    assert progress.images_left == 0
    assert 0 < progress.images <= 120 * 27  # what the checkpoint brought is not counted as trained again


def test_a_worker_that_keeps_dying_is_a_failed_unit(plan, ledgers, ray_session, monkeypatch, capsys):
    from sweeps.backends.ray_tune import driver

    def die(config, **_):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(driver, "_trial", die)
    ledger = ledgers("dying")
    unit = plan.missing()[0]
    with Progress(plan, [unit], terminal=False) as progress:
        driver.run_units(Job([unit], ledger, {}), progress, Stop(), 1, None)
    (row,), _ = ledger.read("failed")
    assert row["reason"] == "its worker died 3 times without progress"


@pytest.fixture
def dying(monkeypatch, tmp_path):
    """Workers that die by a pattern, a letter for each: `p` once it has saved its unit anew, `v` (in vain) at once."""
    from sweeps.backends.ray_tune import driver

    real_trial, attempts = driver._trial, tmp_path / "attempts"
    attempts.mkdir()

    def die_once_it_is_saved_anew(storage, name, before):
        while storage.stamp(name) == before:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)

    def use(pattern):
        def trial(config, job, images, flag):
            attempt = len(list(attempts.iterdir()))
            (attempts / str(attempt)).touch()
            if attempt < len(pattern):
                if pattern[attempt] == "v":
                    os.kill(os.getpid(), signal.SIGKILL)
                storage, name = job.ledger.storage, f"checkpoints/{config['unit'].name}.pt"
                arguments = storage, name, storage.stamp(name)
                threading.Thread(target=die_once_it_is_saved_anew, args=arguments).start()
            real_trial(config, job, images, flag)

        monkeypatch.setattr(driver, "_trial", trial)
        return lambda: len(list(attempts.iterdir()))

    return use


LONG = """
name: long
data.limit: 60
folds.n_splits: 2
training: {epochs: 400, batch_size: 16, checkpoint_seconds: 0}
grid: [{method: single_decoder}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["ppppp", "vvpv"])
def test_a_worker_may_die_any_number_of_times_while_its_unit_gets_on(
    read_grid, ledgers, digits, ray_session, dying, pattern, capsys
):
    """`vvpv`: Tune gives up at the third, which we see to have got on."""
    from sweeps.backends.ray_tune import driver
    from sweeps.worker import run_unit

    unit = Plan(read_grid(LONG), frozenset(), frozenset()).units[0]
    attempts = dying(pattern)
    with Progress(Plan(read_grid(LONG), frozenset(), frozenset()), [unit], terminal=False) as progress:
        driver.run_units(Job([unit], ledgers("hurt"), {}), progress, Stop(), 1, None)
    assert attempts() == len(pattern) + 1
    run_unit.run_unit(unit, digits, ledgers("whole"), "cpu", {})
    assert rows_of(ledgers("hurt")) == rows_of(ledgers("whole"))
    (row,), _ = ledgers("hurt").read()
    assert row["resumed"] == pattern.count("p")
    log = ledgers("hurt").storage.read(f"logs/{unit.name}.log").decode()
    assert "\ndone\n" in log
    assert f"its worker died {len(pattern)} times" in log
    assert ledgers("hurt").units("failed") == frozenset()


@pytest.mark.slow
def test_three_deaths_at_one_checkpoint_are_a_failed_unit(read_grid, ledgers, ray_session, dying, capsys):
    from sweeps.backends.ray_tune import driver

    unit = Plan(read_grid(LONG), frozenset(), frozenset()).units[0]
    attempts = dying("ppvvvvv")
    with Progress(Plan(read_grid(LONG), frozenset(), frozenset()), [unit], terminal=False) as progress:
        driver.run_units(Job([unit], ledgers("dying"), {}), progress, Stop(), 1, None)
    assert attempts() == 4
    (row,), _ = ledgers("dying").read("failed")
    assert row["reason"] == "its worker died 3 times without progress"
    log = ledgers("dying").storage.read(f"logs/{unit.name}.log").decode()
    assert "its worker died 4 times" in log
    assert progress.failed == {unit.id}


def test_a_gpu_that_is_not_there_is_said_before_the_first_trial(read_grid, ledgers, ray_session):
    g = read_grid("name: a\nresources.gpus: 0.5\ngrid: [{}]")
    plan = Plan(g, frozenset(), frozenset())
    with pytest.raises(PlacementError, match=r"resources.gpus is 0.5, but the largest node has 0"):
        run_on_ray(plan, ledgers("gpu"), 1)


def test_a_worker_without_its_gpu_ends_the_sweep_and_fails_no_unit(read_grid, ledgers, ray_session, monkeypatch):
    """As on a node that joined after the nodes were asked."""
    from sweeps.backends.ray_tune import nodes

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    plan = Plan(read_grid("name: a\ndata.limit: 60\nresources.gpus: 0.5\ngrid: [{}]"), frozenset(), frozenset())
    monkeypatch.setattr(nodes, "asked", lambda unit: {"CPU": 1.0})
    monkeypatch.setattr(nodes, "check_gpus", lambda units: None)
    ledger = ledgers("late")
    with pytest.raises(PlacementError, match=r"resources.gpus is 0.5, but torch sees no GPU on \w"):
        run_on_ray(plan, ledger, 2)
    assert ledger.units("failed") == ledger.units() == frozenset()


def test_the_token_that_guards_rays_ports_is_ours_alone(tmp_path, monkeypatch):
    from sweeps.backends.ray_tune import driver

    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    driver._protect_token()
    assert token.stat().st_mode & 0o777 == 0o600
    token.unlink()
    driver._protect_token()  # nothing to protect
    assert driver.os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_sweep_with_75_and_the_same_command_finishes_it(tiny_file, tmp_path, number):
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
    assert "the same command goes on" in err
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


def test_what_a_killed_driver_left_for_tune_goes_and_a_living_ones_stays(tmp_path, monkeypatch):
    from sweeps.backends.ray_tune import driver

    monkeypatch.setattr(driver.tempfile, "gettempdir", lambda: str(tmp_path))
    host, gone = socket.gethostname(), 2**22 + 1  # above Linux's largest process number
    for name in (
        f"sweeps-tune.{host}-{gone}-00.tmp",
        f"sweeps-tune.{host}-{os.getpid()}-00.tmp",
        "sweeps-tune.x-1-0.tmp",
    ):
        (tmp_path / name).mkdir()
    new = Path(driver._scratch())
    assert new.stat().st_mode & 0o777 == 0o700
    left = {path.name for path in tmp_path.iterdir()} - {new.name}
    assert left == {f"sweeps-tune.{host}-{os.getpid()}-00.tmp", "sweeps-tune.x-1-0.tmp"}
