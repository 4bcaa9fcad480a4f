"""Flags of a row: which folds give a reason not to take their numbers as they are, and what the ledger must hold."""

import math

import pytest

from sweeps import frames
from sweeps.analysis import flags
from sweeps.analysis.flags import BY_NAME, FLAGS, distance_to_shares, flagged, history_columns
from sweeps.analysis.records import row_record
from sweeps.analysis.results import read_table
from sweeps.analysis.table_row import TableRow
from sweeps.plan.plan import Plan

GRID = """
name: tiny
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 20}
grid: [{family: vqvae, method: none}, {family: gaussian_vae, method: none}]
"""
FALLING = [1.0] * 16 + [0.8] * 2 + [0.7] * 2


def totals(*values):
    return {"history": [{"selection_total": value} for value in values]}


@pytest.mark.parametrize(
    "name, record, wanted",
    [
        ("dead_codebook", {"perplexity": 12.79}, True),
        ("dead_codebook", {"perplexity": 12.8}, False),
        ("dead_codebook", {"perplexity": None}, None),
        ("dead_codebook", {}, None),
        ("collapsed_posterior", {"active_units": 0.0}, True),
        ("collapsed_posterior", {"active_units": 1.0}, False),
        ("collapsed_posterior", {"active_units": None}, None),
        ("best_is_last", {"best_epoch": 20}, True),
        ("best_is_last", {"best_epoch": 19}, False),
        ("best_is_last", {"best_epoch": None}, None),
        ("still_falls", totals(*[5.0] * 16, 1.0, 1.02, 1.0, 0.99), True),  # by 1.5 %
        ("still_falls", totals(*[5.0] * 16, 1.0, 1.0, 0.991, 0.991), False),  # by 0.9 %
        ("still_falls", totals(*[5.0] * 16, 1.0, 1.0, 1.1, 1.1), False),
        ("still_falls", totals(3.0, 2.0), True),
        ("still_falls", totals(-3.0, -3.02), False),
        ("still_falls", totals(-3.0, -3.04), True),
        ("still_falls", totals(3.0), None),
        ("still_falls", totals(3.0, None), None),
        ("still_falls", totals(3.0, math.nan), None),
        ("still_falls", {"history": None}, None),
        ("still_falls", {}, None),
    ],
)
def test_a_fold_is_flagged_by_its_record(name, record, wanted):
    """The codebook has 128 vectors, and 20 epochs are trained, of which a tenth is two."""
    assert BY_NAME[name].of_fold({"model.embeddings": 128, "training.epochs": 20}, record) is wanted


def test_totals_before_a_switch_are_no_fall():
    """They have a term more than those after it."""
    settings, record = {"training.epochs": 20, "schedule.switch_epoch": 18}, totals(*[5.0] * 18, 1.0, 1.0)
    assert BY_NAME["still_falls"].of_fold(settings, record) is False
    assert BY_NAME["still_falls"].of_fold(settings | {"schedule.switch_epoch": None}, record) is True


def test_a_flag_counts_the_folds_that_tell():
    row = TableRow("", {"training.epochs": 9}, {0: {"best_epoch": 9}, 1: {"best_epoch": None}, 2: {"best_epoch": 3}})
    assert flagged(BY_NAME["best_is_last"], row) == 1
    assert flagged(BY_NAME["still_falls"], row) is None
    assert flagged(BY_NAME["still_falls"], TableRow("", {})) == 0


@pytest.fixture
def written(read_grid, ledger):
    """Write a ledger with a dead codebook in a fold that still falls, and with a collapsed posterior."""
    grid = read_grid(GRID)
    (vq, vq_too), gaussian = Plan(grid, frozenset(), frozenset()).rows
    scores = {"unconditioned_per_pixel": 0.1, "unconditioned_per_image": 1.0, "collapsed": False, "best_epoch": 7}
    ledger.write(vq, scores | {"perplexity": 3.0, "best_epoch": 20} | totals(*FALLING))
    ledger.write(vq_too, scores | {"perplexity": 90.0} | totals(*[1.0] * 20))
    for unit in gaussian:
        ledger.write(unit, scores | {"active_units": 0.0})
    ledger.write_grid(grid)
    return ledger


def test_records_and_frames_hold_every_flag(written):
    table = read_table(written, extra_columns=history_columns(written))
    wanted = [
        {"collapsed": 0, "dead_codebook": 1, "collapsed_posterior": None, "best_is_last": 1, "still_falls": 1},
        {"collapsed": 0, "dead_codebook": None, "collapsed_posterior": 2, "best_is_last": 0, "still_falls": None},
    ]
    assert [{flag.name: row_record(table, row)[flag.name] for flag in FLAGS} for row in table.rows] == wanted
    folder, _, name = written.storage.root.rpartition("/")
    frame = frames.table(name, folder)
    for flag in FLAGS:
        assert str(frame[flag.name].dtype) == "Int64"
        assert [None if v is frames.pd.NA else v for v in frame[flag.name]] == [row[flag.name] for row in wanted]
    assert frame["perplexity_mean"].tolist()[0] == 46.5
    assert "relative_codebook_error_mean" not in frame


def test_large_ledgers_are_read_without_histories(written, monkeypatch):
    assert history_columns(written) == ["history"]
    monkeypatch.setattr(flags, "MOST_CURVES", 3)
    assert history_columns(written) == []


def soft_adapt(*epochs, variant="loss_weighted"):
    """Return a row of one fold, whose epochs are pairs of losses and weights by term."""
    history = [
        {f"train_{term}": loss for term, loss in losses.items()} | {f"weight_{term}": w for term, w in weights.items()}
        for losses, weights in epochs
    ]
    return TableRow("", {"soft_adapt.variant": variant}, {0: {"history": history}})


def test_distance_is_that_of_the_second_half():
    """The first half has weights of 1, and one of ten later epochs is far off. A term without a weight has no share."""
    losses = {"a": 3.0, "b": 1.0, "c": 7.0}
    start, near = (losses, {"a": 1.0, "b": 1.0, "c": None}), (losses, {"a": 0.76, "b": 0.24, "c": None})
    far = (losses, {"a": 0.5, "b": 0.5, "c": None})
    assert distance_to_shares(soft_adapt(*[start] * 10, *[near] * 9, far)) == pytest.approx(0.04)
    assert distance_to_shares(soft_adapt(*[start] * 10, *[near] * 8, far, far)) == pytest.approx(1.0)


def test_weights_after_a_switch_are_not_soft_adapts():
    losses = {"a": 3.0, "b": 1.0}
    row = soft_adapt(*[(losses, {"a": 0.76, "b": 0.24})] * 4, *[(losses, {"a": 1.0, "b": None})] * 6)
    row.settings["schedule.switch_epoch"] = 4
    assert distance_to_shares(row) == pytest.approx(0.04)


@pytest.mark.parametrize(
    "row",
    [
        soft_adapt(({"a": 1.0}, {"a": 1.0}), variant=None),
        soft_adapt(({"a": 0.0, "b": 1.0}, {"a": 0.5, "b": 0.5})),
        TableRow("", {"soft_adapt.variant": "original"}, {0: {"history": None}}),
        TableRow("", {"soft_adapt.variant": "original"}),
    ],
)
def test_without_shares_there_is_no_distance(row):
    assert distance_to_shares(row) is None
