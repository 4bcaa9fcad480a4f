"""A full disk and a read-only folder end a sweep with one line that names the file, and nothing good is lost.

The same command resumes once there is room. Both are real file systems.
"""

import contextlib
import os
import subprocess
import sys

import pytest
from records import rows_of

from sweeps.ledger.ledger import open_ledger

PLACEMENTS = [["--inline"], ["--workers", "2"]]


def mount(*arguments):
    """Run mount, or skip the test where it is not permitted."""
    try:
        done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """Mount a file system of 16 MB, and return its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "none", folder)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    """Fill all the space that is left with a file."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    assert os.statvfs(path).f_bavail == 0


def sweep(file, results, *arguments):
    command = [sys.executable, "-m", "sweeps.run", str(file), "--results", str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def table_of(printed):
    """Return the printed table, without the lines before it and those on time and folder behind it."""
    text = printed[printed.index("\ntiny\n") :]
    return text[: text.rindex("\n\n")]


@pytest.fixture
def whole(tiny_file, tmp_path):
    """Run the grid undisturbed. Return its printed table and its records."""
    done = sweep(tiny_file, tmp_path / "whole", "--inline")
    return table_of(done.stdout), rows_of(open_ledger(tmp_path / "whole", "tiny"))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_one_line_names_the_file(done, folder, why):
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith(f"cannot write {folder}/")
    assert done.stderr.rstrip().endswith(why)
    assert len(done.stderr.splitlines()) == 1


def assert_completes(tiny_file, results, placement, whole):
    done = sweep(tiny_file, results, *placement)
    assert (done.returncode, done.stderr) == (0, "")
    assert table_of(done.stdout) == whole[0]
    assert rows_of(open_ledger(results, "tiny")) == whole[1]
    assert [name for name in files(results) if name.endswith(".tmp")] == []


@pytest.mark.slow
@pytest.mark.parametrize("placement", PLACEMENTS, ids=" ".join)
def test_a_disk_that_is_full_from_the_start(tiny_file, disk, whole, placement):
    """A sweep with a done unit on a full disk keeps all its files, and completes once there is room."""
    assert sweep(tiny_file, disk, "--only", "vqvae 1 none, fold 0").returncode == 0
    before = files(disk)
    fill(disk / "filler")
    assert_one_line_names_the_file(sweep(tiny_file, disk, *placement), disk / "tiny", "No space left on device")
    (disk / "filler").unlink()
    assert {name: data for name, data in files(disk).items() if not name.startswith("tiny/logs")} == {
        name: data for name, data in before.items() if not name.startswith("tiny/logs")
    }
    assert_completes(tiny_file, disk, placement, whole)


@pytest.mark.slow
@pytest.mark.parametrize("placement", PLACEMENTS, ids=" ".join)
def test_a_disk_that_fills_on_the_way(tiny_file, disk, whole, placement):
    """A disk has room for every unit except the one with the largest model; every finished unit is whole.

    Which units two workers finish before the disk is full depends on their speed.
    """
    assert sweep(tiny_file, disk, "--only", "vqvae 1 none, fold 0").returncode == 0
    (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - 3_000_000))
    done = sweep(tiny_file, disk, *placement)
    assert_one_line_names_the_file(done, disk / "tiny", "No space left on device")
    rows = rows_of(open_ledger(disk, "tiny"))  # asserts that none is damaged
    assert 1 <= len(rows) < 6
    assert rows.items() <= whole[1].items()
    assert [name for name in files(disk) if name.endswith(".tmp")] == []
    (disk / "filler").unlink()
    assert_completes(tiny_file, disk, placement, whole)


@pytest.mark.slow
def test_a_redo_on_a_full_disk(tiny_file, disk, whole):
    """All old results stay, and the same command redoes all units once there is room."""
    assert sweep(tiny_file, disk, "--inline").returncode == 0
    before = {name: data for name, data in files(disk).items() if name.startswith("tiny/units/")}
    fill(disk / "filler")
    done = sweep(tiny_file, disk, "--inline", "--redo", "*")
    assert_one_line_names_the_file(done, disk / "tiny", "No space left on device")
    (disk / "filler").unlink()
    assert {name: data for name, data in files(disk).items() if name.startswith("tiny/units/")} == before
    done = sweep(tiny_file, disk, "--inline", "--redo", "*")
    assert (done.returncode, done.stdout.count("] done: ")) == (0, 6)
    assert rows_of(open_ledger(disk, "tiny")) == whole[1]


@pytest.mark.slow
@pytest.mark.parametrize("placement", PLACEMENTS, ids=" ".join)
def test_a_read_only_folder(tiny_file, disk, whole, placement):
    """Runs and redos end with 2 and change nothing, `--status` works, and a complete sweep prints its table."""
    assert sweep(tiny_file, disk, "--only", "vqvae 1 none, fold 0").returncode == 0
    before = files(disk)
    mount("-o", "remount,ro", disk)
    assert_one_line_names_the_file(sweep(tiny_file, disk, *placement), disk / "tiny", "Read-only file system")
    done = sweep(tiny_file, disk, "--inline", "--redo", "*")
    assert_one_line_names_the_file(done, disk / "tiny", "Read-only file system")
    assert files(disk) == before
    assert sweep(tiny_file, disk, "--status").returncode == 0
    mount("-o", "remount,rw", disk)
    assert_completes(tiny_file, disk, placement, whole)
    mount("-o", "remount,ro", disk)
    done = sweep(tiny_file, disk, *placement)  # nothing must be written, so the table is printed
    assert (done.returncode, done.stderr) == (0, "")
    assert table_of("\n" + done.stdout) == whole[0]
