"""Pictures of a sweep that need its images: what each sampler reveals, and reconstructions of the kept models.

Shapes: n images, C channels, side H; pixels in [0,1]. Pixels that are not revealed are shown in one colour of their
own, because black is also a pixel's value.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import TypeVar

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.utils import make_grid

from mtvae.conditioning import ConditionSampler
from mtvae.config import CONDITIONED, FAMILIES, METHODS, UNCONDITIONED, Batch, Conditioning
from mtvae.evaluation import BATCH_SIZE, generators, to_pixels, unconditioned
from mtvae.model import Model
from mtvae.own_model import Network
from mtvae.runtime.determinism import seeded
from sweeps.analysis.columns import data_text
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.config.settings import Settings, column
from sweeps.data import seeds
from sweeps.data.datasets import Data, DataError, Loaded, Source, load, test_half_count, test_image_count
from sweeps.data.hashes import SameImages
from sweeps.data.readers import Images
from sweeps.data.splits import Split, split
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import key_of, with_equivalent_limit
from sweeps.report.figures.drawing import apply_style, file_name, labels, model_text, short_setting, unused_name
from sweeps.report.figures.figures import footnote
from sweeps.report.thesis.pairs import like_the_thesis
from sweeps.text import one_line

COLUMNS = 8  # the first images of a fold
EXAMPLES = 3  # images of the sampling table
EXPONENT = 20.0  # the thesis's exponent that reveals most pixels
HIDDEN = (0.62, 0.72, 0.88)  # the colour of pixels that a sampler does not reveal
GAP = 2  # pixels of white between two images
SAMPLERS = {
    "exact": Conditioning(sampler="exact"),
    "uniform": Conditioning(sampler="uniform"),
    f"uniform,\na = {EXPONENT:g}": Conditioning(sampler="uniform", exponent=EXPONENT),
    f"gaussian,\na = {EXPONENT:g}": Conditioning(sampler="gaussian", exponent=EXPONENT),
}

Load = Callable[[Source], Loaded]
Make = Callable[[], Figure]
T = TypeVar("T")


def pictures(
    ledger: Ledger, table: Table, roots: Mapping[str, str] | None = None
) -> tuple[dict[str, Figure], list[str]]:
    """Return the pictures of a sweep by file name without ending, and a line for each that cannot be made.

    sampling-* shows what the thesis's samplers reveal (fig. 3.6), for each data set of rows that the thesis speaks of.
    images-* shows a kept model's reconstructions of the first images of its test fold.

    Args:
        roots: folders of data sets on this machine, by data set or `data.name`, where they differ from those of the
            training.
    """
    found: dict[str, Figure] = {}
    reasons: list[str] = []
    load_once = lru_cache(maxsize=1)(load)  # one data set in memory at a time

    def add(subject: str, name: str, make: Callable[[], Figure]) -> None:
        try:
            with apply_style():
                found[unused_name(name, found)] = make()
        except Exception as error:  # a foreign or damaged file may raise anything; the other pictures are still made
            reasons.append(f"no picture of {subject}: {_error_text(error)}")

    of_thesis = [row for row in table.shown if like_the_thesis(row)]
    for dataset, row in {data_text(row.settings): row for row in reversed(of_thesis)}.items():
        name = file_name("sampling", dataset)
        add(f"the samplers on {short_setting(dataset)}", name, partial(_samplers_picture, row, load_once, roots or {}))
    names = labels(table)
    for row in table.shown:
        row_text = f"{model_text(row)}, {names[row.key]}"
        name = file_name("images", *[row.settings[n] for n in ("family", "configuration", "method")], row.key)
        if row.settings["keep_models"] == "none":
            reasons.append("no pictures of models that were not kept (keep_models: none)")
        for fold in _folds_to_show(row) if row.family.reconstructs else ():
            title = f"{row_text}, fold {fold}"
            add(title, f"{name}-fold{fold}", partial(_model_picture, ledger, row, fold, title, load_once, roots or {}))
    from sweeps.report.figures.prior_pictures import prior_pictures

    for name, (title, make) in prior_pictures(ledger, table, load_once, roots or {}).items():
        add(title, name, make)
    return found, list(dict.fromkeys(reasons))


def _folds_to_show(row: TableRow) -> list[int]:
    """Return the folds whose models `keep_models` keeps."""
    return {"fold0": [0], "all": sorted(row.folds)}.get(row.settings["keep_models"], [])


def _error_text(error: Exception) -> str:
    explained = isinstance(error, DataError | NoPicture | kept_models.DamagedModel)
    return one_line(str(error) if explained else f"{type(error).__name__}: {str(error)[:200]}")


class NoPicture(ValueError):
    """A picture cannot be made; the message says why."""


def with_root(data: Data, roots: Mapping[str, str]) -> Data:
    """Return a data set with its folder on this machine, if `roots` has one."""
    root = roots.get(data.name or data.dataset) or roots.get(data.dataset)
    return data.model_copy(update={"root": root}) if root else data


def _samplers_picture(row: TableRow, load: Load, roots: Mapping[str, str]) -> Figure:
    """Return `sampling` of the first images of a row's data set."""
    data = Data.model_validate({leaf: row.settings.get(column(f"data.{leaf}")) for leaf in Data.model_fields})
    loaded = load(Source.of(with_root(data, roots), row.settings["folds.selection"], row.settings["seed"]))
    for fold in row.folds:
        check_images(row, fold, loaded)
    return sampling(
        loaded.images[:EXAMPLES],
        row.settings["seed"],
        f"{short_setting(data_text(row.settings))}: what the samplers reveal",
    )


