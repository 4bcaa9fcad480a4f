"""Priors as a later stage, through the command: what they reuse, what blocks them, and what an interruption changes."""

import json
import re

import pytest
import torch
from safetensors.torch import load as load_tensors

from mtvae.prior.fitting import build_prior
from sweeps.config import grid
from sweeps.config.stages import TRAINING
from sweeps.data.datasets import Loaded
from sweeps.ledger import kept_models, redo
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.suggestions import write_stopped
from sweeps.plan.plan import Plan
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.worker.run_unit import run_unit

GRID = """
name: priors
data: {dataset: digits, limit: 80}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
prior: {layers: 2, width: 4, epochs: 2, batch_size: 16, dropout: 0.2}
grid:
  - {family: vqvae, prior.kind: [KINDS]}
"""
PIXELCNN = GRID.replace("KINDS", "pixelcnn")
VOLATILE = {"seconds", "finished_at", "peak_memory", "resumed"}


@pytest.fixture
def sweep(tmp_path):
    """Return a function that runs a grid's text, with options of the command as keywords."""

    def run(text, **options):
        (tmp_path / "priors.yaml").write_text(text)
        own = {"inline": True, "results": str(tmp_path / "results")} | options
        return command(str(tmp_path / "priors.yaml"), [], Options(**own))

    return run


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path / "results", "priors")


def units_of(tmp_path, stage="prior"):
    plan = Plan(grid.load(str(tmp_path / "priors.yaml")), frozenset(), frozenset())
    return [unit for unit in plan.units if unit.stage == stage]


def records(ledger, stage="prior"):
    """Return the records of a stage by unit, without what differs between two runs."""
    found = ledger.table("units")[0].to_pylist()
    return {
        (r["key"], r["fold"]): {name: value for name, value in r.items() if name not in VOLATILE}
        for r in found
        if r["stage"] == stage
    }


def table(tmp_path):
    text = report(str(tmp_path / "results"), "priors", ReportRequest(kinds=("priors",), format="json"))
    return {row["prior.kind"]: row for row in json.loads(text)[0]["rows"]}


def test_widening_trains_only_priors(sweep, ledger, tmp_path):
    """Priors that are added to a finished sweep take the models that are there, and leave their files alone."""
    assert sweep(GRID.replace("KINDS", "uniform")) == 0
    stamps = {name: ledger.storage.stamp(f"units/{name}") for name in ledger.storage.names("units")}
    models = {name: ledger.storage.stamp(f"models/{name}") for name in ledger.storage.names("models")}
    assert len(stamps) == 6 and len(models) == 4  # trainings, priors and samples of two folds; all models are kept
    assert sweep(GRID.replace("KINDS", "uniform, histogram, markov")) == 0
    assert {name: ledger.storage.stamp(f"units/{name}") for name in stamps} == stamps
    assert {name: ledger.storage.stamp(f"models/{name}") for name in models} == models
    assert len(ledger.units()) == 14
    rows = table(tmp_path)
    assert rows["uniform"]["bits_per_code_mean"] == pytest.approx(7)
    assert all(row["folds"] == 2 for row in rows.values()) and len(rows) == 3
    assert len({row["unconditioned_mean"] for row in rows.values()}) == 1


def test_a_dry_run_counts_models_to_train_again(sweep, ledger, tmp_path, capsys):
    assert sweep(GRID.replace("KINDS", "uniform")) == 0
    ledger.storage.remove(f"models/{units_of(tmp_path, TRAINING)[0].name}.safetensors")
    capsys.readouterr()
    assert sweep(GRID.replace("KINDS", "uniform, markov"), dry_run=True) == 0
    assert "1 done model not kept: trained again first" in capsys.readouterr().out


def test_a_dry_run_sees_a_large_prior(sweep, capsys):
    """A PixelCNN of 600 million parameters takes more memory than its small model, and its file more disk."""
    assert sweep(PIXELCNN.replace("layers: 2, width: 4", "layers: 15, width: 1400"), dry_run=True) == 0
    text = capsys.readouterr().out
    memory, disk = (float(re.search(rf"{what}: about ([\d.]+) GB", text)[1]) for what in ("memory", "disk"))
    assert memory > 10 and disk > 4


