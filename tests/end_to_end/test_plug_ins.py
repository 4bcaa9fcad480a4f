"""A plug-in of one file runs through the commands, down to a cell of the table. Nothing is patched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUG_INS = Path(__file__).parents[1] / "helpers" / "plug_ins"

GRID = """
name: toys
data: {{dataset: "{dataset}", limit: 60}}
folds: {{n_splits: 2}}
training: {{epochs: 2, batch_size: 16}}
grid:
  - {{family: "{family}", method: [none, "{method}"]}}
"""
OURS = {"dataset": "digits", "family": "autoencoder", "method": "single_decoder"}


def sweeps(module, *arguments, plug_ins=True):
    """Run a command in a process of its own, which may import the plug-ins or not."""
    path = os.pathsep.join([str(PLUG_INS)] * plug_ins + [os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", f"sweeps.{module}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})


def records(results):
    """Return the table's records, read without the plug-ins."""
    done = sweeps("report", "toys", "--results", results, "--format", "json", plug_ins=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]["rows"]


@pytest.fixture
def run(tmp_path):
    """Return a function that trains a grid with a plug-in, and returns the printed table and the results folder."""

    def command(*arguments, **toy):
        (tmp_path / "toys.yaml").write_text(GRID.format(**OURS | toy))
        done = sweeps("run", tmp_path / "toys.yaml", "--results", tmp_path / "results", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout, tmp_path / "results"

    return command


@pytest.mark.parametrize("how", [["--inline"], pytest.param(["--workers", "2"], marks=pytest.mark.slow)])
def test_a_toy_family_reaches_the_table(run, how):
    """The family's loss term is trained and kept in the history, its metrics are columns, and no report imports it."""
    shown, results = run(*how, family="toy_family:SMALL")
    head = next(line for line in shown.splitlines() if "unconditioned" in line and "folds" in line)
    assert "mean size" in head and "largest" in head
    assert "mean size: mean of |z| (toy_family:SMALL)" in shown
    plain = records(results)[0]
    assert plain["family"] == "toy_family:SMALL"
    assert plain["folds"] == 2 and 0 < plain["mean_size_mean"] < plain["largest_mean"]
    for arguments in (["--compact"], ["--export", results / "u.csv"], ["--curves", results / "c.csv"], ["--write"]):
        assert sweeps("report", "toys", "--results", results, *arguments, plug_ins=False).returncode == 0
    curves = (results / "c.csv").read_text().splitlines()
    assert "train_size" in curves[0] and len(curves) == 1 + 2 * 2 * 2
    assert "mean_size" in (results / "u.csv").read_text().splitlines()[0]
    assert records(results)[0] == plain


def test_a_toy_method_reaches_the_table(run):
    shown, results = run("--inline", method="toy_method:SHY")
    assert "†: the shy method's zero condition" in shown
    baseline, shy = records(results)
    assert shy["method"] == "toy_method:SHY"
    assert shy["conditioned_mean"] > 0 and baseline["conditioned_mean"] is None
    done = sweeps("report", "toys", "--results", results, "--show", "differences", plug_ins=False)
    assert "toy_method:SHY" in done.stdout and "no row of method none" not in done.stdout


def test_a_toy_data_set_reaches_the_table(run):
    shown, results = run("--inline", dataset="toy_data:BARS")
    assert "dataset toy_data:BARS" in shown
    assert {row["folds"] for row in records(results)} == {2}


def test_a_sweep_of_toys_resumes(run):
    """The same command finds the done units by keys that contain the plug-ins' names."""
    run("--inline", family="toy_family:SMALL", dataset="toy_data:BARS")
    shown, _ = run("--inline", "--status", family="toy_family:SMALL", dataset="toy_data:BARS")
    assert "4 of 4 units done" in shown


@pytest.mark.parametrize(
    ("toy", "why"),
    [
        ({"family": "toy_famly:SMALL"}, "ModuleNotFoundError: No module named 'toy_famly'"),
        ({"family": "toy_family:LARGE"}, "AttributeError: module 'toy_family' has no attribute 'LARGE'"),
        ({"family": "toy_method:SHY"}, "toy_method:SHY is a Method, not a Family"),
        ({"method": "shy"}, "one of none, head_only, conditioned, multi_decoder, single_decoder"),
    ],
)
def test_a_missing_plug_in_is_refused(tmp_path, toy, why):
    """The command ends with 2 and one line that holds the grid's line number, and writes nothing."""
    (tmp_path / "toys.yaml").write_text(GRID.format(**OURS | toy))
    done = sweeps("run", tmp_path / "toys.yaml", "--inline", "--results", tmp_path / "results")
    assert done.returncode == 2
    assert why in done.stderr and "line 7" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()
