"""A machine that lacks a folder which Ray needs: a private folder takes its place, or one line says what to do."""

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sweeps.backends.ray_tune import nodes, session, surroundings
from sweeps.backends.ray_tune.surroundings import ray_folder
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.temporary import temporary_name
from sweeps.plan.unit import PlacementError

TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Set a short folder for temporary files, and a home; both are removed after the test."""
    for name in ("RAY_TMPDIR", *TOKEN):
        monkeypatch.delenv(name, raising=False)
    with tempfile.TemporaryDirectory(prefix="m", dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setenv("HOME", folder)
        yield Path(folder)


def test_a_whole_machine_is_left_alone(machine, capsys):
    with ray_folder() as folder:
        assert folder is None
        assert "RAY_AUTH_TOKEN_PATH" not in os.environ
        assert (machine / ".ray").is_dir()
    assert capsys.readouterr().out == ""
    assert (machine / "ray").is_dir()


def test_an_empty_name_of_a_token_is_none(monkeypatch, capsys):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")
    with ray_folder() as folder:
        assert folder is None
    assert capsys.readouterr().out == ""


def another_users(machine, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (machine / "ray").mkdir()
    os.chown(machine / "ray", 65534, 65534)


def full(machine, monkeypatch):
    real = shutil.disk_usage
    monkeypatch.setattr(
        shutil, "disk_usage", lambda at: real(at)._replace(free=0) if str(at).startswith(f"{machine}/ray") else real(at)
    )


def over_quota(machine, monkeypatch):
    """Let the disk report free space, but refuse to be written to."""
    real = tempfile.TemporaryFile

    def opened(*arguments, dir=None, **named):
        if str(dir) == f"{machine}/ray":
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        return real(*arguments, dir=dir, **named)

    monkeypatch.setattr(tempfile, "TemporaryFile", opened)


def temporary(path):
    return lambda machine, monkeypatch: monkeypatch.setenv("TMPDIR", str(path))


TEMPORARY = {
    "its path is long": (lambda m, patch: patch.setenv("TMPDIR", f"{m}/{'x' * 60}"), "too long for Ray's sockets"),
    "ray is a file": (lambda m, _: (m / "ray").touch(), "File exists"),
    "it cannot be written": (temporary("/proc"), "TMPDIR is '/proc': No such file or directory"),
    "it cannot be made": (temporary("/proc/none"), "TMPDIR is '/proc/none': No such file or directory"),
    "it is empty": (temporary(""), "TMPDIR is '': not an absolute path"),
    "it is relative": (temporary("tmp"), "TMPDIR is 'tmp': not an absolute path"),
    "it is bytes": (temporary(os.fsdecode(b"/tmp/\xff")), r"TMPDIR is '/tmp/\udcff': not UTF-8"),
    "ray has its own": (lambda m, patch: patch.setenv("RAY_TMPDIR", "/proc"), "RAY_TMPDIR is '/proc': "),
    "another user was first": (another_users, "the folder ray in it belongs to another user"),
    "it is full": (full, "less than 16 MB are free"),
    "a quota is used up": (over_quota, "quota exceeded"),
}


@pytest.mark.parametrize(("spoil", "why"), TEMPORARY.values(), ids=TEMPORARY)
def test_a_private_folder_serves_for_temporary_files(machine, monkeypatch, capsys, spoil, why):
    spoil(machine, monkeypatch)
    with ray_folder() as folder:
        private = Path(folder).parent
        assert private.stat().st_mode & 0o777 == 0o700
        assert len(f"{folder}/{surroundings.LONGEST_SOCKET}") <= surroundings.MAX_SOCKET_PATH
        assert Path(folder).is_dir()
    assert not private.exists()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"Ray uses {private} until the sweep ends: ")
    assert why in line


def no_home(machine, monkeypatch):
    """Have no home folder, as a user without an entry in /etc/passwd."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)


def token_of(content):
    def spoil(machine, monkeypatch):
        (machine / ".ray").mkdir()
        (machine / ".ray" / "auth_token").write_bytes(content)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda machine, patch: patch.setenv("HOME", "/proc/none"),
        lambda machine, patch: (machine / ".ray").touch(),
        lambda machine, patch: (machine / ".ray" / "auth_token").mkdir(parents=True),
        no_home,
        token_of(b"\n"),
        token_of(b"\xff\xfe"),
    ],
    ids=["unwritable", "a file", "a folder", "none", "empty", "no text"],
)
def test_a_private_folder_serves_for_the_token(machine, monkeypatch, capsys, spoil):
    spoil(machine, monkeypatch)
    with ray_folder() as folder:
        assert folder is None  # Ray's own is of use
        token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
        assert token.stat().st_mode & 0o777 == 0o600
        assert len(token.read_text()) == 64
    assert not token.parent.exists()
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(("name", "value"), [("RAY_AUTH_TOKEN", "secret"), ("RAY_AUTH_MODE", "disabled")])
def test_a_token_that_ray_has_needs_no_home(monkeypatch, capsys, name, value):
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.setenv(name, value)
    with ray_folder():
        assert "RAY_AUTH_TOKEN_PATH" not in os.environ
    assert capsys.readouterr().out == ""


