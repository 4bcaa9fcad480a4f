"""Files of the first version: its checkpoints resume, and its kept models give their scores.

`first_version/` was written by commit 7a2edac: checkpoints of units stopped after five steps, and kept models and
scores of the same units trained to their end.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from sweeps.config import grid
from sweeps.data.datasets import Loaded
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan
from sweeps.stages.base import Inputs
from sweeps.stages.training import prepare, score
from sweeps.worker import run_unit
from sweeps.worker.checkpoint import device_kind

HERE = Path(__file__).with_name("first_version")
SCORES = json.loads((HERE / "scores.json").read_text())
UNITS = [u for u in Plan(grid.load(str(HERE / "grid.yaml")), frozenset(), frozenset()).units if u.name in SCORES]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.settings.family)
def test_its_checkpoints_resume(unit, digits, tmp_path):
    """They end with the scores of the first version, to rounding on the same kind of CPU and torch."""
    ledger = Ledger(Storage(tmp_path / "old"))
    shutil.copytree(HERE / "checkpoints", tmp_path / "old" / "checkpoints")
    file = tmp_path / "old" / "checkpoints" / f"{unit.name}.pt"
    saved = torch.load(file, weights_only=True)
    same_kind = saved["kind"] == device_kind("cpu")
    torch.save(saved | {"kind": device_kind("cpu")}, file)
    assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "done"
    (record,), _ = ledger.read()
    assert record["resumed"] == 1
    assert "resumes in epoch 3" in ledger.storage.read(f"logs/{unit.name}.log").decode()
    rel = 1e-6 if same_kind else 0.05  # another CPU or torch rounds differently, which training magnifies
    assert {name: record[name] for name in SCORES[unit.name]} == pytest.approx(SCORES[unit.name], rel=rel)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.settings.family)
def test_its_kept_models_give_their_scores(unit, digits):
    settings, model = kept_models.load(Storage(HERE), unit.name)
    assert settings == unit.settings
    inputs = Inputs(unit, digits, "cpu")
    fit = prepare(inputs)
    fit.best_state = model.state_dict()
    found = score(inputs, fit)
    scores = {name: value for name, value in SCORES[unit.name].items() if name != "best_epoch"}
    assert {name: found[name] for name in scores} == pytest.approx(scores, rel=1e-5)
