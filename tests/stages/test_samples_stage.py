"""Samples as a stage behind the prior: their record, their table, and what happens if prior or model is lost."""

import json

import pytest
import torch

from mtvae.conditioning import zero_condition
from sweeps import frames, kept
from sweeps.config import grid
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options

GRID = """
name: drawn
data: {dataset: digits, limit: 80}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
prior: {layers: 2, width: 4, epochs: 1, components: 2}
generation: {samples: 10, images: 6, draws: 3, counts: [0, 9, 18, 256, 400]}
grid:
  - {family: vqvae, method: [none, multi_decoder], prior.kind: pixelcnn}
  - {family: gaussian_vae, method: single_decoder, prior.kind: mixture}
"""
VOLATILE = {"seconds", "finished_at", "peak_memory", "resumed"}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("drawn") / "drawn.yaml"
    path.write_text(GRID)
    assert command(str(path), [], Options(str(path.parent / "results"), inline=True)) == 0
    return path


@pytest.fixture
def ledger(file):
    return open_ledger(file.parent / "results", "drawn")


def samples_of(ledger):
    """Return the records of the stage by method and fold."""
    found = ledger.table("units")[0].to_pylist()
    return {(r["method"], r["fold"]): r for r in found if r["stage"] == "samples"}


def units(file, stage):
    plan = Plan(grid.load(str(file)), frozenset(), frozenset())
    return [unit for unit in plan.units if unit.stage == stage]


def test_every_model_has_samples(ledger):
    records = samples_of(ledger)
    assert len(records) == 6
    for record in records.values():
        assert 0 < record["sample_distance"] < 1 and 0 < record["test_distance"] < 1


def test_pixels_are_given_where_a_decoder_takes_them(ledger):
    """Counts that leave no pixel hidden, and those that are no square for `exact`, are left out."""
    for (method, _), record in samples_of(ledger).items():
        found = {(entry["pixels_by"], entry["pixels"]) for entry in record["given_pixels"] or ()}
        if method == "none":
            assert found == set()
        else:
            others = {(sampler, count) for sampler in ("uniform", "gaussian") for count in (0, 9, 18)}
            assert found == others | {("exact", 0), ("exact", 9)}


def test_counts_that_leave_nothing_hidden_are_said(file, ledger):
    unit = next(u for u in units(file, "samples") if u.settings.method == "multi_decoder")
    log = ledger.storage.read(f"logs/{unit.name}.log").decode()
    assert "generation.counts 256, 400: left out, because an image has 256 pixels in all" in log


def test_untrained_conditions_are_marked(ledger):
    """The multi decoder saw nine uniform pixels always, the single decoder any number of them, and none."""
    trained = {
        method: {(entry["pixels_by"], entry["pixels"]) for entry in record["given_pixels"] or () if entry["trained"]}
        for (method, fold), record in samples_of(ledger).items()
        if fold == 0
    }
    assert trained["multi_decoder"] == {("uniform", 9)}
    none = {(sampler, 0) for sampler in ("exact", "uniform", "gaussian")}
    assert trained["single_decoder"] == none | {("uniform", 9), ("uniform", 18)}


def sheet_of(file, kind, format="json"):
    text = report(str(file.parent / "results"), "drawn", ReportRequest(kinds=(kind,), format=format))
    return json.loads(text)[0] if format == "json" else text


def test_the_table_of_samples(file):
    """It has every prior, and the perplexity of codes where there are codes."""
    sheet = sheet_of(file, "samples")
    assert [row["folds"] for row in sheet["rows"]] == [2, 2, 2]
    for row in sheet["rows"]:
        assert row["sample_distance_mean"] > 0 and row["test_distance_mean"] > 0
        if row["family"] == "vqvae":
            assert 1 <= row["sample_perplexity_mean"] <= 128 and 1 <= row["perplexity_mean"] <= 128
        else:
            assert row["sample_perplexity_mean"] is None


def test_the_table_of_given_pixels(file):
    text = sheet_of(file, "given_pixels", "text")
    assert "9 †" in text and "coverage" in text
    sheet = sheet_of(file, "given_pixels")
    assert len(sheet["rows"]) == 16 and all(row["folds"] == 2 for row in sheet["rows"])
    assert all(0 <= row["coverage_mean"] <= 1 for row in sheet["rows"])


def test_an_untrained_output_is_marked_with_priors(tmp_path):
    """The zero condition is marked in the table of priors as in that of models, with one footnote."""
    text = "name: drawn\ndata: {dataset: digits, limit: 40}\nfolds: {n_splits: 2}\ntraining: {epochs: 1}\ngrid:\n"
    text += "  - {family: gaussian_vae, method: [conditioned, multi_decoder], prior.kind: normal}\n"
    path = tmp_path / "drawn.yaml"
    path.write_text(text)
    assert command(str(path), [], Options(str(tmp_path / "results"), inline=True)) == 0
    lines = sheet_of(path, "priors", "text").splitlines()
    (marked,) = [line for line in lines if line.startswith("conditioned")]
    (other,) = [line for line in lines if line.startswith("multi_decoder")]
    assert marked.count("†") == 2 and "†" not in other
    assert "†: the zero condition, on which method conditioned was never trained" in lines