def test_a_named_token_must_exist(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/proc/none")
    with (
        pytest.raises(PlacementError, match=r"/proc/none: No such file.*; mend or unset RAY_AUTH_TOKEN_PATH"),
        ray_folder(),
    ):
        pass
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == "/proc/none"


def test_without_any_place_every_reason_is_said(machine, monkeypatch):
    monkeypatch.setattr(surroundings, "PLACES", ("/proc",))
    monkeypatch.setenv("TMPDIR", "/proc/none")
    with (
        pytest.raises(PlacementError, match=r"set TMPDIR to a short path with room \(/proc/none: .*; /proc: "),
        ray_folder(),
    ):
        pass


def test_what_killed_drivers_left_is_removed(machine, monkeypatch):
    for pid in (2**22 + 1, os.getpid()):  # one above Linux's largest process number
        folder = machine / f"sweeps-ray-{pid}"
        folder.mkdir()
        (folder / f"driver.{socket.gethostname()}-{pid}-00.tmp").touch()
    (machine / "ray").touch()
    with ray_folder():
        assert (machine / f"sweeps-ray-{os.getpid()}").exists()
        assert not (machine / f"sweeps-ray-{2**22 + 1}").exists()
    assert temporary_name("driver").startswith(f"driver.{socket.gethostname()}-{os.getpid()}-")


@pytest.mark.parametrize("error", [RuntimeError("no\nroom"), SystemExit(1), OSError(errno.EMFILE, "Too many files")])
def test_a_ray_that_cannot_start_is_one_line(plan, monkeypatch, error):
    def init(**options):
        raise error

    monkeypatch.setattr(session.ray, "init", init)
    with pytest.raises(PlacementError, match=r"^Ray cannot start on this machine; --inline needs no Ray: .+$"):
        session.start(plan.units, 1, None)


def test_a_stop_while_ray_starts_is_a_stop(plan, monkeypatch):
    """Ray's own handler of SIGTERM exits while Ray starts."""

    def init(**options):
        sys.exit(signal.SIGTERM)

    monkeypatch.setattr(session.ray, "init", init)
    with pytest.raises(KeyboardInterrupt):
        session.start(plan.units, 1, None)


def test_a_cluster_with_another_token_is_one_line(monkeypatch):
    def init(**options):
        raise nodes.ray.exceptions.AuthenticationError("no token")

    monkeypatch.setattr(nodes.ray, "init", init)
    with pytest.raises(PlacementError, match="cannot use a Ray cluster at auto: no token"):
        nodes.connect("auto")


def test_a_current_folder_must_be_utf8(tmp_path, monkeypatch):
    there = tmp_path / os.fsdecode(b"\xff")
    there.mkdir()
    monkeypatch.chdir(there)
    refused = pytest.raises(PlacementError, match="not UTF-8, which Ray needs; run from another folder, or with --inl")
    with refused, ray_folder():
        pass


def test_a_sweep_runs_where_everything_is_missing(tiny_file, tmp_path, machine):
    """A long TMPDIR, no home, no current folder, and a reader that takes only the first lines of output."""
    gone = tmp_path / "gone"
    gone.mkdir()
    tiny_file.write_text(tiny_file.read_text().replace("method: [none, single_decoder]", "method: none"))
    command = f"rmdir {gone}; {sys.executable} -m sweeps.run {tiny_file} --workers 1 --results {tmp_path} | head -2"
    environment = os.environ | {"TMPDIR": str(tmp_path / ("x" * 60)), "HOME": "/proc/none"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=gone, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "the current folder is gone; this command continues in /\n"
    first, ray = done.stdout.splitlines()
    assert first == "tiny: 4 units to train; starting Ray with 1 worker"
    private, _, why = ray.removeprefix("Ray uses ").partition(" until the sweep ends: ")
    assert Path(private).is_absolute()
    assert "too long for Ray's sockets; the token of Ray's ports, /proc/none/.ray/auth_token: No such file" in why
    assert not Path(private).exists()
    ledger = open_ledger(tmp_path, "tiny")
    assert (len(ledger.units()), len(ledger.units("failed"))) == (4, 0)
