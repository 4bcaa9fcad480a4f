"""Figures and pictures of priors: what they show, how many there are, and what is said of those that are missing."""

import shutil

import numpy as np
import pytest
import torch
from matplotlib.colors import LogNorm

from mtvae.evaluation import to_pixels
from sweeps.analysis.results import read_table
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.report.figures import drawing, pictures, prior_figures, prior_pictures
from sweeps.run.command import command
from sweeps.run.options import Options

GRID = """
name: pictured
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
prior: {layers: 2, width: 4, epochs: 1}
generation: {samples: 4, images: 4, draws: 2, counts: [0, 9]}
grid:
  - {family: vqvae, method: [multi_decoder, single_decoder], prior.kind: pixelcnn, prior.labels: true}
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Train a sweep of two models with a prior each, and return its folder."""
    folder = tmp_path_factory.mktemp("pictured")
    (folder / "pictured.yaml").write_text(GRID)
    assert command(str(folder / "pictured.yaml"), [], Options(str(folder / "results"), inline=True)) == 0
    return folder / "results" / "pictured"


@pytest.fixture
def ledger(swept, tmp_path):
    """Copy the ledger, so that a test may damage it."""
    shutil.copytree(swept, tmp_path / "pictured")
    return Ledger(Storage(tmp_path / "pictured"))


def names(figure):
    return [text.get_text().replace("\xa0", " ").replace("\n", " ") for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(("most", "figures"), [(12, 1), (1, 2)])
def test_every_row_given_pixels_is_drawn(ledger, monkeypatch, most, figures):
    """Two rows are in one figure, or else in one for each method."""
    monkeypatch.setattr(prior_figures, "MOST_LINES", most)
    found = prior_figures.prior_figures(read_table(ledger, extra_columns=("given_pixels",)))
    given = [figure for name, figure in found.items() if name.startswith("given-pixels-vqvae-1")]
    assert len(given) == figures
    lines = [name for figure in given for name in names(figure)]
    assert len(set(lines)) == len(lines) == 2
    assert all("left out" not in figure.get_supxlabel().lower() for figure in given)


def test_receptive_fields_share_one_readable_colour_bar(ledger):
    """All panels have the norm of the colour bar, whose labels hold no markup, and the title fits into the figure."""
    found, _ = pictures.pictures(ledger, read_table(ledger))
    figure = next(figure for name, figure in found.items() if name.startswith("receptive-field"))
    drawing.save(figure)  # places the texts
    *panels, bar = figure.axes
    norms = {(image.norm.vmin, image.norm.vmax) for axes in panels for image in axes.images}
    assert len(norms) == 1 and all(isinstance(axes.images[0].norm, LogNorm) for axes in panels)
    assert [text.get_text() for text in bar.get_yticklabels()]
    assert all(float(text.get_text()) > 0 for text in bar.get_yticklabels())
    box = figure._suptitle.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_one_code_has_an_empty_receptive_field(ledger, monkeypatch):
    """The prediction of the only code of a grid depends on nothing, which is drawn."""
    monkeypatch.setattr(prior_pictures, "receptive_field", lambda *args: torch.zeros(4, 4))
    _, reasons = pictures.pictures(ledger, read_table(ledger))
    assert reasons == []


def test_samples_given_pixels_have_the_images_classes(ledger, digits, monkeypatch):
    """A prior with classes is given the class of the test image whose pixels are shown."""
    given = []
    whole = prior_pictures.draw_latent

    def draw_latent(prior, model, number, generator, labels=None, temperature=1.0):
        given.append(labels.tolist())
        return whole(prior, model, number, generator, labels, temperature)

    monkeypatch.setattr(prior_pictures, "draw_latent", draw_latent)
    table = read_table(ledger)
    found, reasons = pictures.pictures(ledger, table)
    assert reasons == []
    settings, _ = kept_models.load(ledger.storage, f"{table.rows[0].key}-fold0")
    loaded = pictures.load(settings.source)
    figure = next(figure for name, figure in found.items() if name.startswith("samples-"))
    shown = np.asarray(figure.axes[0].images[0].get_array())
    side, gap = 16, pictures.GAP
    y = gap + 2 * (side + gap)  # the third row of pictures has the test images
    tests = [shown[y : y + side, x : x + side, 0] for x in range(gap, 8 * (side + gap), side + gap)]
    images = to_pixels(torch.tensor(loaded.images))[:, 0].numpy()
    places = [next(i for i, image in enumerate(images) if (image == test).all()) for test in tests]
    by_number = list(range(8))
    assert (
        given[: 4 + prior_pictures.DRAWS] == [by_number] * 4 + [loaded.labels[places].tolist()] * prior_pictures.DRAWS
    )
    assert "classes of the samples: 0, 1, 2, 3, 4, 5, 6, 7" in figure.get_suptitle()


def test_other_classes_make_no_picture(ledger, monkeypatch):
    """A prior of other classes than those of the images is named, and no picture is drawn with wrong classes."""
    load = pictures.load
    monkeypatch.setattr(pictures, "load", lambda source: load(source)._replace(classes=tuple("abcdefghij")))
    _, reasons = pictures.pictures(ledger, read_table(ledger))
    assert sum(reason.endswith("the images there now have other classes than the prior") for reason in reasons) == 2


def test_priors_that_are_not_there_are_named(ledger):
    table = read_table(ledger)
    key = next(iter(table.later["prior"].models))
    ledger.storage.remove(f"models/{key}-fold0.safetensors")
    _, reasons = pictures.pictures(ledger, table)
    assert len(reasons) == 1 and reasons[0].endswith(f"no models/{key}-fold0.safetensors")
