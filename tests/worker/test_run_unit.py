"""One unit from its start to its Parquet file: what is recorded, what a failure leaves, and what changes no digit."""

import json
import math
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from records import rows_of

import sweeps
from mtvae.training import has_collapsed
from sweeps.data.datasets import Loaded
from sweeps.data.hashes import fingerprint
from sweeps.data.splits import FoldDraw
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.provenance import provenance
from sweeps.plan.plan import Plan
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.stages import training
from sweeps.worker import devices, run_unit


def test_every_kind_of_unit_is_recorded_in_full(plan, ledger, digits):
    seen = []

    def note(images, losses):
        seen.append(images)

    for unit in plan.units:
        assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", provenance(), note) == "done"
    rows, _ = ledger.read()
    assert len(rows) == 6
    assert set(seen) == {0, 16, 27, 43, 54}  # 60 in 2 folds, less a tenth for validation: 27 in batches of 16
    for row in rows:
        assert row["images_trained"] == 2 * 27 == row["training.epochs"] * row["train_images"]
        assert (row["train_images"], row["selection_images"], row["test_images"]) == (27, 3, 30)
        assert row["unconditioned_per_image"] == pytest.approx(256 * row["unconditioned_per_pixel"])
        assert (row["conditioned_per_pixel"] is None) == (row["method"] == "none")
        assert (row["perplexity"] is None) == (row["family"] == "gaussian_vae")
        assert [epoch["epoch"] for epoch in row["history"]] == [1, 2]
        assert row["best_epoch"] in (1, 2)
        assert row["collapsed"] == (row["unconditioned_per_pixel"] > row["mean_image_per_pixel"] / 2)
        assert json.loads(row["versions"])["mtvae-sweeps"] == sweeps.__version__
        assert row["processor"] and row["host"] == platform.node()
        assert json.loads(row["versions"])["torch"] == torch.__version__.partition("+")[0]
        assert "done" in ledger.storage.read(f"logs/{row['key']}-fold{row['fold']}.log").decode()
    built = {row["method"]: row["sampler_built_with"] for row in rows}
    assert built["none"] is None
    assert built["single_decoder"] == "uniform, power law 40 of 16x16"
    assert {row["condition_pixels"] for row in rows if row["method"] == "multi_decoder"} == {9.0}


def test_a_kept_model_gives_the_tabulated_numbers_again(plan, ledger, digits):
    """The model is loaded from its file alone, and scored on its test fold."""
    from mtvae.conditioning import ConditionSampler
    from mtvae.evaluation import evaluate
    from sweeps.data import seeds
    from sweeps.data.splits import split
    from sweeps.ledger import kept_models

    for unit in plan.units:
        run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {})
    kept = [unit for unit in plan.units if unit.fold == 0]
    assert ledger.storage.names("models") == sorted(f"{unit.name}.safetensors" for unit in kept)
    tabulated = rows_of(ledger)
    for unit in kept:
        s, model = kept_models.load(ledger.storage, unit.name)
        assert s == unit.settings
        test = torch.tensor(digits[split(len(digits), s.folds, s.seed, 0).test])
        sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, 16)
        named = seeds.of_fold(s.seed, 0)
        scores = evaluate(model, test, s.loss, sampler, named, s.evaluation.latent)
        for name in ("unconditioned_per_pixel", "conditioned_per_pixel", "latent_loss"):
            assert scores.get(name) == tabulated[unit.id][name]


def test_order_and_earlier_units_change_no_digit(plan, ledger, digits, tmp_path):
    other = type(ledger)(ledger.storage.folder("../other"))
    for unit in plan.units:
        run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {})
    torch.manual_seed(77)
    for unit in reversed(plan.units):
        run_unit.run_unit(unit, Loaded(digits), other, "cpu", {})
    assert rows_of(ledger) == rows_of(other)


