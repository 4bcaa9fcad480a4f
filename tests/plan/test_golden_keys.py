"""The keys of every shipped grid are those of the first version, so that the done work of any ledger stays done."""

import json
from pathlib import Path

import pytest

from sweeps.config import grid
from sweeps.plan.plan import Plan
from sweeps.plan.unit import by_key

GOLDEN = json.loads(Path(__file__).with_name("golden_keys.json").read_text())


@pytest.mark.parametrize("name", sorted(path.name for path in grid.SHIPPED.glob("*.yaml")))
def test_a_shipped_grids_keys_stay(name):
    """A new grid gets a new line in the golden file; an existing line never changes. Later stages have keys too."""
    plan = Plan(grid.load(name), frozenset(), frozenset())
    assert [units[0].key for row in plan.rows for units in by_key(row)] == GOLDEN[name]
