"""Scores of a model on a set of images, always both reconstructions where the method has them."""

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtvae.conditioning import ConditionSampler, zero_condition
from mtvae.config import (
    CONDITION_PIXELS,
    CONDITIONED,
    SCALES,
    TRAINING_UNCONDITIONED,
    UNCONDITIONED,
    Loss,
    Metric,
    Scale,
)
from mtvae.model import Model

BATCH_SIZE = 512  # a constant, not a setting: it decides how the seeded draws fall on the images


def to_pixels(images: Tensor) -> Tensor:
    """uint8 (N,C,H,H) -> float32 in [0,1]."""
    return images.float() / 255


Scores = dict[str, float]
"""Means over the scored images, by the names of the metrics' columns. What does not exist for a model is not in it."""


def unconditioned(model: Model, z: Tensor, x: Tensor, decoder: nn.Module | None = None) -> Tensor:
    """Decode z alone: by the plain decoder, or by a conditioned one with the all-zero condition (3.3).

    Args:
        decoder: a conditioned decoder to take instead of the model's own (`with_empty_statistics`).
    """
    if model.plain is not None:
        return model.decode(z)
    if decoder is None:
        return model.decode_conditioned(z, zero_condition(x))
    return decoder((z, zero_condition(x)))  # type: ignore[no-any-return]


def generators(seeds: Mapping[str, int], device: torch.device | str = "cpu") -> tuple[torch.Generator, torch.Generator]:
    """Return the generators that draw z and the pixels of an evaluation, new at each call, so that each repeats.

    They are one generator, which draws both in turn, unless `seeds` has an `evaluation_sampler` beside `evaluation`.
    """
    z = torch.Generator(device).manual_seed(seeds["evaluation"])
    if "evaluation_sampler" not in seeds:
        return z, z
    return z, torch.Generator(device).manual_seed(seeds["evaluation_sampler"])


@torch.no_grad()
def evaluate(
    model: Model,
    images: Tensor,
    loss: Loss,
    sampler: ConditionSampler | None,
    seeds: Mapping[str, int],
    latent: str | None = "sample",
    decoder: nn.Module | None = None,
) -> Scores:
    """Score `model` on `images`, uint8 (N,C,H,H), in evaluation mode.

    Args:
        seeds: as `generators`.
        latent: "sample" draws one z per image, "mean" takes the mean; nothing to draw for vqvae.
        decoder: as `unconditioned`.
    """
    model.eval()
    draws_z, draws_pixels = generators(seeds, images.device)
    means: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}

    def add(name: str, mean: Tensor, n: int) -> None:
        means[name] = means.get(name, torch.zeros((), dtype=torch.float64, device=images.device)) + mean.double() * n

    for batch in images.split(BATCH_SIZE):
        x = to_pixels(batch)
        z = model.encode(x, draws_z if latent != "mean" else None)
        add(UNCONDITIONED.name, F.mse_loss(unconditioned(model, z.z, x, decoder), x), len(x))
        if sampler is not None:
            condition = sampler(x, draws_pixels)
            add(CONDITIONED.name, F.mse_loss(model.decode_conditioned(z.z, condition), x), len(x))
            add(CONDITION_PIXELS.name, condition[:, -1].sum() / len(x), len(x))
        for name, mean in model.latent_space.measures(z).items():
            add(name, mean, len(x))
        for name, total in model.latent_space.sums(z).items():
            sums[name] = sums[name] + total if name in sums else total
    found = {name: value.item() / len(images) for name, value in means.items()}
    scores = {name: found.pop(name) for name in (CONDITION_PIXELS.name,) if name in found}
    for metric in (UNCONDITIONED, CONDITIONED):
        if metric.name in found:
            scores |= scaled(metric, found.pop(metric.name), images[0].numel())
    return scores | model.latent_space.scores(found, sums, len(images), loss)


def training_error(
    model: Model,
    images: Tensor,
    loss: Loss,
    seeds: Mapping[str, int],
    latent: str | None = "sample",
    decoder: nn.Module | None = None,
) -> Scores:
    """Return the unconditioned error of images that trained the model, uint8 (N,C,H,H), as `evaluate` measures it."""
    return as_training_error(evaluate(model, images, loss, None, seeds, latent, decoder))


def as_training_error(scores: Scores) -> Scores:
    """Return the columns of the error of training images, from the scores of these images."""
    return dict(zip(TRAINING_UNCONDITIONED.columns, (scores[name] for name in UNCONDITIONED.columns), strict=True))


@torch.no_grad()
def with_empty_statistics(
    model: Model, images: Tensor, train: Tensor, seeds: Mapping[str, int], latent: str | None = "sample"
) -> nn.Module:
    """Return a copy of the conditioned decoder whose batch statistics are those of the zero condition.

    In training they ran over conditions of every size. Here they are the plain averages over the batches of the images
    at `train`, decoded from their z without a revealed pixel. uint8 images (n,C,H,H).
    """
    assert model.conditioned is not None
    model.eval()
    decoder = copy.deepcopy(model.conditioned).train()
    for module in decoder.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain average instead of a moving one
    draws_z, _ = generators(seeds, images.device)
    for batch in train.split(BATCH_SIZE):
        if len(batch) < 2 <= len(train):  # one image has no variance
            continue
        x = to_pixels(images[batch])
        z = model.encode(x, draws_z if latent != "mean" else None)
        decoder((z.z, zero_condition(x)))
    return decoder.eval()


def scaled(metric: Metric, per_pixel: float, pixels: int) -> Scores:
    """Return the columns of a reconstruction error: per pixel, and C H W times as much per image."""
    sizes: dict[Scale, int] = {"per_pixel": 1, "per_image": pixels}
    return {f"{metric.name}_{scale}": per_pixel * sizes[scale] for scale in SCALES}


def mean_image_error(images: Tensor, train: Tensor, test: Tensor) -> float:
    """Return the squared error per pixel of predicting every test image by the training set's mean image.

    Takes uint8 images (n,C,H,H) and the indices of both parts.
    """
    # Running sums, as integers: exact, and neither a copy of the training images nor a result kept for every batch,
    # behind which the allocator cannot reuse what the batch took.
    total = torch.zeros_like(images[0], dtype=torch.int64)
    error = torch.zeros((), dtype=torch.float64, device=images.device)
    for batch in train.split(BATCH_SIZE):
        total += images[batch].sum(0, dtype=torch.int64)
    mean = (total.double() / (255 * len(train))).float()
    for batch in test.split(BATCH_SIZE):
        x = to_pixels(images[batch])
        error += F.mse_loss(x, mean.expand(x.shape)) * len(x)
    return error.item() / len(test)
