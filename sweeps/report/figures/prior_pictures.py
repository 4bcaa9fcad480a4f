"""Pictures of priors (2.3, 5.1, 2.5.1).

Samples stand beside their nearest training images, at several temperatures, and given pixels. A PixelCNN has its
receptive field.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import matplotlib
import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from mtvae.conditioning import ConditionSampler
from mtvae.config import VQSizes
from mtvae.config.prior import STAGE as PRIOR
from mtvae.evaluation import to_pixels
from mtvae.model import Model
from mtvae.prior.drawing import decode, draw_latent
from mtvae.prior.fitting import AnyPrior
from mtvae.prior.nearest import nearest
from mtvae.prior.pixelcnn import PixelCNN, receptive_field
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.data import seeds
from sweeps.data.datasets import Loaded
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.report.figures import pictures
from sweeps.report.figures.drawing import file_name, labels, model_text, short_setting

COLUMNS = 8
TEMPERATURES = (0.5, 0.8, 1.0, 1.2)
DRAWS, SHOWN_DRAWS = 32, 3  # samples given the same pixels: all make the standard deviation, a few are shown
HIDDEN_NAME = "light blue"  # pictures.HIDDEN in words


def prior_pictures(
    ledger: Ledger, table: Table, load: pictures.Load, roots: Mapping[str, str]
) -> dict[str, tuple[str, pictures.Make]]:
    """Return for the first fold of each prior a title and a function that draws it, by file name without ending."""
    priors = table.later.get(PRIOR)
    if priors is None:
        return {}
    names = labels(priors)
    found: dict[str, tuple[str, pictures.Make]] = {}
    for row in priors.shown:
        for fold in sorted(row.folds)[:1]:
            title = f"{model_text(row)}, {names[row.key]}, fold {fold}"
            name = file_name("samples", row.settings["family"], row.settings["prior.kind"], row.key)
            found[f"{name}-fold{fold}"] = (
                title,
                partial(_picture, ledger, priors.models[row.key], row, fold, title, load, roots),
            )
            if row.settings["prior.kind"] == "pixelcnn":
                name = file_name("receptive-field", row.settings["family"], row.key)
                found[f"{name}-fold{fold}"] = title, partial(_field_picture, ledger, row, fold, title)
    return found


@torch.no_grad()
def _picture(
    ledger: Ledger, model_key: str, row: TableRow, fold: int, title: str, load: pictures.Load, roots: Mapping[str, str]
) -> Figure:
    """Draw samples, their nearest training images, and samples at several temperatures and given pixels."""
    settings, model = pictures.kept(kept_models.load, ledger, f"{model_key}-fold{fold}")
    _, prior, classes = pictures.kept(kept_models.load_prior, ledger, f"{row.key}-fold{fold}")
    assert isinstance(model, Model)
    settings, loaded, parts = pictures.images_of(row, fold, settings, load, roots)
    images = torch.tensor(loaded.images)
    seed = seeds.derive(settings.seed, seeds.SAMPLES, fold)
    own = torch.arange(COLUMNS) % len(classes) if classes else None
    of_test = _classes_of(loaded, classes, parts.test[:COLUMNS].tolist())
    test, training = to_pixels(images[torch.tensor(parts.test[:COLUMNS])]), images[torch.tensor(parts.train)]
    drawn = {t: _drawn(model, prior, seed, own, t) for t in TEMPERATURES}
    rows: list[tuple[str, Tensor]] = []
    if own is not None:
        title += f"\nclasses of the samples: {', '.join(short_setting(classes[i]) for i in own.tolist())}"
    for text, shown in (("sample", drawn[1.0]), ("test image", test)):
        distance, places = nearest(shown, training)
        rows += [(text, shown), ("nearest in\ntraining set", to_pixels(training[places]))]
        title += f"\n{text}: {distance.mean():.3f} from its nearest training image (root mean square, mean of these)"
    rows += [(f"temperature {t:g}", drawn[t]) for t in TEMPERATURES if t != 1]
    if model.conditioned is not None and settings.condition_sampler is not None:
        sampler = ConditionSampler(settings.condition_sampler, test.shape[-1])
        condition = sampler(test, torch.Generator().manual_seed(seed))
        rows.append(("given pixels", pictures.show_condition(condition)))
        decoded = []
        for i in range(DRAWS):
            z = draw_latent(prior, model, len(test), torch.Generator().manual_seed(seed + i), of_test).z
            decoded.append(model.decode_conditioned(z, condition))
        spread = torch.stack(decoded).std(0)
        rows += [(f"sample {i + 1}", images) for i, images in enumerate(decoded[:SHOWN_DRAWS])]
        rows.append((f"spread of {DRAWS},\nwhite: {spread.max():.2f}", spread / spread.max().clamp(min=1e-12)))
    return pictures.grid_of([pictures.colour(shown) for _, shown in rows], [text for text, _ in rows], title)


def _classes_of(loaded: Loaded, classes: Sequence[str], places: list[int]) -> Tensor | None:
    """Return the classes of images (n,) for a prior with classes; None for one without.

    Raises:
        NoPicture: the images have other classes than the prior.
    """
    if not classes:
        return None
    if loaded.labels is None or tuple(loaded.classes) != tuple(classes):
        raise pictures.NoPicture("the images there now have other classes than the prior")
    return torch.tensor(loaded.labels[places], dtype=torch.int64)


def _drawn(model: Model, prior: AnyPrior, seed: int, labels: Tensor | None, temperature: float) -> Tensor:
    drawn = draw_latent(prior, model, COLUMNS, torch.Generator().manual_seed(seed), labels, temperature)
    return decode(model, drawn.z)


def _field_picture(ledger: Ledger, row: TableRow, fold: int, title: str) -> Figure:
    """Draw how strongly the prediction of one code depends on each code, for three positions of the grid."""
    settings, prior, _ = pictures.kept(kept_models.load_prior, ledger, f"{row.key}-fold{fold}")
    assert isinstance(prior, PixelCNN)
    assert isinstance(settings.architecture.sizes, VQSizes)
    side = settings.architecture.sizes.grid_side(settings.architecture.side)
    figure = Figure(figsize=(7.2, 3.1), layout="constrained")
    positions = list(dict.fromkeys([(side // 2, 0), (side // 2, side // 2), (side - 1, side - 1)]))
    fields = [np.ma.masked_equal(receptive_field(prior, side, i, j).numpy(), 0) for i, j in positions]
    most = max((float(field.max()) for field in fields if field.count()), default=1.0)
    norm = LogNorm(vmin=most * 1e-4, vmax=most, clip=True)  # one for all, because they share the colour bar
    colours = matplotlib.colormaps["viridis"].with_extremes(bad=pictures.HIDDEN)
    for axes, field, (i, j) in zip(figure.subplots(1, len(fields), squeeze=False)[0], fields, positions, strict=True):
        image = axes.imshow(field, cmap=colours, norm=norm)
        axes.plot(j, i, marker="x", color="black")
        axes.set_title(f"row {i}, column {j}")
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks([])
    ticks = FuncFormatter(lambda value, _: f"{value:g}")  # the style shows no mathematics, such as powers of ten
    figure.colorbar(image, ax=figure.axes, label="largest |gradient|", format=ticks)
    figure.suptitle(f"{title}\non what the prediction at x depends; nothing in {HIDDEN_NAME}", fontsize=9)
    return figure
