"""Notes below a table: they warn of rows by counts, and say what must be known to compare methods."""

import json
from pathlib import Path

import pytest

from sweeps.analysis import flags
from sweeps.plan.plan import Plan
from sweeps.report.contents import ReportRequest, report

ROOT = Path(__file__).parents[2]
HEAD = "name: tiny\ndata: {dataset: digits}\nfolds: {n_splits: 2}\ntraining: {epochs: 20}\n"
SCORES = {"unconditioned_per_pixel": 0.1, "unconditioned_per_image": 1.0, "collapsed": False, "best_epoch": 7}
SCORES |= {"conditioned_per_pixel": 0.1, "conditioned_per_image": 1.0, "latent_loss": 0.2}


@pytest.fixture
def shown(read_grid, ledger):
    """Return a function that writes a grid's units, each with a result of its own, and returns the report's lines."""

    def show(rows, result=lambda unit: {}, **asked):
        grid = read_grid(f"{HEAD}grid: {rows}")
        for unit in Plan(grid, frozenset(), frozenset()).units:
            ledger.write(unit, SCORES | result(unit))
        ledger.write_grid(grid)
        folder, _, name = ledger.storage.root.rpartition("/")
        return report(folder, name, ReportRequest(**asked)).splitlines()

    return show


def history(*totals):
    return {"history": [{"selection_total": total} for total in totals]}


def beginning(lines, start):
    return [line for line in lines if line.startswith(start)]


def test_warnings_count_the_folds_of_models(shown):
    """They come before the notes on columns, one line for each, whatever number of rows is flagged."""
    vq = [{"perplexity": 3.0, "best_epoch": 20} | history(*[2.0] * 18, 1.0, 1.0), {"perplexity": 90.0}]
    lines = shown(
        "[{family: [vqvae, gaussian_vae], method: [none, multi_decoder]}]",
        lambda unit: vq[unit.fold] if unit.settings.family == "vqvae" else {"active_units": 0.0, "best_epoch": 20},
    )
    at = next(i for i, line in enumerate(lines) if line.startswith("dead codebook"))
    assert lines[at - 1] == ""
    assert lines[at : at + 5] == [
        "dead codebook: 2 of 4 folds of vqvae use less than a tenth of the codebook (perplexity below K/10)",
        "collapsed posterior: 4 of 4 folds of gaussian_vae have no active latent unit (above 0.01)",
        "train longer: 4 of 4 folds of gaussian_vae and 2 of 4 of vqvae picked the last epoch",
        "still falling: the validation total of 2 of 2 folds of vqvae (the last tenth of the epochs is more than 1 % "
        "below the tenth before)",
        "mean ± population variance over the folds",
    ]


def test_many_models_are_counted_as_one(shown):
    lines = shown(
        "[{family: vqvae, configuration: [1, 2, 3]}, {family: gaussian_vae, configuration: [1, 2]}]",
        lambda unit: {"best_epoch": 20 if unit.fold or unit.settings.configuration == 3 else 1},
    )
    assert beginning(lines, "train longer") == [
        "train longer: 2 of 2 folds of vqvae configuration 3, 1 of 2 of vqvae configuration 1, 1 of 2 of vqvae "
        "configuration 2 and 2 of 4 of 2 more models picked the last epoch"
    ]


def test_a_sweep_without_flags_has_no_warning(shown):
    lines = shown("[{}]", lambda unit: {"perplexity": 90.0, "active_units": 3.0} | history(*[1.0] * 20))
    for start in ("collapsed", "dead", "train longer", "still falling", "methods", "single", "SoftAdapt"):
        assert beginning(lines, start) == []
    assert "dead codebook" not in "\n".join(lines)


def test_flags_are_columns_of_tables(shown):
    """A dead codebook has a column by itself. The others are there on request, and all are in JSON."""
    result = {"perplexity": 3.0, "best_epoch": 20}
    lines = shown("[{}]", lambda unit: result)
    head = " ".join(next(line for line in lines if line.startswith("folds ")).split())
    assert head.endswith("latent loss dead codebook")
    asked = ("best_is_last", "still_falls", "dead_codebook")
    assert "2             -            2" in shown("[{}]", lambda unit: result, columns=asked)
    for kind in ("table", "statistics"):
        (sheet,) = json.loads("\n".join(shown("[{}]", lambda unit: result, format="json", kinds=(kind,))))
        assert [sheet["rows"][0][name] for name in asked] == [2, None, 2]
    lines = shown("[{}]", lambda unit: result, kinds=("statistics",))
    assert any(line.endswith("collapsed  dead codebook") for line in lines)


def test_large_sweeps_are_not_searched_for_falls(shown, monkeypatch):
    falls = history(*[2.0] * 18, 1.0, 1.0)
    assert len(beginning(shown("[{}]", lambda unit: falls), "still falling")) == 1
    monkeypatch.setattr(flags, "MOST_CURVES", 1)
    assert beginning(shown("[{}]", lambda unit: falls), "still falling") == []


def test_the_committed_ledger_says_what_it_lacks():
    """The issue counted 35 of 45 VQ units of mnist10k whose best epoch is the last."""
    lines = report(str(ROOT / "results"), "mnist10k", ReportRequest()).splitlines()
    (longer,) = beginning(lines, "train longer")
    assert longer.startswith("train longer: 35 of 45 folds of vqvae ")
    assert beginning(lines, "dead codebook: 9 of 45 folds of vqvae ")


