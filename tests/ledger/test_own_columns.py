"""Metrics and terms of a plug-in family in the ledger: written, joined with others, compacted and read."""

import pytest

from mtvae.config import FAMILIES
from sweeps.analysis.results import read_table
from sweeps.analysis.table_row import ReportError, TableRow
from sweeps.ledger.compaction import compact
from sweeps.ledger.schema import UNIT_SCHEMA, unit_schema
from sweeps.plan.plan import Plan

GRID = """
name: own
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 1}
grid: [{family: [autoencoder, "toy_family:SMALL"]}]
"""
SCORES = {"unconditioned_per_pixel": 0.1, "unconditioned_per_image": 25.6, "collapsed": False, "split_hash": "a"}
OWN = {"mean_size": 0.5, "largest": 2.0}
EPOCH = {"epoch": 1, "train_unconditioned": 3.0, "selection_unconditioned": 2.0, "selection_total": 2.0}


@pytest.fixture
def written(read_grid, ledger):
    """Write a ledger with two rows of two folds, one of them of the toy family."""
    with FAMILIES.temporarily(FAMILIES["autoencoder"]):
        grid = read_grid(GRID)
        for unit in Plan(grid, frozenset(), frozenset()).units:
            toy = unit.settings.family != "autoencoder"
            history = [EPOCH | ({"train_size": 0.25} if toy else {})]
            ledger.write(unit, SCORES | (OWN if toy else {}) | {"history": history})
        ledger.write_grid(grid)
    return ledger


def test_its_schema_has_its_metrics_and_terms():
    with FAMILIES.temporarily(FAMILIES["autoencoder"]):
        schema = unit_schema("toy_family:SMALL", "training")
        assert schema.names == [*UNIT_SCHEMA.names, "mean_size", "largest"]
        history = schema.field("history").type.value_type
        assert {"train_size", "selection_size", "weight_size"} <= {f.name for f in history}
    assert unit_schema("autoencoder", "training") is UNIT_SCHEMA


@pytest.mark.parametrize("compacted", [False, True])
def test_rows_of_both_families_are_read(written, compacted):
    """This needs no plug-in. Columns that a family lacks are null, and histories have the terms of both."""
    if compacted:
        assert compact(written) == (4, []) == compact(written)
    plain, toy = read_table(written, extra_columns=("history",)).rows
    assert toy.sample("mean_size").mean == 0.5 and plain.sample("mean_size") is None
    assert toy.folds[0]["history"][0]["train_size"] == 0.25
    assert plain.folds[0]["history"][0]["train_size"] is None
    assert toy.family.name == "toy_family:SMALL" and toy.family.scale == "per_image"
    assert toy.metric("largest").digits == 2
    assert written.schema().names[-2:] == ["mean_size", "largest"]


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"family": {"colour": 1}}'])
def test_an_unreadable_description_is_reported(written, text):
    """One line names the row, as for other bad input of a report."""
    toy = next(row for row in read_table(written).rows if row.settings["family"] != "autoencoder")
    damaged = TableRow(toy.key, toy.settings | {"declarations": text})
    with pytest.raises(ReportError, match=f"{toy.key}: its description of its family cannot be read"):
        assert damaged.family