def test_what_was_loaded_with_the_images_is_used(plan, ledger, digits):
    """Notes enter the log, hashes the record, and the folds make the split. A hash that is missing is computed."""
    first, second = plan.units[0], next(unit for unit in plan.units[1:] if unit.key != plan.units[0].key)
    folds = {FoldDraw.of(first.settings.folds, first.settings.seed): np.repeat([0, 1], [20, 40])}
    loaded = Loaded(digits, ("one file was skipped",), "d" * 64, "f" * 64, folds)
    assert run_unit.run_unit(first, loaded, ledger, "cpu", {}) == "done"
    assert "\none file was skipped\n" in ledger.storage.read(f"logs/{first.name}.log").decode()
    assert run_unit.run_unit(second, Loaded(digits), ledger, "cpu", {}) == "done"
    records = {row["key"]: row for row in ledger.read()[0]}
    assert [records[first.key][name] for name in ("data_hash", "files_hash", "test_images")] == ["d" * 64, "f" * 64, 20]
    bare = [fingerprint(digits), None, 30]
    assert [records[second.key][name] for name in ("data_hash", "files_hash", "test_images")] == bare


def test_a_done_unit_is_not_trained_again(plan, ledger, digits, monkeypatch):
    run_unit.run_unit(plan.units[0], Loaded(digits), ledger, "cpu", {})
    monkeypatch.setattr(training, "prepare", lambda *_: pytest.fail("trained again"))
    assert run_unit.run_unit(plan.units[0], Loaded(digits), ledger, "cpu", {}) == "done before"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory: CUDA out of memory"),
        (MemoryError(), "out of memory: "),
        (ZeroDivisionError("a\nb"), "ZeroDivisionError: a b"),
    ],
)
def test_a_failure_is_recorded_with_reason_and_log(plan, ledger, digits, monkeypatch, error, reason):
    def fail(*_):
        raise error

    monkeypatch.setattr(training, "prepare", fail)
    unit = plan.units[0]
    assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "failed"
    (row,), _ = ledger.read("failed")
    assert row["reason"] == reason
    assert "Traceback" in ledger.storage.read(f"logs/{unit.name}.log").decode()
    assert ledger.units() == frozenset()


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float32("nan")])
@pytest.mark.parametrize("column", ["unconditioned_per_pixel", "latent_loss", "mean_image_per_pixel"])
def test_a_score_must_be_finite(plan, ledger, digits, monkeypatch, column, value):
    """The unit fails, even if every loss of its training was finite, and its model is not kept."""
    score = training.score
    monkeypatch.setattr(training, "score", lambda inputs, fit: score(inputs, fit) | {column: value})
    assert run_unit.run_unit(plan.units[0], Loaded(digits), ledger, "cpu", {}) == "failed"
    (row,), _ = ledger.read("failed")
    assert row["reason"] == f"a score is not finite: {column} is {value}"
    assert (ledger.units(), ledger.storage.names("models")) == (frozenset(), [])


def test_rates_that_diverge_leave_a_table_of_numbers(tmp_path, capsys):
    """At learning rates between good ones and those whose losses overflow, only the scores of some folds are infinite.

    Which folds those are depends on the processor. The report can be printed in every format.
    """
    file = tmp_path / "inf3.yaml"
    file.write_text(
        "name: inf3\nseed: 3\ndata: {dataset: digits, limit: 400}\nfolds.selection: 1\n"
        "training: {batch_size: 64, epochs: 1}\n"
        "grid: [{family: gaussian_vae, training.lr: [0.001, 0.05, 0.0746, 0.0912]}]"
    )
    assert command(str(file), [], Options(str(tmp_path / "results"), inline=True)) == 1
    done, _ = open_ledger(tmp_path / "results", "inf3").read()
    assert all(math.isfinite(row[name]) for row in done for name in ("unconditioned_per_image", "latent_loss"))
    shown = json.loads(
        report(str(tmp_path / "results"), "inf3", ReportRequest(("table", "statistics", "differences"), "json"))
    )
    assert shown[0]["rows"][0]["folds"] == 5
    assert sum(row["failed"] for row in shown[0]["rows"]) > 0