def sampling(images: Images, seed: int, title: str = "") -> Figure:
    """Draw what each sampler reveals of images, uint8 (n,C,H,H): original, mask and result (thesis, fig. 3.6).

    Masks are drawn with the code and the seeds of a training's first fold.
    """
    x = to_pixels(torch.tensor(images))
    rows = []
    for kind in SAMPLERS.values():
        generator = torch.Generator().manual_seed(seeds.of_fold(seed, 0)["sampler"])
        condition = ConditionSampler(kind, x.shape[-1])(x, generator)
        triples = zip(colour(x), colour(condition[:, -1:]), show_condition(condition), strict=True)
        rows.append(torch.stack([picture for triple in triples for picture in triple]))
    figure = grid_of(rows, list(SAMPLERS), title)
    _name_columns(figure, ["original", "mask", "result"] * len(x), x.shape[-1])
    return figure


def _model_picture(
    ledger: Ledger, row: TableRow, fold: int, title: str, load: Load, roots: Mapping[str, str]
) -> Figure:
    """Draw a kept model's outputs for the first images of its test fold (thesis, figs. 4.1 and 4.3).

    Raises:
        NoPicture: there is no such model, or it does not belong to this row or to these images.
    """
    if fold not in row.folds:
        raise NoPicture("the fold is not done")
    try:
        FAMILIES[row.settings["family"]]
    except KeyError as error:
        raise NoPicture(f"it needs its module, {error.args[0]}") from None
    settings, model = kept(kept_models.load, ledger, f"{row.key}-fold{fold}")
    settings, loaded, parts = images_of(row, fold, settings, load, roots)
    keys = [key_of(same) for same in (settings, with_equivalent_limit(settings)) if same is not None]
    if row.key not in keys or parts.hash != (row.folds[fold]["split_hash"] or parts.hash):
        raise NoPicture("the kept model belongs to another row or to other images")
    first = parts.test[:BATCH_SIZE]
    labels = None if loaded.labels is None else torch.tensor(loaded.labels[first], dtype=torch.int64)
    shown = outputs(settings, model, torch.tensor(loaded.images[first]), fold, labels)
    if METHODS[settings.method].footnote:
        title += f"\n({footnote(METHODS[settings.method])})"
    return grid_of([colour(pictures[:COLUMNS]) for pictures in shown.values()], list(shown), title)


def kept(read: Callable[[Storage, str], T], ledger: Ledger, name: str) -> T:
    """Read the kept file of the unit `name` with a function of `kept_models`. Raise NoPicture if there is none."""
    try:
        return read(ledger.storage, name)
    except FileNotFoundError:
        raise NoPicture(f"no models/{name}.safetensors") from None


