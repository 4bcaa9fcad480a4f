"""The stage `prior`: fit a prior to the latent space of the trained model of the same fold (2.2.2), and measure it.

It is fitted to the training set of the fold. The validation set picks a PixelCNN's epoch and the decoder's variance,
and the test fold is measured.
"""

import datetime

import torch
from torch import Tensor

from mtvae.model import Model
from mtvae.prior.fitting import AnyPrior, PriorFit, build_prior, codes_of, vectors_of
from mtvae.prior.likelihood import measure
from mtvae.prior.mixtures import MixturePrior
from mtvae.prior.pixelcnn import PixelCNN
from mtvae.prior.tables import TablePrior
from sweeps.data import seeds
from sweeps.ledger import kept_models
from sweeps.ledger.schema import Row
from sweeps.stages.base import Inputs, Train, finite
from sweeps.stages.parents import model_of, why_lost


def run(inputs: Inputs, train: Train) -> Row:
    """Fit, measure and keep a prior. Return the unit's result columns."""
    model, difference = model_of(inputs, train)
    device, split, images = inputs.device, inputs.split, inputs.pixels
    labels, parts, named = _labels(inputs, device), _parts(inputs), _seeds(inputs)
    prior, trained = _fitted(inputs, train, model, labels)
    of = {name: None if labels is None else labels[places] for name, places in parts.items()}
    seed = named["prior_evaluation"]
    variance = measure(model, prior, images[parts["selection"]], seed, labels=of["selection"]).distortion
    found = measure(model, prior, images[parts["test"]], seed, variance or None, of["test"])
    results = finite(
        {
            "bits_per_code": found.bits_per_code,
            "bits_per_image": found.bits_per_image,
            "bound": found.bound,
            "decoder_variance": variance,
            "model_difference": difference,
            "parameters": sum(p.numel() for p in prior.parameters()),
            "train_images": len(split.train),
            "selection_images": len(split.selection),
            "test_images": len(split.test),
            "split_hash": split.hash,
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "finished_at": datetime.datetime.now(datetime.UTC),
        }
        | trained
    )
    inputs.keep(prior, inputs.classes if labels is not None else ())
    return results


def prior_of(inputs: Inputs, train: Train, model: Model) -> tuple[AnyPrior, Tensor | None]:
    """Return the prior that a later unit requires, and the classes of all images (N,) if it is given them.

    It is the kept one. If it was not kept, or is damaged, it is fitted again.

    Raises:
        ValueError: the prior was fitted to other classes, or to the same in another order.
    """
    labels = _labels(inputs, inputs.device)
    names = [f"{key}-fold{fold}" for key, fold in inputs.unit.requires[1:]]
    try:
        if inputs.storage is None:
            raise FileNotFoundError("no folder of kept models")
        _, prior, classes = kept_models.load_prior(inputs.storage, names[0], inputs.device)
    except (FileNotFoundError, kept_models.DamagedModel) as error:
        inputs.notes.append(f"its prior is fitted again ({why_lost(error)})")
        return _fitted(inputs, train, model, labels)[0], labels
    given = () if labels is None else inputs.classes
    if classes != given:
        names_of = [", ".join(names) or "none" for names in (classes, given)]
        raise ValueError(f"the prior knows the classes {names_of[0]}, and the images have {names_of[1]}")
    return prior, labels


def _labels(inputs: Inputs, device: str) -> Tensor | None:
    """Return the classes of all images (N,) if the prior is given them; a line says it if the images have none."""
    if not inputs.unit.settings.prior.labels:
        return None
    if inputs.labels is None:
        inputs.notes.append("the images have no classes, so the prior is not given any")
        return None
    return torch.as_tensor(inputs.labels.astype("int64"), device=device)


def _parts(inputs: Inputs) -> dict[str, Tensor]:
    """Return the indices of the training set, the validation set and the test fold, on the device."""
    names = ("train", "selection", "test")
    return {name: torch.tensor(getattr(inputs.split, name), device=inputs.device) for name in names}


def _seeds(inputs: Inputs) -> dict[str, int]:
    unit = inputs.unit
    return {name: seeds.derive(unit.settings.seed, name, unit.fold) for name in seeds.OF_PRIOR}


def _fitted(inputs: Inputs, train: Train, model: Model, labels: Tensor | None) -> tuple[AnyPrior, Row]:
    """Return a fitted prior in evaluation mode on the device, and the columns of its training."""
    prior, columns = _fit(inputs, train, model, labels)
    return prior.to(inputs.device).eval(), columns


def _fit(inputs: Inputs, train: Train, model: Model, labels: Tensor | None) -> tuple[AnyPrior, Row]:
    images, parts, named = inputs.pixels, _parts(inputs), _seeds(inputs)
    settings = inputs.unit.settings.prior
    classes = 0 if labels is None else len(inputs.classes)

    def build() -> AnyPrior:
        return build_prior(settings, model.architecture, classes, named["prior_init"]).to(inputs.device)

    if settings.kind != "pixelcnn":
        prior, own = build(), images[parts["train"]]
        if isinstance(prior, MixturePrior):
            prior.fit(vectors_of(model, own, named["prior_latent"]), named["prior_mixture"])
        elif isinstance(prior, TablePrior):
            prior.fit(codes_of(model, own), None if labels is None else labels[parts["train"]])
        return prior, {"best_epoch": None, "images_trained": 0}
    codes = codes_of(model, images)

    def make() -> PriorFit:
        module = build()
        assert isinstance(module, PixelCNN)
        return PriorFit(module, codes, parts["train"], parts["selection"], settings, named, labels)

    fit = train(make)
    fit.load_best()
    columns = {"best_epoch": fit.best_epoch, "history": fit.history, "images_trained": fit.images_trained}
    return fit.pixelcnn, columns
