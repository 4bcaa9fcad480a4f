"""One contract for all stages: each does what it declares, whichever back end runs it."""

import json

import pytest
import toy_stage

from mtvae.config import Metric
from sweeps.config.stages import STAGES, TRAINING, stages_of
from sweeps.data.datasets import Loaded
from sweeps.ledger.schema import unit_schema
from sweeps.plan.plan import Plan
from sweeps.worker.run_unit import run_unit

GRID = """
name: stages
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2, batch_size: 16}
keep_models: all
prior: {layers: 2, width: 4, epochs: 2, dropout: 0.1}
grid:
  - {family: autoencoder, prior.kind: normal}
  - {family: vqvae, prior.kind: [markov, pixelcnn]}
"""

NOT_OF_ALL = {"bits_per_code", "bits_per_image", "bound", "model_difference", "sample_perplexity"}
"""Metrics that depend on the latent space, or on what happened."""


@pytest.fixture(autouse=True)
def probe():
    with STAGES.temporarily(toy_stage.STAGE):
        yield


@pytest.fixture
def units(read_grid):
    """Return all units of the grid; those of a stage come after those that they require."""
    return Plan(read_grid(GRID), frozenset(), frozenset()).units


@pytest.mark.parametrize("name", [*STAGES.names(), "probe"])
class TestContract:
    def run(self, units, name, digits, ledger):
        """Run the units of a stage after all that they require. Return the units and their records."""
        for unit in units:
            assert run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "done"
        own = [unit for unit in units if unit.stage == name]
        records = {(r["key"], r["fold"]): r for r in ledger.table("units")[0].to_pylist()}
        return own, [records[unit.id] for unit in own]

    def test_its_record_says_what_it_is(self, units, name, digits, ledger):
        own, records = self.run(units, name, digits, ledger)
        assert own
        for unit, record in zip(own, records, strict=True):
            assert record["stage"] == name
            assert record["parent_key"] == (unit.requires[0][0] if unit.requires else None)
            assert record["seconds"] >= 0 and record["data_hash"]

    def test_its_metrics_are_columns(self, units, name, digits, ledger):
        own, records = self.run(units, name, digits, ledger)
        for metric in STAGES[name].metrics:
            assert set(metric.columns) <= set(unit_schema(own[0].settings.family, name).names)
            for column in metric.columns:
                known = [record[column] is not None for record in records]
                assert (
                    all(known)
                    or (column in NOT_OF_ALL and column != "model_difference" and any(known))
                    or (column == "model_difference" and not any(known))
                )
        for record in records:
            described = json.loads(record["declarations"] or "{}").get("metrics", [])
            assert tuple(Metric(**metric) for metric in described) == STAGES[name].metrics

    def test_the_same_inputs_give_the_same_digits(self, units, name, digits, ledger):
        volatile = {"seconds", "finished_at", "peak_memory", "resumed"}
        _, records = self.run(units, name, digits, ledger)
        again = type(ledger)(ledger.storage.folder("../again"))
        _, others = self.run(units, name, digits, again)
        for record, other in zip(records, others, strict=True):
            assert {k: v for k, v in record.items() if k not in volatile} == {
                k: v for k, v in other.items() if k not in volatile
            }

    def test_its_cost_is_declared(self, units, name):
        """The numbers of images and operations are known before a unit runs; a stage that trains has both."""
        for unit in (unit for unit in units if unit.stage == name):
            trains = STAGES[name].epochs(unit.settings) > 0
            assert (unit.images_to_train > 0) == trains
            assert (STAGES[name].flops(unit.settings) > 0) == trains

    def test_it_stands_after_what_it_requires(self, units, name):
        own = next(unit for unit in units if unit.stage == name)
        places = {stage.name: i for i, stage in enumerate(stages_of(own.settings))}
        assert all(places[required] < places[name] for required in STAGES[name].requires)
        for unit in (unit for unit in units if unit.stage == name):
            assert bool(unit.requires) == (name != TRAINING)
            assert {parent in {other.id for other in units} for parent in unit.requires} <= {True}

    def test_a_stop_ends_it_and_it_resumes(self, units, name, digits, ledger):
        """A unit that is told to stop before it starts does nothing; run again, it is done."""
        for unit in units:
            assert run_unit(unit, Loaded(digits), ledger, "cpu", {}, should_stop=lambda: True) == "stopped"
            assert not ledger.has(unit)
            assert run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "done"
