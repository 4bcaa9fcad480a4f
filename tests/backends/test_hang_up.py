"""A closed terminal: each of its processes receives SIGHUP, and printing fails from then on."""

import os
import pty
import signal
import sys
import threading
import time

import pytest

from sweeps.backends.stop import Stop, children_ignore_signals, ignore_signals

GRID = """
name: long
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 100000, batch_size: 16, checkpoint_seconds: 0.5}
grid: [{family: gaussian_vae, configuration: 1}]
"""


def hang_up(folder, *arguments):
    """Run a sweep in a terminal, and close it once a unit is saved. Return the exit code and the text of stderr."""
    (folder / "long.yaml").write_text(GRID)
    command = [sys.executable, "-m", "sweeps.run", str(folder / "long.yaml"), "--results", str(folder), *arguments]
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests that run the command in pytest's process leave it ignored
        os.dup2(os.open(folder / "stderr", os.O_WRONLY | os.O_CREAT), 2)
        os.execv(sys.executable, command)
    threading.Thread(target=drain, args=(terminal,), daemon=True).start()
    deadline = time.monotonic() + 60
    while not list(folder.glob("long/checkpoints/*.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process, signal.SIGHUP)  # as the kernel does to all processes of a terminal whose shell ends
    os.close(terminal)
    while (ended := os.waitpid(process, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline + 60:
            os.killpg(process, signal.SIGKILL)
        time.sleep(0.1)
    return os.waitstatus_to_exitcode(ended[1]), (folder / "stderr").read_text()


def drain(terminal):
    try:
        while os.read(terminal, 2**16):
            pass
    except OSError:  # it is closed
        pass


@pytest.mark.parametrize("how", ["--inline", pytest.param("--workers=2", marks=pytest.mark.slow)])
def test_a_closed_terminal_stops_the_sweep_with_75(tmp_path, how):
    """Ray's servers and workers must live until the driver has stopped them."""
    code, err = hang_up(tmp_path, how)
    assert code == 75, err
    saved = "1 running unit" if how == "--inline" else "2 running units"
    assert f"0 of 2 units done, {saved} saved; the same command resumes the sweep" in err
    assert "Traceback" not in err
    kept = {file.name for file in tmp_path.glob("long/checkpoints/*")}
    assert len([name for name in kept if name.endswith(".pt")]) == len(kept) == (1 if how == "--inline" else 2)
    assert list(tmp_path.glob("long/failed/*")) == []


@pytest.fixture
def handlers():
    """Restore the handlers of signals after the test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_hangup_that_nohup_ignores_stays_ignored(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = Stop()
    stop.install_handlers()
    signal.raise_signal(signal.SIGHUP)
    assert not stop.requested
    signal.raise_signal(signal.SIGTERM)
    assert stop.requested


def test_a_hangup_leaves_starting_children_alone(handlers):
    stop = Stop()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    stop.install_handlers()
    with children_ignore_signals():
        child = os.spawnv(os.P_NOWAIT, "/bin/sleep", ["sleep", "0.5"])
        os.kill(child, signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)  # waits for the end of the block, unless a thread of a library takes it
    deadline = time.monotonic() + 10
    while not stop.requested and time.monotonic() < deadline:  # such a thread may run later than this one
        time.sleep(0.01)
    assert stop.requested
    assert os.waitpid(child, 0)[1] == 0  # a hangup would have ended it


def test_a_late_hangup_leaves_the_exit_code(handlers):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    ignore_signals()
    signal.raise_signal(signal.SIGHUP)