def test_a_refused_allocation_is_out_of_memory(plan, ledger, digits, monkeypatch):
    """On the CPU torch raises a plain RuntimeError for an allocation that the system refuses."""
    monkeypatch.setattr(training.Fit, "epoch", lambda fit, after_step: torch.empty(2**50, dtype=torch.uint8))
    assert run_unit.run_unit(plan.units[0], Loaded(digits), ledger, "cpu", {}) == "failed"
    (row,), _ = ledger.read("failed")
    assert row["reason"].startswith("out of memory: ")
    assert "you tried to allocate 1125899906842624 bytes" in row["reason"]
    # This process can still run units.
    assert run_unit.run_unit(plan.units[2], Loaded(digits), ledger, "cpu", {}) == "failed"


def test_a_model_too_large_fails_alone(tmp_path):
    """The command runs under a real limit of its address space."""
    file = tmp_path / "large.yaml"
    file.write_text("""
        name: large
        data.limit: 60
        folds.n_splits: 2
        training.epochs: 1
        grid: [{family: vqvae, model.embeddings: [8, 500000000]}]
    """)
    limited = (
        "import resource, sys, runpy, torch\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 4 * 2**30,) * 2)\n"
        f"sys.argv = ['run', {str(file)!r}, '--inline', '--results', {str(tmp_path / 'results')!r}]\n"
        "runpy.run_module('sweeps.run', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    ledger = open_ledger(tmp_path / "results", "large")
    assert {row["model.embeddings"] for row in ledger.read()[0]} == {8}
    rows, _ = ledger.read("failed")
    assert len(rows) == 2
    assert {row["reason"].partition(": ")[0] for row in rows} == {"out of memory"}


def test_a_diverging_unit_fails_and_says_so(read_grid, ledger, digits):
    g = read_grid("name: a\ndata.limit: 60\nfolds.n_splits: 2\ntraining: {epochs: 30, lr: 1e+30}\ngrid: [{}]")
    unit = Plan(g, frozenset(), frozenset()).units[0]
    assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "failed"
    (row,), _ = ledger.read("failed")
    assert row["reason"].startswith("a loss is not finite in epoch")


def test_a_made_case_of_collapse():
    """A model that answers with the mean image has collapsed; one that copies has not."""
    scores = {"unconditioned_per_pixel": 0.05}
    assert has_collapsed(scores | {"mean_image_per_pixel": 0.0999}, "none")
    assert not has_collapsed(scores | {"mean_image_per_pixel": 0.1001}, "none")
    scores = {"unconditioned_per_pixel": 0.5, "conditioned_per_pixel": 0.04, "mean_image_per_pixel": 0.0999}
    assert not has_collapsed(scores, "conditioned")  # never trained without a condition
    assert has_collapsed(scores, "single_decoder")


def test_a_missing_gpu_is_told_before_training():
    assert devices.pick_device(0) == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(devices.PlacementError, match="torch sees no GPU"):
            devices.pick_device(0.5)


TRAINS = """
import sys
import numpy as np
from sweeps.config import grid
from sweeps.data.datasets import Loaded
from sweeps.data.splits import FoldDraw
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.worker import run_unit

unit = Plan(grid.load(sys.argv[1]), frozenset(), frozenset()).units[0]
images = np.zeros((60, 1, 16, 16), np.uint8)  # a data set is read by another process
folds = {FoldDraw.of(unit.settings.folds, unit.settings.seed): np.arange(60) % 2}  # they come with the images
assert run_unit.run_unit(unit, Loaded(images, folds=folds), open_ledger(sys.argv[2], "tiny"), "cpu", {}) == "done"
print("sklearn" in sys.modules)
"""


def test_a_worker_does_not_load_what_only_a_driver_needs(tiny_file, tmp_path):
    """scikit-learn is 110 MB of the memory that a worker may take."""
    command = [sys.executable, "-c", TRAINS, str(tiny_file), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
