"""Paths on the command line that lead nowhere: one line, exit code 2, and nothing written in another place."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from sweeps.ledger.ledger import open_ledger
from sweeps.report.__main__ import main as report_main
from sweeps.run.__main__ import main

app, report_app = typer.Typer(), typer.Typer()
app.command()(main)
report_app.command()(report_main)
BYTES = os.fsdecode(b"r\xff")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Make an empty folder the current one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def refused(app, arguments):
    """Check that the command ends with 2 and prints nothing. Return its one line on stderr."""
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    return line


@pytest.mark.parametrize("more", [[], ["--status"], ["--dry-run"]])
@pytest.mark.parametrize("option", ["results", "tensorboard"])
def test_an_unset_variable_is_no_folder(tiny_file, here, option, more):
    line = refused(app, [str(tiny_file), "--inline", f"--{option}", "", *more])
    assert line == f"--{option} is empty: is a variable not set?"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("option", ["results", "export", "curves", "tensorboard"])
def test_a_report_takes_no_unset_variable(here, option):
    assert refused(report_app, [f"--{option}", ""]) == f"--{option} is empty: is a variable not set?"
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (BYTES, r"/here/r\udcff: not UTF-8; rename it, or link to it by another name"),
        (
            "~nobody-of-this-name/r",
            "~nobody-of-this-name/r: Could not determine home directory; give the path from / on",
        ),
    ],
    ids=["bytes", "nobody"],
)
def test_a_results_path_that_cannot_be(tiny_file, here, path, why):
    assert refused(app, [str(tiny_file), "--inline", "--results", path]).endswith(why)
    assert refused(report_app, ["--results", path]).endswith(why)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("path", ["s3://", "s3:///results"])
def test_a_bucket_without_a_name(tiny_file, here, path):
    for line in (
        refused(app, [str(tiny_file), "--status", "--results", path]),
        refused(report_app, ["--results", path]),
    ):
        assert line.startswith("not a results folder: ")


def test_an_unset_variable_is_no_value(tiny_file, here):
    """It would count as null: for data.root the current folder, for data.limit all images."""
    for path in ("data.root", "data.limit", "training.epochs"):
        said = refused(app, [str(tiny_file), "--status", "--set", f"{path}="])
        assert said == f"--set {path}=: {path} is empty: is a variable not set? (write null for no value)"
    said = refused(app, [str(tiny_file), "--status", "--set", "data.root=''"])
    assert said == "--set data.root='': data.root is ''; it must be a path, or null for the current folder"


def test_a_file_in_place_of_a_folder(tiny_file, here):
    """It is one line, also if the file is in the place of a folder of the ledger."""
    folder = here / "results" / "tiny"
    folder.mkdir(parents=True)
    (folder / "grid.yaml").touch()
    assert refused(report_app, ["--results", str(tiny_file)]) == f"cannot read {tiny_file}: Not a directory"
    for sweep in ("tiny", "none"):
        assert refused(report_app, [sweep, "--results", str(tiny_file)]) == f"cannot read {tiny_file}: Not a directory"
    for name in ("failed", "units"):
        (folder / name).write_text("a note")
        line = f"cannot read {folder / name}: Not a directory"
        assert refused(app, [str(tiny_file), "--inline"]) == line
        assert refused(app, [str(tiny_file), "--status"]) == line
        assert refused(report_app, ["tiny"]) == line
        (folder / name).unlink()


def test_a_current_folder_of_bytes(tiny_file, here, monkeypatch):
    (here / BYTES).mkdir()
    monkeypatch.chdir(here / BYTES)
    assert refused(app, [str(tiny_file), "--inline"]).endswith(
        r"/r\udcff/results: not UTF-8; rename it, or link to it by "
        "another name"
    )


def test_a_grid_may_have_any_name(tiny_file, here):
    (here / BYTES).write_bytes(tiny_file.read_bytes())
    assert CliRunner().invoke(app, [BYTES, "--status"]).exit_code == 0
    assert r"x\udcff: no such file" in refused(app, [os.fsdecode(b"x\xff"), "--status"])


def test_files_of_any_name_stand_among_the_results(tiny_file, here):
    (here / BYTES / "units").mkdir(parents=True)
    (here / "tiny" / "units").mkdir(parents=True)
    (here / "tiny" / "units" / BYTES).touch()
    assert CliRunner().invoke(app, [str(tiny_file), "--status", "--results", str(here)]).exit_code == 0
    assert refused(report_app, ["--results", str(here)]) == f"{here}: no sweep here"


def test_relative_paths_need_a_current_folder(tiny_file, here, tmp_path):
    here.rmdir()
    whole = ["--results", str(tmp_path / "results")]
    gone = ": the current folder is gone; give the path from / on"
    assert refused(app, [str(tiny_file), "--inline"]) == f"results{gone}"
    assert refused(app, [str(tiny_file), "--inline", *whole, "--tensorboard", "tb"]) == f"tb{gone}"
    assert refused(app, [str(tiny_file), *whole, "--set", "data.dataset=mnist", "--set", "data.root=x"]) == f"x{gone}"
    assert refused(report_app, []) == f"results{gone}"
    assert refused(report_app, [*whole, "--export", "x.csv"]) == f"x.csv{gone}"
    assert not (tmp_path / "results").exists()


def test_whole_paths_need_no_current_folder(tiny_file, here, tmp_path):
    """Torch's libraries end a process whose current folder is gone."""
    command = f"rmdir {here}; {sys.executable} -m sweeps.run {tiny_file} --inline --results {tmp_path}"
    found = os.pathsep.join(
        filter(None, [os.path.dirname(os.path.dirname(os.path.dirname(__file__))), os.environ.get("PYTHONPATH")])
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": found})
    assert (done.returncode, done.stderr) == (0, "the current folder is gone; this command continues in /\n")
    assert len(open_ledger(tmp_path, "tiny").units()) == 6
