"""Nodes of a Ray cluster that die under their units, leave, and join."""

import subprocess
import sys

import pytest
from disturbance import (
    adopting,
    descendants,
    orphans,
    rows_of_both,
    temporary_files,
    wait_for_a_new_checkpoint,
)
from nodes import cluster_of_nodes

from sweeps.ledger import open_ledger

GRID = """
name: nodes
data: {dataset: digits}
folds: {n_splits: 2}
training: {epochs: 60, batch_size: 64, checkpoint_seconds: 0.2}
grid: [{method: single_decoder}]
"""


@pytest.mark.slow
def test_a_node_killed_under_its_unit_costs_what_the_unit_did_since_its_checkpoint(tmp_path, monkeypatch):
    """All images (460 kB: in the object store, not inline), one unit on each of two nodes, and one node's raylet
    killed; the other ends both."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    file = tmp_path / "nodes.yaml"
    file.write_text(GRID)
    command = [sys.executable, "-m", "sweeps.run", str(file), "--results"]
    subprocess.run([*command, str(tmp_path / "whole"), "--inline"], check=True, capture_output=True)
    hurt, whole = open_ledger(tmp_path / "hurt", "nodes"), open_ledger(tmp_path / "whole", "nodes")
    before = descendants()
    with adopting():
        with cluster_of_nodes(2) as nodes:
            placement = ["--address", nodes.address, "--workers", "2"]
            driver = subprocess.Popen(
                [*command, str(tmp_path / "hurt"), *placement], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            checkpoints = tmp_path / "hurt" / "nodes" / "checkpoints"
            while driver.poll() is None and len(list(checkpoints.glob("*.pt"))) < 2:
                wait_for_a_new_checkpoint(driver, checkpoints)
            nodes.kill()
            assert hurt.units() == frozenset()  # both were in the middle
            out, err = driver.communicate(timeout=300)
            assert driver.returncode == 0, (out, err)
        assert orphans(before) == {}
    assert len(hurt.units()) == 2
    assert rows_of_both(hurt) == rows_of_both(whole)
    assert sorted(row["resumed"] for row in hurt.read()[0]) == [0, 1]
    assert temporary_files(hurt) == []


@pytest.mark.slow
def test_a_sweep_goes_on_when_a_node_joins_and_another_leaves(tmp_path, monkeypatch):
    """Two workers on a cluster of one node: the second begins when another node joins, and when the first node leaves
    its unit goes on there."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    file = tmp_path / "nodes.yaml"
    file.write_text(GRID)
    command = [sys.executable, "-m", "sweeps.run", str(file), "--results"]
    subprocess.run([*command, str(tmp_path / "whole"), "--inline"], check=True, capture_output=True)
    moved, whole = open_ledger(tmp_path / "moved", "nodes"), open_ledger(tmp_path / "whole", "nodes")
    with cluster_of_nodes(1) as nodes:
        placement = ["--address", nodes.address, "--workers", "2"]
        driver = subprocess.Popen(
            [*command, str(tmp_path / "moved"), *placement], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        checkpoints = tmp_path / "moved" / "nodes" / "checkpoints"
        wait_for_a_new_checkpoint(driver, checkpoints)
        assert len(list(checkpoints.glob("*.pt"))) == 1
        nodes.add()
        while driver.poll() is None and len(list(checkpoints.glob("*.pt"))) < 2:
            wait_for_a_new_checkpoint(driver, checkpoints)
        nodes.remove()
        assert moved.units() == frozenset()  # both were in the middle
        out, err = driver.communicate(timeout=300)
        assert driver.returncode == 0, (out, err)
    assert rows_of_both(moved) == rows_of_both(whole)
    assert sorted(row["resumed"] for row in moved.read()[0]) == [0, 1]
    assert temporary_files(moved) == []
