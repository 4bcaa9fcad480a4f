"""Projected hours are exact where every model was measured; the page says where a model was not."""

from pathlib import Path

import projection
import pytest

from sweeps.config import grid
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan

ROOT = Path(__file__).parents[1]


def plan_of(name, *overrides):
    return Plan(grid.load(name, overrides), frozenset(), frozenset())


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_measured_sweep_is_projected_exactly():
    """The grid of results/digits, projected from its own ledger, takes the seconds that its units took."""
    found = {}
    projection.add_speeds(found, ROOT / "results" / "digits")
    lines = projection.rows(plan_of("grid_digits.yaml"), found, workers=2)
    seconds = sum(row["seconds"] for row in open_ledger(ROOT / "results", "digits").read("units", ["seconds"])[0])
    assert float(cells(lines[-3])[-1]) == pytest.approx(seconds / 3600, abs=0.06)
    assert {cells(line)[-2] for line in lines[2:-3]} == {"measured"}
    assert f"{seconds / 2 / 3600:,.1f} hours" in lines[-1]


def test_unmeasured_models_are_projected_by_operations():
    """A larger model takes the operations per second of its nearest relative; an unmeasured precision has no hours."""
    found = {}
    projection.add_speeds(found, ROOT / "results" / "digits")

    def lines(*overrides):
        page = projection.rows(plan_of("grid_digits.yaml", *overrides), found, 1)
        return [cells(line) for line in page[2:-3]]

    known, (larger, *_) = lines(), lines("family=vqvae", "model.hidden=[64, 128]")
    assert (known[0][-2], larger[-2]) == ("measured", "by operations")
    assert larger[4] in {row[4] for row in known if row[0].startswith("vqvae")}  # operations per second
    assert float(larger[3].replace(",", "")) < float(known[0][3].replace(",", ""))  # images per second
    assert lines("training.precision=bf16")[0][-2:] == ["no model of its family was run", "nan"]