def test_a_model_has_one_row_whatever_its_priors(sweep, tmp_path):
    """The table of models, and so its statistics, count a model with three priors once."""
    assert sweep(GRID.replace("KINDS", "uniform, histogram, markov")) == 0
    (sheet,) = json.loads(report(str(tmp_path / "results"), "priors", ReportRequest(format="json")))
    assert [row["folds"] for row in sheet["rows"]] == [2]


@pytest.mark.parametrize("damage", ["missing", "damaged", "of another fold", "of another training"])
def test_a_lost_model_is_trained_again(sweep, ledger, tmp_path, damage):
    """The prior is the same to the last digit, the training's record stays, and the model is kept again."""
    assert sweep(PIXELCNN) == 0
    before, trained = records(ledger), records(ledger, TRAINING)
    model = f"models/{units_of(tmp_path)[0].training_id[0]}-fold0.safetensors"
    whole = ledger.storage.read(model)
    weights = load_tensors(whole)
    if damage == "missing":
        ledger.storage.remove(model)
    elif damage == "damaged":
        ledger.storage.write(model, whole[:200])
    elif damage == "of another fold":
        ledger.storage.write(model, ledger.storage.read(model.replace("-fold0", "-fold1")))
    else:
        changed = whole.replace(b'training.lr\\": 0.001', b'training.lr\\": 0.002')
        assert changed != whole
        ledger.storage.write(model, changed)
    assert sweep(PIXELCNN, redo=units_of(tmp_path)[0].key) == 0
    after = records(ledger)
    assert {id_: r | {"model_difference": None} for id_, r in after.items()} == before
    assert [r["model_difference"] for r in after.values()] == [0.0, None]
    assert records(ledger, TRAINING) == trained
    again = load_tensors(ledger.storage.read(model))
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    assert "its model is trained again" in ledger.storage.read(f"logs/{units_of(tmp_path)[0].name}.log").decode()


def test_a_model_that_differs_is_said(sweep, ledger, tmp_path):
    """A record of other scores than those of the model trained again is named below the table."""
    assert sweep(PIXELCNN) == 0
    unit = units_of(tmp_path, TRAINING)[0]
    changed = ledger.record(unit)
    ledger.storage.remove(f"models/{unit.name}.safetensors")
    ledger.write(unit, {n: v for n, v in changed.items() if n not in ("key", "fold")} | {"perplexity": 99.0})
    assert sweep(PIXELCNN, redo=units_of(tmp_path)[0].key) == 0
    text = report(str(tmp_path / "results"), "priors", ReportRequest(kinds=("priors",)))
    assert "a model was trained again and differs from its record" in text


def test_a_redo_of_a_model_marks_its_priors(sweep, ledger, tmp_path, capsys):
    assert sweep(GRID.replace("KINDS", "uniform, markov")) == 0
    unit = units_of(tmp_path, TRAINING)[0]
    capsys.readouterr()
    assert sweep(GRID.replace("KINDS", "uniform, markov"), redo=unit.name) == 0
    assert "[5/5]" in capsys.readouterr().out
    assert redo.marked(ledger.storage) == frozenset()


def test_priors_of_a_stopped_model_are_stopped(sweep, ledger, tmp_path):
    """The line of a prior says that a race stopped its model, as the model's line does."""
    assert sweep(GRID.replace("KINDS", "uniform, markov")) == 0
    for unit in Plan(grid.load(str(tmp_path / "priors.yaml")), frozenset(), frozenset()).units:
        if unit.fold == 1:
            ledger.storage.remove(f"units/{unit.name}.parquet")
    write_stopped(ledger.storage, units_of(tmp_path, TRAINING)[0].key, "lags", 1)
    text = report(str(tmp_path / "results"), "priors", ReportRequest(kinds=("priors", "samples")))
    assert text.count("1/2, stopped") == 4
    assert [row["stopped"] for row in table(tmp_path).values()] == ["lags", "lags"]


def test_a_failed_prior_is_no_failed_model(sweep, ledger, tmp_path, capsys):
    """Of two priors that diverge each is named below the table of priors; the model's row has no failed fold."""
    text = PIXELCNN.replace("kind: [pixelcnn]", "kind: pixelcnn, prior.lr: [0.001, 1.0e+20, 1.0e+30]")
    assert sweep(text) == 1
    assert " 2/2 " in capsys.readouterr().out
    models, priors = (
        report(str(tmp_path / "results"), "priors", ReportRequest(kinds=(kind,))) for kind in ("table", "priors")
    )
    assert "failed" not in models and "2/2" in models
    for lr in ("1e+20", "1e+30"):
        for fold in (0, 1):
            assert f"prior.lr {lr}, fold {fold}: a loss is not finite" in priors
    assert priors.count("0/2 (2 failed)") == 2


