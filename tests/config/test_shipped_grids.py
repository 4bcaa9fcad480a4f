"""Every shipped grid: its size, and one training step of each model in it at its own shape."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from mtvae.conditioning import ConditionSampler
from mtvae.model import build
from mtvae.training import Fit, TrainingSet
from sweeps.config import grid
from sweeps.data import seeds
from sweeps.data.datasets import shape
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.run.dry_run import dry_run

FOLDER = grid.SHIPPED
SIZES: Mapping[str, tuple[int, int]] = {  # rows, units
    "grid_quick.yaml": (12, 60),
    "grid_digits.yaml": (18, 90),
    "grid_controls_mnist10k.yaml": (8, 40),
    "grid_mnist10k.yaml": (18, 90),
    "grid_vqvae.yaml": (45, 225),
    "grid_gaussian.yaml": (30, 150),
    "grid_controls.yaml": (20, 100),
    "grid_exponents.yaml": (28, 140),
    "grid_prior.yaml": (7, 355),
    "grid_prior_mnist.yaml": (1, 55),
    "grid_schedule.yaml": (8, 120),
    "grid_thesis.yaml": (45, 225),
    "grid_thesis_as_run.yaml": (45, 225),
    "grid_thesis_as_written.yaml": (35, 175),
}


def test_all_of_them_are_tested():
    assert {path.name for path in FOLDER.glob("*.yaml")} == SIZES.keys()


@pytest.mark.parametrize("name", SIZES)
def test_sizes_and_header(name):
    g = grid.load(name)
    rows, units = SIZES[name]
    plan = Plan(g, frozenset(), frozenset())
    assert (len(plan.rows), len(plan.units), g.merged) == (rows, units, 0)
    header = (FOLDER / name).read_text()
    assert f"python -m sweeps.run {name}" in header
    assert re.search(rf"{rows} (rows|models?)\b.*\b{units} units", header)
    assert "Expect" in header or "expect" in header


@pytest.mark.parametrize("name", SIZES)
def test_a_dry_run_confirms_the_header(name, tmp_path):
    """The images and the operations that a header names are those of the dry run, to the digits that it gives."""
    text = dry_run(Plan(grid.load(name), frozenset(), frozenset()), open_ledger(tmp_path, "new"), 2, False)
    header = " ".join((FOLDER / name).read_text().replace("\n#", " ").split())
    assert f"{SIZES[name][0]} configurations" in text and f"{SIZES[name][1]} to train" in text
    images = int(re.search(r"([\d,]+) images to train", text)[1].replace(",", ""))
    said, digits = re.search(r"([\d,]+(?:\.(\d))?) million images", header).groups()
    assert float(said.replace(",", "")) == round(images / 1e6, len(digits or ""))
    operations = re.search(r"about (\S+) floating-point operations", text)[1].replace("e+", "e")
    assert f"{operations} floating-point operations" in header


def test_the_text_s_loss_is_its_sum():
    """In the text the VQ loss sums over the E elements of a vector, and a reconstruction is the mean over pixels.

    SoftAdapt's weights replace `loss.latent_weight`, so that no row has both.
    """
    for row in grid.load("grid_thesis_as_written.yaml").rows:
        element = row.model.embedding_size if row.family == "vqvae" else row.architecture.side**2
        assert row.loss.latent_weight == element
        assert (row.soft_adapt.variant, row.model.output, row.folds.selection) == (None, "linear", "fold")


def test_the_published_rows():
    """The grid's rows are the published table's rows, compared by their names of settings."""
    published = Path(__file__).parents[3] / "shared" / "published_table.csv"
    if not published.exists():
        pytest.skip(f"no {published.name} beside the project")
    import csv

    rows = list(csv.DictReader(published.open()))
    wanted = {
        (r["family"], int(r["configuration"]), r["method"], r["sampler"], r["exponent_label"], r["soft_adapt"])
        for r in rows
    }
    fixed_weights = {row for row in wanted if row[-1] == "false"}
    grids = dict.fromkeys(("grid_thesis.yaml", "grid_thesis_as_run.yaml"), wanted)
    for name, rows_of_grid in (grids | {"grid_thesis_as_written.yaml": fixed_weights}).items():
        ours = {
            (
                r.family,
                r.configuration,
                r.method,
                r.sampler or "",
                "" if r.exponent is None else f"{r.exponent:g}",
                str(r.soft_adapt.variant is not None).lower(),
            )
            for r in grid.load(name).rows
        }
        assert ours == rows_of_grid


RAN = set()
"""The models that ran one step, by what tells them apart."""


@pytest.mark.parametrize("name", SIZES)
def test_every_model_of_it_runs_one_step(name):
    """Each model runs on random images of the data set's shape, so that no files are needed.

    A model that occurs again, with other training settings or in another grid, runs once.
    """
    for row in grid.load(name).rows:
        channels, side = shape(row.data)
        model_and_images = (row.architecture, row.condition_sampler, row.soft_adapt.variant, channels, side)
        if model_and_images in RAN:
            continue
        RAN.add(model_and_images)
        images = torch.randint(
            0, 256, (6, channels, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
        model = build(row.architecture, torch.Generator().manual_seed(0))
        sampler = None if row.condition_sampler is None else ConditionSampler(row.condition_sampler, side)
        fit = Fit(
            model,
            TrainingSet(images, torch.arange(4), torch.arange(4, 6)),
            row.loss,
            row.training,
            sampler,
            seeds.of_fold(row.seed, 0),
            row.evaluation.latent,
            row.soft_adapt,
        )
        fit.epoch()
        assert fit.best_epoch == 1
