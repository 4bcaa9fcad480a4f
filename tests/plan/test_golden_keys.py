"""The keys of every shipped grid are those of the first version, so that the done work of any ledger stays done."""

import json
from pathlib import Path

import pytest

from sweeps.config import grid
from sweeps.plan.identity import key_of

GOLDEN = json.loads(Path(__file__).with_name("golden_keys.json").read_text())


@pytest.mark.parametrize("name", sorted(path.name for path in grid.SHIPPED.glob("*.yaml")))
def test_a_shipped_grids_keys_stay(name):
    """A new grid gets a new line in the golden file; an existing line never changes."""
    assert [key_of(row) for row in grid.load(name).rows] == GOLDEN[name]