def test_the_relative_error_stands_beside_the_loss(shown):
    """It stands there where a ledger has it, with its meaning, and with perplexity in the statistics."""
    assert "relative" not in "\n".join(shown("[{}]"))
    result = {"relative_codebook_error": 0.25, "perplexity": 90.0}
    lines = shown("[{}]", lambda unit: result)
    head = " ".join(next(line for line in lines if line.startswith("folds ")).split())
    assert head.endswith("latent loss relative codebook error")
    assert any("0.2500 ± 0.0e+00" in line for line in lines)
    assert len(beginning(lines, "relative codebook error: codebook loss per variance of the encoder's output")) == 1
    lines = shown("[{}]", lambda unit: result, kinds=("statistics",))
    assert any("perplexity" in line and "90.0000" in line for line in lines)


@pytest.mark.parametrize(
    "rows, wanted",
    [
        ("[{method: [none, head_only]}]", []),
        ("[{method: [conditioned, single_decoder]}]", []),
        (
            "[{method: [single_decoder, head_only, multi_decoder, none]}]",
            [
                "methods pick their best epoch by different totals: unconditioned (none, head_only), unconditioned + "
                "conditioned (multi_decoder), conditioned (single_decoder), each with its latent terms"
            ],
        ),
        (
            "[{method: none}, {method: multi_decoder, schedule.switch_epoch: [null, 5]}]",
            [
                "methods pick their best epoch by different totals: unconditioned (none, multi_decoder after its "
                "switch), unconditioned + conditioned (multi_decoder), each with its latent terms"
            ],
        ),
        ("[{method: none}, {method: multi_decoder, schedule.switch_epoch: 5}]", []),
        (
            "[{family: autoencoder, method: [none, conditioned]}]",
            ["methods pick their best epoch by different totals: unconditioned (none), conditioned (conditioned)"],
        ),
    ],
)
def test_different_totals_of_methods_are_named(shown, rows, wanted):
    assert beginning(shown(rows), "methods pick") == wanted


def test_totals_of_rows_not_shown_are_not(shown):
    assert beginning(shown("[{method: [none, multi_decoder]}]", only=("none",)), "methods pick") == []


def test_a_switch_is_part_of_the_method(shown):
    """A row that switches is compared with the plain row, is named by its epoch, and a note says what it is."""
    rows = "[{method: none}, {method: multi_decoder, schedule.switch_epoch: [null, 5]}]"

    def result(unit):
        if unit.settings.schedule.switch_epoch is None:
            return {}
        return {"unconditioned_per_pixel": 0.08, "conditioned_per_pixel": None, "conditioned_per_image": None}

    found = [line.split() for line in shown(rows, result, kinds=("differences",)) if "schedule.switch_epoch 5" in line]
    # settings, baseline, row, difference
    assert [line[:6] for line in found] == [
        ["uniform,", "schedule.switch_epoch", "5", "0.100000", "0.080000", "-0.020000"],
        ["uniform,", "schedule.switch_epoch", "5", "0.200000", "0.200000", "+0.000000"],
    ]
    lines = shown(rows, result)
    assert len(beginning(lines, "schedule.switch_epoch: both decoders train up to this epoch")) == 1
    (row,) = [line.split() for line in lines if "schedule.switch_epoch 5" in line]
    assert row[3:5] == ["2/2", "0.080000"] and "-" in row
    assert beginning(shown("[{method: [none, multi_decoder]}]"), "schedule.switch_epoch:") == []


@pytest.mark.parametrize(
    "rows, named",
    [
        ("[{method: single_decoder}]", True),
        ("[{method: single_decoder, model.batch_norm: false}]", True),  # the head normalises all the same
        ("[{method: single_decoder, evaluation.batch_norm: empty}]", False),
        ("[{method: [none, multi_decoder]}]", False),
        ("[{method: conditioned}]", False),  # its footnote says more
    ],
)
def test_statistics_of_mixed_conditions_are_named(shown, rows, named):
    found = [line for line in shown(rows) if "at a disadvantage" in line]
    assert [line.partition(":")[0] for line in found] == ["single_decoder"] * named


def test_a_single_decoder_without_batch_norm_normalises():
    """Its head normalises, so that batch statistics of mixed conditions count there too."""
    from torch import Generator, nn

    from mtvae.config import FAMILIES, Architecture
    from mtvae.model import build

    for family in ("vqvae", "gaussian_vae"):
        sizes = FAMILIES[family].configurations[1].model_copy(update={"batch_norm": False})
        shape = Architecture(family=family, method="single_decoder", channels=1, side=16, sizes=sizes)
        model = build(shape, Generator().manual_seed(1), "cpu")
        assert [type(module) for module in model.modules() if "BatchNorm" in repr(type(module))] == [nn.BatchNorm1d]


@pytest.mark.parametrize("factor, times", [(1.04, 1), (1.2, 0)])
def test_weights_that_are_shares_are_named(shown, factor, times):
    """Of the three variants, one has such weights. A row without SoftAdapt does not count."""
    losses = {"train_unconditioned": 1.0, "train_conditioned": 2.0, "train_latent": 5.0}
    weights = {"weight_unconditioned": 0.125 * factor, "weight_conditioned": 0.25, "weight_latent": 0.625}
    others = dict.fromkeys(weights, 1 / 3)
    lines = shown(
        "[{method: multi_decoder, soft_adapt.variant: [null, original, normalised, loss_weighted]}]",
        lambda unit: {
            "history": [losses | (weights if unit.settings.soft_adapt.variant == "loss_weighted" else others)] * 20
        },
    )
    wanted = "SoftAdapt: in 1 of 3 rows every weight is its loss's share of all losses, within 4.0 % (90 % of the "
    assert beginning(lines, "SoftAdapt: ") == [f"{wanted}epochs of the second half)"] * times
