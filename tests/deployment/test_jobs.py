"""The commands of docker/README.md for `ray job submit` work on a real head of this machine that asks for a token."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from grids import TINY

from sweeps.ledger.ledger import open_ledger

pytest.importorskip("aiohttp_cors", reason="ray[default] is not installed")
pytestmark = pytest.mark.slow

README = (Path(__file__).parents[2] / "docker" / "README.md").read_text()
LINES = re.findall(r"^    (.+)", README.split("\n## `ray job submit`")[1].split("\n## ")[0], re.M)
FEW, MANY = TINY, TINY.replace("epochs: 2", "epochs: 80, checkpoint_seconds: 1")


def line(*words):
    """Return the README's line that begins with the words."""
    (found,) = (text for text in LINES if text.startswith(" ".join(words)))
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Head:
    """The surroundings of a head that is started as the README says: a home, a working folder, and shells in it."""

    def __init__(self, folder):
        self.home, self.work = Path(folder, "home"), Path(folder, "work")
        self.home.mkdir()
        self.work.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            "HOME": str(self.home),  # holds the token
            "PATH": path,
            "RAY_API_SERVER_ADDRESS": self.url,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # lets a lone head listen on loopback
        }

    def shell(self, command, **environment):
        script = f"{line('export')}\n{command}"
        return subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.work,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command, expected=0, **environment):
        """Run a command in a shell, check its exit code, and return its output."""
        process = self.shell(command, **environment)
        out, _ = process.communicate(timeout=300)
        assert process.returncode == expected, out
        return out

    def is_up(self):
        """Return whether the job server answers."""
        with contextlib.suppress(AssertionError):
            return "No jobs" in self.run("ray job list") or True
        return False


@pytest.fixture(scope="module")
def head():
    """Start a head by the README's lines, and stop it after the tests."""
    # The folder's path must be short, because it holds sockets.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        head = Head(folder)
        head.run(line("(umask"))
        ports = {"--dashboard-port": head.url.rpartition(":")[2]}
        ports |= {f"--{name}": str(free_port()) for name in ("port", "dashboard-agent-listen-port")}
        own = " ".join(f"{name} {port}" for name, port in ports.items())
        start = f"{line('ray start --head')} {own} --temp-dir {folder}/r --num-cpus 2 --block"
        process = head.shell(f"exec {start}")
        try:
            deadline = time.monotonic() + 120
            while not head.is_up():
                assert process.poll() is None and time.monotonic() < deadline
            yield head
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def prepare(head, grid):
    """Write the grid file where the README's submission expects it, and remove the results."""
    (head.work / "grid.yaml").write_text(grid)
    shutil.rmtree(head.work / "results", ignore_errors=True)


def test_a_job_is_submitted_stopped_and_resumed(head):
    """Every line of the README works in turn; the second submission trains only what the first one left."""
    prepare(head, MANY)
    units, ledger = head.work / "results/tiny/units", open_ledger(head.work / "results", "tiny")
    first = head.shell(line("ray job submit"))
    wait_for(first, lambda: list(units.glob("*.parquet")))
    assert "RUNNING" in head.run(line("ray job status"))
    head.run(line("ray job stop"))
    first.communicate(timeout=60)
    log = head.run(line("ray job logs"))
    assert re.search(r"of 6 units done(, \d running units? saved)?; the same command resumes the sweep: python -m", log)
    done = {path.name: path.stat().st_mtime_ns for path in units.iterdir()}
    assert 0 < len(done) < 6
    assert ledger.storage.names("checkpoints")
    assert [name for name in ledger.storage.names("") if name.endswith(".tmp")] == []
    again = head.run(line("ray job submit").replace("sweep-1", "sweep-2"))
    assert "succeeded" in again
    assert again.count("done: ") == 6 - len(done)
    assert "\nfamily " in again and "gaussian_vae" in again  # the table
    assert len(ledger.units()) == 6
    assert done.items() <= {path.name: path.stat().st_mtime_ns for path in units.iterdir()}.items()


def wait_for(process, happened):
    """Wait until `happened()` is true, at most two minutes, while the process runs."""
    deadline = time.monotonic() + 120
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)


def test_nobody_submits_without_the_token(head, tmp_path):
    """The job server refuses requests without the token and with a wrong one; only its owner can read the file."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{head.url}/api/jobs/")
    assert refused.value.code == 401
    listing = head.run("ray job list", 1, RAY_AUTH_TOKEN="0" * 64)
    assert "Invalid authentication token" in listing
    assert stat_mode(head.home / ".ray/auth_token") == 0o600


def stat_mode(path):
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("code", [1, 75])
def test_failed_and_stopped_drivers_are_failed_jobs(head, code):
    """A driver that ends with 1 or 75 is a failed job, whose log says the exit code and what to do."""
    diverging = re.sub("^grid:", "training.lr: 1.0e+30\ngrid:", FEW, flags=re.M)
    prepare(head, diverging if code == 1 else MANY)
    name = f"code-{code}"
    job = head.shell(line("ray job submit").replace("sweep-1", name))
    if code == 75:
        wait_for(job, lambda: list((head.work / "results/tiny/units").glob("*.parquet")))
        os.kill(driver_of(head, name), signal.SIGTERM)
    out, _ = job.communicate(timeout=300)
    assert job.returncode == 1
    assert f"exit code {code}" in out
    said = "--retry trains them again" if code == 1 else "the same command resumes the sweep"
    assert said in out
    assert f"Job '{name}' failed" in head.run(f"ray job status {name}")


def driver_of(head, name):
    """Return the process number of a job's driver."""
    code = f"from ray.job_submission import JobSubmissionClient as C; print(C().get_job_info({name!r}).driver_info.pid)"
    return int(head.run(f'python -c "{code}"').split()[-1])
