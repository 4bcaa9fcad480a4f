"""GPUs as Ray counts them, on a machine without: which units share one, and what is said where torch sees none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from nodes import cluster_of_nodes

GRID = """
name: shares
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2}
grid:
  - {method: [none, multi_decoder], resources.gpus: 0.5}
  - {family: gaussian_vae}
"""
SWEEP = [sys.executable, "-m", "sweeps.run"]
SHARES = [sys.executable, str(Path(__file__).with_name("shares.py"))]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A grid's text -> the command on a cluster of one node of five processors and one GPU that Ray believes in."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")

    def on_a_cluster(text, command, *arguments):
        (tmp_path / "grid.yaml").write_text(text)
        with cluster_of_nodes(1, cpus=5, gpus=1) as nodes:
            command = [*command, str(tmp_path / "grid.yaml"), "--results", str(tmp_path), "--address", nodes.address]
            return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)

    return on_a_cluster


@pytest.mark.slow
def test_two_halves_share_a_gpu_and_a_cpu_unit_runs_beside_them(run, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    done = run(GRID, [*SHARES, str(notes)], "--workers", "6")  # one that waits for a GPU is one of them
    assert done.returncode == 0, (done.stdout, done.stderr)
    noted = [json.loads(path.read_text()) for path in notes.glob("*.json")]
    assert len(noted) == 6
    on_gpu, on_cpu = ([note for note in noted if bool(note["gpus"]) is on] for on in (True, False))
    assert [note["given"] for note in on_gpu] == [["0"]] * 4
    assert [note["given"] for note in on_cpu] == [[]] * 2
    assert max(at_once(on_gpu, note["began"]) for note in noted) == 2
    assert max(at_once(noted, note["began"]) for note in noted) == 4


def at_once(notes, moment):
    """How many units ran then."""
    return sum(note["began"] <= moment < note["ended"] for note in notes)


@pytest.mark.slow
def test_a_gpu_that_torch_does_not_see_is_one_line_before_the_first_trial(run, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = run(GRID, SWEEP)
    assert done.returncode == 2
    assert done.stderr == f"resources.gpus is 0.5, but torch sees no GPU on {os.uname().nodename}\n"
    assert not (tmp_path / "shares" / "failed").exists()
