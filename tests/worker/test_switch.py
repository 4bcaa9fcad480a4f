"""A unit that switches to the plain model: its record, its kept model and its cost."""

import pytest
import torch

from mtvae.evaluation import evaluate
from mtvae.model import parameter_count
from sweeps.config.measured import metrics_of
from sweeps.config.stages import STAGES, STEP_PASSES, TRAINING
from sweeps.data import seeds
from sweeps.data.datasets import Loaded
from sweeps.data.splits import split
from sweeps.ledger import kept_models
from sweeps.plan.plan import Plan
from sweeps.report.figures.pictures import outputs
from sweeps.run.dry_run import dry_run
from sweeps.search.objective import known_numbers
from sweeps.worker import run_unit

GRID = """
name: tiny
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 3, batch_size: 16}
loss.w1: 0.5
grid: [{family: vqvae, method: multi_decoder, schedule.switch_epoch: [null, 1], soft_adapt: true}]
"""


@pytest.fixture
def switching(read_grid):
    """Return the plan of a row without a switch, and of one that switches after the first of three epochs."""
    return Plan(read_grid(GRID), frozenset(), frozenset())


@pytest.fixture
def done(switching, ledger, digits):
    """Return the records of both rows' first fold."""
    for units in switching.rows:
        assert run_unit.run_unit(units[0], Loaded(digits), ledger, "cpu", {}) == "done"
    rows = {row["schedule.switch_epoch"]: row for row in ledger.read()[0]}
    return rows[None], rows[1]


def test_its_record_is_of_a_plain_model(done):
    """Conditioned columns are null from the switch on, and what was measured before it stays."""
    whole, row = done
    assert row["history"][0] == whole["history"][0]
    conditioned = [name for name in row["history"][0] if name.partition("_")[2] == "conditioned"]
    assert len(conditioned) == 3
    for epoch in row["history"][1:]:
        assert [epoch[name] for name in conditioned] == [None] * 3
        assert (epoch["weight_unconditioned"], epoch["weight_latent"]) == (0.5, 1.0)
    assert [row[f"conditioned_{scale}"] for scale in ("per_pixel", "per_image")] == [None, None]
    assert row["condition_pixels"] is None
    assert row["unconditioned_per_pixel"] > 0 and row["best_epoch"] in (2, 3)
    assert row["collapsed"] == (row["unconditioned_per_pixel"] > row["mean_image_per_pixel"] / 2)
    assert row["sampler_built_with"] == whole["sampler_built_with"] is not None
    assert row["parameters"] < whole["parameters"]


def test_its_kept_model_is_plain(switching, done, ledger, digits):
    """It is loaded from its file alone, gives the tabulated numbers again, and has no conditioned picture."""
    unit = switching.rows[1][0]
    settings, model = kept_models.load(ledger.storage, unit.name)
    assert settings == unit.settings and model.architecture.method == "none"
    test = torch.tensor(digits[split(len(digits), settings.folds, settings.seed, 0).test])
    scores = evaluate(model, test, settings.loss, None, seeds.of_fold(settings.seed, 0), settings.evaluation.latent)
    for name in ("unconditioned_per_pixel", "latent_loss"):
        assert scores[name] == done[1][name]
    assert list(outputs(settings, model, test[:3], 0)) == ["original", "unconditioned"]


def test_its_cost_changes_at_the_switch(switching, ledger):
    """One of three epochs has both decoders. Numbers known before are those of the kept model."""
    whole, switched = (units[0].settings for units in switching.rows)
    flops = STAGES[TRAINING].flops
    assert flops(whole) == STEP_PASSES * whole.cost.flops
    assert flops(switched) == STEP_PASSES * (whole.cost.flops + 2 * switched.final_cost.flops) // 3
    plain, both = parameter_count(switched.architecture.plain), parameter_count(whole.architecture)
    assert known_numbers(switched) == {"parameters": plain, "flops": switched.final_cost.flops}
    text = dry_run(switching, ledger, 1, False)
    assert f" {both:,} parameters  " in text and f" {plain:,} parameters ({both:,} before the switch)  " in text


def test_its_metrics_are_of_the_plain_model(switching):
    """An objective or a constraint cannot name what its records lack."""
    whole, switched = (metrics_of(units[0].settings) for units in switching.rows)
    assert whole.keys() - switched.keys() == {"conditioned", "condition_pixels"}
