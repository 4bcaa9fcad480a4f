"""The stage `samples`: draw from the prior of the same fold, and hold the images against real ones (2.3, 5.1)."""

import datetime
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from mtvae.conditioning import ConditionSampler
from mtvae.config import METHODS, SamplerName
from mtvae.evaluation import to_pixels
from mtvae.latent_spaces import perplexity
from mtvae.model import Model
from mtvae.prior.drawing import Drawn, decode, draw_latent
from mtvae.prior.fitting import AnyPrior
from mtvae.prior.given_pixels import GivenPixels, can_reveal, measure_given_pixels
from mtvae.prior.nearest import nearest
from sweeps.data import seeds
from sweeps.ledger.schema import Row
from sweeps.stages.base import Inputs, Train, finite
from sweeps.stages.parents import model_of
from sweeps.stages.prior import prior_of

SAMPLERS: tuple[SamplerName, ...] = ("exact", "uniform", "gaussian")


def run(inputs: Inputs, train: Train) -> Row:
    """Draw samples without and with given pixels. Return the unit's result columns."""
    model, _ = model_of(inputs, train)
    prior, labels = prior_of(inputs, train, model)
    unit, split, images = inputs.unit, inputs.split, inputs.pixels
    generation = unit.settings.generation
    assert generation.samples is not None and generation.images is not None
    seed = seeds.derive(unit.settings.seed, seeds.SAMPLES, unit.fold)
    test, training = (torch.tensor(part, device=images.device) for part in (split.test, split.train))
    drawn = draw(model, prior, generation.samples, seed, None if labels is None else labels[training])
    real = images[test[: generation.samples]]
    return finite(
        {
            "sample_perplexity": _code_perplexity(drawn.codes),
            "sample_distance": nearest(decode(model, drawn.z), images[training])[0].mean().item(),
            "test_distance": nearest(to_pixels(real), images[training])[0].mean().item(),
            "given_pixels": _given_pixels(inputs, model, prior, test[: generation.images], seed, labels),
            "split_hash": split.hash,
            "test_images": len(split.test),
            "device": torch.cuda.get_device_name() if inputs.device == "cuda" else "cpu",
            "finished_at": datetime.datetime.now(datetime.UTC),
        }
    )


def draw(model: Model, prior: AnyPrior, number: int, seed: int, labels: Tensor | None) -> Drawn:
    """Draw from a prior; for one with classes, these are drawn from the classes (M,) of the training set."""
    generator = torch.Generator().manual_seed(seed)
    own = None
    if labels is not None:
        own = labels[torch.randint(len(labels), (number,), generator=generator).to(labels.device)]
    return draw_latent(prior, model, number, generator, own)


def _code_perplexity(codes: Tensor | None) -> float | None:
    """Return the perplexity of codes (N,h,h); None without codes."""
    return None if codes is None else perplexity(codes.flatten().bincount())


def _given_pixels(
    inputs: Inputs, model: Model, prior: AnyPrior, places: Tensor, seed: int, labels: Tensor | None
) -> list[dict[str, Any]] | None:
    """Return the scores for every sampler and count; None for a model without a conditioned decoder."""
    settings = inputs.unit.settings
    if not METHODS[settings.final_method].conditioned:
        return None
    assert settings.generation.counts is not None and settings.generation.draws is not None
    own = None if labels is None else labels[places]
    pixels = settings.architecture.side**2
    if left_out := [count for count in settings.generation.counts if count >= pixels]:
        texts = ", ".join(f"{count:,}" for count in left_out)
        inputs.notes.append(f"generation.counts {texts}: left out, because an image has {pixels:,} pixels in all")
    images, found = inputs.pixels[places], []
    measured: dict[tuple[SamplerName | None, int], GivenPixels] = {}  # without a pixel samplers do not differ
    for sampler in SAMPLERS:
        for count in settings.generation.counts:
            if not can_reveal(sampler, count, settings.architecture.side):
                continue
            which = sampler if count else None, count
            if which not in measured:
                draws = settings.generation.draws
                measured[which] = measure_given_pixels(model, prior, images, sampler, count, draws, seed, own)
            scores = replace(measured[which], pixels_by=sampler)
            found.append(asdict(scores) | {"trained": _was_trained(inputs, sampler, count)})
    return found


def _was_trained(inputs: Inputs, sampler: str, count: int) -> bool:
    """Whether the training drew conditions of this sampler with this many pixels: always so with a power law."""
    settings = inputs.unit.settings
    options = settings.condition_sampler
    assert options is not None
    if count == 0:
        return options.exponent is not None
    drawn = ConditionSampler(options, settings.architecture.side).count
    return sampler == options.sampler and drawn in (None, count)
