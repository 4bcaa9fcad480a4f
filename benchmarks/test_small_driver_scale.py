"""The benchmark of a driver runs at a small size."""

import driver_scale
import pytest


@pytest.mark.slow
def test_the_driver_runs_270_units_cheaply(tmp_path):
    """270 units, replaced by their recorded times, are each done once and cost the real driver little CPU and memory.

    benchmarks/driver_scale.md has 10,080 units.
    """
    found = driver_scale.measured(tmp_path, seeds=3, workers=4, seconds=0.1)
    assert found["units"] == 270
    assert found["driver, second half: CPU ms per unit"] < 60  # measured: 10
    grown = found["driver, at the last unit: MB"] - found["driver, at the first unit: MB"]
    assert grown < 20  # measured: 13.1 to 13.7; at 10,080 units it is 12 kB a unit
