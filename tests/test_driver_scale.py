"""A large sweep's driver: what it holds of each unit, the order it takes them in, and that each is done once."""

import subprocess
import sys
from pathlib import Path

import pytest

from sweeps import grid
from sweeps.job import Job
from sweeps.ledger import open_ledger
from sweeps.plan import Plan
from sweeps.progress import Progress
from sweeps.sharding import flops, longest_first
from sweeps.stopping import Stop

ROOT = Path(__file__).parents[1]
RESULTS = 20  # that each trial reports
ENOUGH = 20  # kB of Tune's that a trial may leave in the driver


def test_fold_by_fold_and_in_each_the_longest_first():
    units = Plan(grid.load("grid_vqvae.yaml"), frozenset(), frozenset()).units
    ordered = longest_first(units)
    assert sorted(unit.name for unit in ordered) == sorted(unit.name for unit in units)
    assert [unit.fold for unit in ordered] == sorted(unit.fold for unit in units)
    for before, after in zip(ordered, ordered[1:], strict=False):
        assert before.fold < after.fold or flops(before) >= flops(after)
