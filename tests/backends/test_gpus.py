"""GPUs that Ray counts on a machine without any: which units share one, and what happens if torch sees none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nodes import cluster_of_nodes

from sweeps.backends.base import train_unit
from sweeps.backends.ray_tune.gpu_sharing import share_of_gpu, with_larger_share
from sweeps.data.datasets import Loaded
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.provenance import provenance
from sweeps.plan.identity import key_of
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components
from sweeps.worker import run_unit
from sweeps.worker.memory_probe import measure_gpu_memory

GRID = """
name: shares
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2}
grid:
  - {method: [none, multi_decoder], resources.gpus: 0.5}
  - {family: gaussian_vae}
"""
SHARES = Path(__file__).parents[1] / "helpers" / "shares.py"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Return a function that runs a command on a cluster of one node, of five processors and one GPU that is made up.

    It takes a grid's text, and a function that makes the command from the grid's file and the cluster's address.
    Workers find the tests' helpers.
    """
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SHARES.parent), os.environ.get("PYTHONPATH", "")]))

    def run(text, command):
        (tmp_path / "grid.yaml").write_text(text)
        with cluster_of_nodes(1, cpus=5, gpus=1) as nodes:
            made = command(str(tmp_path / "grid.yaml"), nodes.address)
            return subprocess.run([sys.executable, *map(str, made)], capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.slow
def test_two_halves_share_a_gpu_beside_cpu_units(cluster, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    # A unit that waits for a GPU is one of the six.
    done = cluster(GRID, lambda grid, address: [SHARES, notes, grid, tmp_path, address, 6])
    assert done.returncode == 0, (done.stdout, done.stderr)
    noted = [json.loads(path.read_text()) for path in notes.glob("*.json")]
    assert len(noted) == 6
    on_gpu, on_cpu = ([note for note in noted if bool(note["gpus"]) is on] for on in (True, False))
    assert [note["given"] for note in on_gpu] == [["0"]] * 4
    assert [note["given"] for note in on_cpu] == [[]] * 2
    assert max(at_once(on_gpu, note["began"]) for note in noted) == 2
    assert max(at_once(noted, note["began"]) for note in noted) == 4


@pytest.mark.slow
def test_units_share_a_gpu_by_their_memory(cluster, tmp_path, monkeypatch):
    """A unit that runs out of memory is tried again with a larger share."""
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setenv("OUT_OF_MEMORY_BELOW", "0.5")
    grid = GRID.replace(", resources.gpus: 0.5", "")
    done = cluster(grid, lambda grid, address: [SHARES, notes, grid, tmp_path, address, 3, "auto"])
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert "vqvae 1 none: takes 10 of a GPU's 44 GB, so that 3 share one" in lines
    assert sum(line.startswith("out of memory on 0.3333 of a GPU, resumes later on 0.6666: ") for line in lines) == 6
    noted = [json.loads(path.read_text()) for path in notes.glob("*.json")]  # each unit's last attempt
    assert [note["gpus"] for note in noted] == [0.6666] * 6
    assert max(at_once(noted, note["began"]) for note in noted) == 1
    rows, _ = open_ledger(tmp_path, "shares").read()
    assert [row["resources.gpus"] for row in rows] == [0.6666] * 6
    assert open_ledger(tmp_path, "shares").units("failed") == frozenset()


@given(st.integers(1, 100))
def test_n_shares_fill_a_gpu(n):
    """As Ray counts, in ten-thousandths: n shares fit, one more does not."""
    assert sum([round(1e4 * share_of_gpu(n))] * n) <= 10_000
    assert sum([round(1e4 * share_of_gpu(n))] * (n + 1)) > 10_000 or n == 100


def test_the_share_is_no_part_of_a_unit(plan):
    unit = plan.units[0]
    shares = [unit.with_gpus(0.4)]
    while shares[-1].settings.resources.gpus < 1:
        shares.append(with_larger_share(shares[-1]))
    assert [u.settings.resources.gpus for u in shares] == [0.4, 0.8, 1.0]
    assert {(u.id, key_of(u.settings), u.settings.architecture) for u in shares} == {
        (unit.id, unit.key, unit.settings.architecture)
    }


def test_memory_is_measured_during_a_real_training(plan, digits, monkeypatch):
    """The training is real; the memory that the GPU reports is made up, since there may be no GPU."""
    steps = []
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: steps.append(self.defaults["lr"]))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60, 100))
    assert measure_gpu_memory(plan.units[0], Loaded(digits), "cpu") == (40, 100)
    assert steps == [0.001] * 2  # all that 27 images in batches of 16 give


@pytest.mark.parametrize(("gpus", "outcome"), [(0.0, "failed"), (0.25, "crowded"), (1.0, "failed")])
def test_only_units_that_share_a_gpu_are_crowded(gpus, outcome, plan, digits, ledger):
    """Out of memory on a whole GPU, or on the CPU, is a failure."""

    def out_of_memory(images, losses=None):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    unit = plan.units[0].with_gpus(gpus)
    assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", provenance(), out_of_memory) == outcome
    assert ledger.units("failed") == ({unit.id} if outcome == "failed" else frozenset())
    assert "CUDA out of memory" in ledger.storage.read(f"logs/{unit.name}.log").decode()


def test_inline_units_get_the_whole_gpu(tiny_file, tmp_path):
    asked = []

    def train(unit, *rest):
        asked.append(unit.settings.resources.gpus)
        return train_unit(unit.with_gpus(0.0), *rest)

    options = Options(str(tmp_path), inline=True)
    assert command(str(tiny_file), ["resources.gpus=0.25"], options, Components(run_unit=train)) == 0
    assert asked == [1.0] * 6


def test_a_failed_measurement_costs_only_the_sharing(plan, ray_session):
    """The worker that measures dies: the sweep continues, with a whole GPU for each unit of that shape."""
    from sweeps.backends.ray_tune.gpu_sharing import ray, share_by_memory

    dies = ray.remote(max_retries=0)(lambda: os._exit(1))
    lines = []
    assert share_by_memory(plan.units[0], dies.remote(), lines.extend) == 1.0
    assert len(lines) == 1 and lines[0].startswith("vqvae 1 none: gets a whole GPU, its memory could not be measured: ")


@pytest.mark.parametrize(("per_gpu", "says"), [("0", "not a number"), ("x", "not a number"), ("auto", "--inline")])
def test_a_bad_per_gpu_is_one_line(per_gpu, says, tiny_file, tmp_path, capsys):
    assert command(str(tiny_file), [], Options(str(tmp_path), inline=True, per_gpu=per_gpu)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--per-gpu" in line and says in line
    assert list(tmp_path.glob("tiny")) == []


def at_once(notes, moment):
    """Return how many units ran at that moment."""
    return sum(note["began"] <= moment < note["ended"] for note in notes)


@pytest.mark.slow
def test_a_gpu_unseen_by_torch_is_one_line(cluster, tmp_path):
    """It ends the command before the first trial."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = cluster(GRID, lambda grid, address: ["-m", "sweeps.run", grid, "--results", tmp_path, "--address", address])
    assert done.returncode == 2
    assert done.stderr == f"resources.gpus is 0.5, but torch sees no GPU on {os.uname().nodename}\n"
    assert not (tmp_path / "shares" / "failed").exists()