@pytest.mark.parametrize("steps", [1, 3, 5])
def test_a_stopped_prior_resumes_to_the_same_digits(sweep, ledger, tmp_path, digits, steps):
    assert sweep(PIXELCNN) == 0
    whole = records(ledger)
    other = open_ledger(tmp_path / "other", "priors")
    for unit in [*units_of(tmp_path, TRAINING), *units_of(tmp_path)]:
        calls = iter(range(10**6))
        loaded = Loaded(_digits())
        first = run_unit(unit, loaded, other, "cpu", {}, should_stop=lambda calls=calls: next(calls) > steps)
        assert first == ("stopped" if unit.stage == "prior" or steps < 3 else first)
        assert run_unit(unit, loaded, other, "cpu", {}) in ("done", "done before")
    compared = ("bits_per_code", "bound", "history", "best_epoch")
    for id_, record in records(other).items():
        assert {name: record[name] for name in compared} == {name: whole[id_][name] for name in compared}


def _digits():
    from sweeps.data.readers import digits

    return digits(None, "train", 80).images


def test_a_kept_prior_is_loaded_with_its_classes(sweep, ledger, tmp_path):
    """A prior that is given the class stores the names of the classes in the order of their numbers."""
    assert sweep(PIXELCNN.replace("dropout: 0.2", "dropout: 0.2, labels: true")) == 0
    settings, prior, classes = kept_models.load_prior(ledger.storage, units_of(tmp_path)[0].name)
    assert settings.prior.labels and classes == tuple("0123456789") and prior.classes == 10
    assert not prior.training


@pytest.mark.parametrize("stored", [tuple("9876543210"), ()])
@pytest.mark.parametrize("now", [tuple("9876543210"), ()])
def test_other_classes_fail_the_samples(sweep, ledger, tmp_path, stored, now):
    """Samples of a prior are refused if the images' classes have other numbers, or none, or if the prior has none."""
    from sweeps.data.readers import digits

    assert sweep(PIXELCNN.replace("dropout: 0.2", "dropout: 0.2, labels: true")) == 0
    unit, prior = units_of(tmp_path, "samples")[0], units_of(tmp_path)[0]
    if not stored:
        kept_models.save(ledger.storage, prior, build_prior(prior.settings.prior, prior.settings.architecture))
    read = digits(None, "train", 80)
    loaded = Loaded(read.images, labels=read.labels if now else None, classes=now)
    ledger.storage.remove(f"units/{unit.name}.parquet")
    fine = stored == now == ()
    assert run_unit(unit, loaded, ledger, "cpu", {}) == ("done" if fine else "failed")
    names = [", ".join(classes) or "none" for classes in (stored and tuple("0123456789"), now)]
    reasons = {record["reason"] for record in ledger.table("failed")[0].to_pylist()}
    expected = f"ValueError: the prior knows the classes {names[0]}, and the images have {names[1]}"
    assert reasons == (set() if fine else {expected})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{family: gaussian_vae, prior.kind: markov}", "family gaussian_vae takes normal, gaussian or mixture"),
        ("{family: vqvae, prior.kind: normal}", "takes uniform, histogram, position_histogram, markov or pixelcnn"),
        ("{family: vqvae, prior: {kind: pixelcnn, kernel: 4}}", "it must be odd"),
        ("{family: vqvae, prior: {kind: markov, layers: 3}}", "only prior.kind pixelcnn has it"),
        ("{family: vqvae, prior: {kind: uniform, labels: true}}", "can be given the class"),
        ("{family: vqvae, prior.layers: 3}", "only prior.kind pixelcnn has it"),
    ],
)
def test_settings_that_do_not_fit_are_refused(read_grid, settings, expected):
    with pytest.raises(grid.GridError, match=expected):
        read_grid(f"name: a\ndata: {{dataset: digits}}\ngrid:\n  - {settings}\n")