def test_frames_of_priors_and_given_pixels(file):
    results = file.parent / "results"
    priors = frames.priors("drawn", results)
    assert list(priors["prior.kind"]) == ["pixelcnn", "pixelcnn", "mixture"] and priors["bits_per_image_mean"].all()
    entries = frames.given_pixels("drawn", results)
    assert len(entries) == 32 and set(entries["pixels_by"]) == {"exact", "uniform", "gaussian"}
    assert entries["crps"].between(0, 1).all() and set(entries["method"]) == {"multi_decoder", "single_decoder"}


def test_three_lines_load_and_sample(file):
    """A generator draws the same images for a seed, given pixels too where the model takes them."""
    results = file.parent / "results"
    for key, kind, method in frames.priors("drawn", results)[["key", "prior.kind", "method"]].itertuples(index=False):
        generator = kept.load_generator("drawn", key, results=results)
        images = generator.sample(3, seed=1)
        assert images.shape == (3, 1, 16, 16) and images.min() >= 0 and images.max() <= 1, kind
        assert torch.equal(images, generator.sample(3, seed=1)) and not torch.equal(images, generator.sample(3, seed=2))
        condition = zero_condition(images)
        if method == "none":
            with pytest.raises(ValueError, match="no conditioned decoder"):
                generator.sample_given(condition)
        else:
            assert generator.sample_given(condition).shape == images.shape
        with pytest.raises(ValueError, match="the prior has no classes"):
            generator.sample(1, labels=["1"])


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_must_be_above_zero(file, temperature):
    """At 0 all probabilities would be NaN, and every code the last one."""
    results = file.parent / "results"
    generator = kept.load_generator("drawn", frames.priors("drawn", results)["key"][0], results=results)
    with pytest.raises(ValueError, match=f"temperature {temperature:g} must be above 0"):
        generator.sample(1, temperature=temperature)


def test_an_unknown_class_is_named(file):
    """A number in place of a name is answered as any other name that the prior does not have."""
    results = file.parent / "results"
    whole = kept.load_generator("drawn", frames.priors("drawn", results)["key"][0], results=results)
    generator = kept.Generator(whole.model, whole.prior, ("1", "2"))
    with pytest.raises(ValueError, match="1 is no class of the prior; did you mean 1"):
        generator.sample(1, labels=[1])


def test_a_prior_that_is_not_there_is_said(file):
    results = file.parent / "results"
    model_key = frames.priors("drawn", results)["model_key"][0]
    assert kept.load_model("drawn", model_key, 1, results).plain is not None
    with pytest.raises(ValueError, match=f"no prior {model_key} of fold 0 is done in drawn"):
        kept.load_generator("drawn", model_key, results=results)
    with pytest.raises(FileNotFoundError, match=f"drawn has not kept {model_key}-fold7, see the setting keep_models"):
        kept.load_model("drawn", model_key, 7, results)


def test_a_lost_prior_is_fitted_again(file, ledger):
    """Samples from the prior that is fitted again are the same to the last digit."""
    before = {id_: {n: v for n, v in r.items() if n not in VOLATILE} for id_, r in samples_of(ledger).items()}
    (unit,) = [u for u in units(file, "samples") if u.settings.method == "multi_decoder" and u.fold == 0]
    key, fold = unit.requires[1]
    ledger.storage.remove(f"models/{key}-fold{fold}.safetensors")
    assert command(str(file), [], Options(str(file.parent / "results"), inline=True, redo=unit.name)) == 0
    after = {id_: {n: v for n, v in r.items() if n not in VOLATILE} for id_, r in samples_of(ledger).items()}
    assert after == before
    assert "its prior is fitted again" in ledger.storage.read(f"logs/{unit.name}.log").decode()


def test_a_redo_of_a_prior_marks_its_samples(file, capsys):
    (unit,) = [u for u in units(file, "prior") if u.settings.method == "none" and u.fold == 1]
    assert command(str(file), [], Options(str(file.parent / "results"), inline=True, redo=unit.name)) == 0
    assert "[2/2]" in capsys.readouterr().out


def test_generation_changes_no_prior(read_grid):
    """Units of trainings and priors keep their keys; those of samples get others."""
    first, second = (
        Plan(read_grid(text), frozenset(), frozenset()).units for text in (GRID, GRID.replace("draws: 3", "draws: 4"))
    )
    for one, other in zip(first, second, strict=True):
        assert (one.key == other.key) == (one.stage != "samples")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{family: vqvae, generation.draws: 4}", "only a row with a prior has samples"),
        ("{family: vqvae, prior.kind: markov, generation.draws: 1}", "generation.draws is 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(read_grid, settings, expected):
    with pytest.raises(grid.GridError, match=expected):
        read_grid(f"name: a\ndata: {{dataset: digits}}\ngrid:\n  - {settings}\n")
