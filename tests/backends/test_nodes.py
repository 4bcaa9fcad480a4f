"""Nodes of a Ray cluster that die while their units run, leave, and join."""

import subprocess
import sys

import pytest
from disturbance import (
    adopting,
    descendants,
    orphans,
    temporary_files,
    wait_for_a_new_checkpoint,
)
from nodes import cluster_of_nodes
from records import rows_without_intervals

from sweeps.ledger.ledger import open_ledger

GRID = """
name: nodes
data: {dataset: digits}
folds: {n_splits: 2}
training: {epochs: 60, batch_size: 64, checkpoint_seconds: 0.2}
grid: [{method: single_decoder}]
"""


class Sweep:
    """Runs a grid twice: undisturbed in this process as `whole`, and on a cluster's nodes as `hurt`."""

    def __init__(self, folder):
        file = folder / "nodes.yaml"
        file.write_text(GRID)
        self.command = [sys.executable, "-m", "sweeps.run", str(file), "--results"]
        self.folder, self.checkpoints = folder / "hurt", folder / "hurt" / "nodes" / "checkpoints"
        subprocess.run([*self.command, str(folder / "whole"), "--inline"], check=True, capture_output=True)
        self.hurt, self.whole = open_ledger(self.folder, "nodes"), open_ledger(folder / "whole", "nodes")

    def start(self, nodes):
        command = [*self.command, str(self.folder), "--address", nodes.address, "--workers", "2"]
        self.driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_for_checkpoints(self, n):
        while self.driver.poll() is None and len(list(self.checkpoints.glob("*.pt"))) < n:
            wait_for_a_new_checkpoint(self.driver, self.checkpoints)

    def assert_ends_from_the_middle(self):
        assert self.hurt.units() == frozenset()
        out, err = self.driver.communicate(timeout=300)
        assert self.driver.returncode == 0, (out, err)

    def assert_is_as_undisturbed(self):
        assert len(self.hurt.units()) == 2
        assert rows_without_intervals(self.hurt) == rows_without_intervals(self.whole)
        assert sorted(row["resumed"] for row in self.hurt.read()[0]) == [0, 1]
        assert temporary_files(self.hurt) == []


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    return Sweep(tmp_path)


@pytest.mark.slow
def test_a_killed_nodes_unit_resumes_elsewhere(sweep):
    """One unit runs on each of two nodes, and one node's raylet is killed; both units end on the other.

    The images have 460 kB, so that Ray keeps them in its object store.
    """
    before = descendants()
    with adopting():
        with cluster_of_nodes(2) as nodes:
            sweep.start(nodes)
            sweep.wait_for_checkpoints(2)
            nodes.kill()
            sweep.assert_ends_from_the_middle()
        assert orphans(before) == {}
    sweep.assert_is_as_undisturbed()


@pytest.mark.slow
def test_a_sweep_survives_nodes_that_join_and_leave(sweep):
    """Two workers on a cluster of one node: the second starts when another node joins.

    When the first node leaves, its unit resumes on the other.
    """
    with cluster_of_nodes(1) as nodes:
        sweep.start(nodes)
        wait_for_a_new_checkpoint(sweep.driver, sweep.checkpoints)
        assert len(list(sweep.checkpoints.glob("*.pt"))) == 1
        nodes.add()
        sweep.wait_for_checkpoints(2)
        nodes.remove()
        sweep.assert_ends_from_the_middle()
    sweep.assert_is_as_undisturbed()