def images_of(
    row: TableRow, fold: int, settings: Settings, load: Load, roots: Mapping[str, str]
) -> tuple[Settings, Loaded, Split]:
    """Return a kept model's settings with its images' folder on this machine, these images, and its split of them.

    Raises:
        NoPicture: as `check_images`.
    """
    settings = settings.model_copy(update={"data": with_root(settings.data, roots)})
    loaded, test_images = load(settings.source), test_image_count(settings.source)
    check_images(row, fold, loaded)
    n, half = len(loaded.images) - test_images, test_half_count(settings.source)
    return settings, loaded, split(n, settings.folds, settings.seed, fold, half, test_images=test_images)


def check_images(row: TableRow, fold: int, loaded: Loaded) -> None:
    """Raise NoPicture where a fold saw other images than those that were read."""
    now, saw = (loaded.data_hash, loaded.files_hash), (row.folds[fold]["data_hash"], row.folds[fold]["files_hash"])
    if SameImages([now, saw]).differ(saw, now):
        raise NoPicture(f"the images there now are not those that fold {fold} saw")


@torch.no_grad()
def outputs(
    settings: Settings, model: Model | Network, images: Tensor, fold: int, labels: Tensor | None = None
) -> dict[str, Tensor]:
    """Return a model's outputs for images, uint8 (n,C,H,H), by name; each holds n pictures.

    The names are original, condition (in colour), unconditioned and conditioned, where the model has them. For the
    first BATCH_SIZE images of the test fold, latents and masks are those of the evaluation on a CPU.
    """
    x = to_pixels(images)
    separate = settings.evaluation.draws == "separate"
    named = seeds.of_fold(settings.seed, fold, separate_draws=separate)
    if isinstance(model, Network):
        with seeded(named["evaluation"], x.device):
            shown = model.reconstruct(Batch(x, labels))
        return {"original": x} if shown is None else {"original": x, UNCONDITIONED.name: shown}
    draws_z, draws_pixels = generators(named)
    z = model.encode(x, draws_z if settings.evaluation.latent != "mean" else None).z
    if settings.condition_sampler is None or model.conditioned is None:  # a switch ended the conditioned decoder
        return {"original": x, UNCONDITIONED.name: unconditioned(model, z, x)}
    condition = ConditionSampler(settings.condition_sampler, x.shape[-1])(x, draws_pixels)
    return {
        "original": x,
        "condition": show_condition(condition),
        UNCONDITIONED.name: unconditioned(model, z, x),
        CONDITIONED.name: model.decode_conditioned(z, condition),
    }


def show_condition(condition: Tensor) -> Tensor:
    """Return a condition (n,C+1,H,H) as pictures (n,3,H,H): the revealed pixels, and the others in one colour."""
    return torch.where(condition[:, -1:] > 0, colour(condition[:, :-1]), torch.tensor(HIDDEN).view(1, 3, 1, 1))


def colour(images: Tensor) -> Tensor:
    """Return (n,C,H,H) as (n,3,H,H), clamped to [0,1], which an output may leave."""
    return images.clamp(0, 1).expand(-1, 3, -1, -1)


def grid_of(rows: Sequence[Tensor], names: Sequence[str], title: str) -> Figure:
    """Draw rows of n pictures (n,3,H,H) each as one image, with the rows' names beside it."""
    n, side = len(rows[0]), rows[0].shape[-1]
    image = make_grid(torch.cat(list(rows)), nrow=n, padding=GAP, pad_value=1.0).permute(1, 2, 0).numpy()
    figure = Figure(figsize=(0.85 * n + 1.4, 0.85 * len(rows) + 0.5), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image, interpolation="nearest")
    axes.set_yticks(_centres(len(rows), side), names)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=9)
    return figure


def _name_columns(figure: Figure, names: Sequence[str], side: int) -> None:
    axes = figure.axes[0]
    axes.set_xticks(_centres(len(names), side), names)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)


def _centres(n: int, side: int) -> list[float]:
    """Return the centres of n pictures along one edge of a grid, in pixels."""
    return [GAP + side / 2 + i * (side + GAP) for i in range(n)]
