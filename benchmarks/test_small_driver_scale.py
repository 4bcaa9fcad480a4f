"""The benchmark of a driver at a small size."""

import driver_scale
import pytest


@pytest.mark.slow
def test_hundreds_of_units_through_the_real_driver_are_each_done_once_and_cost_it_little(tmp_path):
    """Training replaced by its recorded time: see benchmarks/driver_scale.md for 10,080 units."""
    found = driver_scale.measured(tmp_path, seeds=3, workers=4, seconds=0.1)
    assert found["units"] == 270
    assert found["driver, second half: CPU ms per unit"] < 60  # measured: 10
    assert found["driver, at the last unit: MB"] - found["driver, at the first unit: MB"] < 270 * 0.05  # measured: 0.02
