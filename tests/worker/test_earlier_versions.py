"""Files of earlier versions: kept models give their scores, and unfinished units start over and say so.

`first_version/` was written by commit 7a2edac, `second_version/` by 8fed788: each unit stopped after five steps, and
trained to its end beside it. Both had an optimizer of their own, and one weight for z and condition together.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from records import rows_of

from sweeps.config import grid
from sweeps.data.datasets import Loaded
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import key_of
from sweeps.plan.plan import Plan
from sweeps.stages.base import Inputs
from sweeps.stages.training import prepare, score
from sweeps.worker import run_unit
from sweeps.worker.checkpoint import device_kind


def units_of(version):
    """Return folder, unit and scores of every unit that a version trained."""
    folder = Path(__file__).with_name(version)
    scores = json.loads((folder / "scores.json").read_text())
    units = Plan(grid.load(str(folder / "grid.yaml")), frozenset(), frozenset()).units
    return [(folder, unit, scores[unit.name]) for unit in units if unit.name in scores]


UNITS = [*units_of("first_version"), *units_of("second_version")]
every_unit = pytest.mark.parametrize(
    ("folder", "unit", "scores"), UNITS, ids=[f"{folder.name} {unit.settings.family}" for folder, unit, _ in UNITS]
)


def test_there_are_two_units_of_each_version():
    """Their keys are those of today, so done work of either version counts."""
    assert [folder.name for folder, *_ in UNITS] == ["first_version"] * 2 + ["second_version"] * 2


@every_unit
def test_an_unfinished_unit_starts_over_and_says_so(folder, unit, scores, digits, tmp_path):
    """It ends with the same record as an undisturbed one."""
    ledger, whole = Ledger(Storage(tmp_path / "old")), Ledger(Storage(tmp_path / "whole"))
    shutil.copytree(folder / "checkpoints", tmp_path / "old" / "checkpoints")
    file = tmp_path / "old" / "checkpoints" / f"{unit.name}.pt"
    torch.save(torch.load(file, weights_only=True) | {"kind": device_kind("cpu")}, file)
    assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "done"
    log = ledger.storage.read(f"logs/{unit.name}.log").decode()
    (line,) = [line for line in log.splitlines() if "starts over" in line]
    assert line == f"starts over: {file} was saved by another version of mtvae-sweeps (format 2; this one reads 3)"
    assert run_unit.run_unit(unit, Loaded(digits), whole, "cpu", {}) == "done"
    assert rows_of(ledger) == rows_of(whole)


@every_unit
def test_kept_models_give_their_scores(folder, unit, scores, digits):
    settings, model = kept_models.load(Storage(folder), unit.name)
    assert key_of(settings) == unit.key  # settings that came later are None in it, and neutral
    inputs = Inputs(unit, digits, "cpu")
    fit = prepare(inputs)
    fit.best_state = model.state_dict()
    found = score(inputs, fit)
    scores = {name: value for name, value in scores.items() if name != "best_epoch"}
    assert {name: found[name] for name in scores} == pytest.approx(scores, rel=1e-5)
