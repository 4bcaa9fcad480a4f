"""Scores of a model on a set of images, always both reconstructions where the method has them."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mtvae.conditioning import ConditionSampler, zero_condition
from mtvae.config import CONDITION_PIXELS, CONDITIONED, SCALES, UNCONDITIONED, Loss, Metric, Scale
from mtvae.model import Model

BATCH_SIZE = 512  # a constant, not a setting: it decides how the seeded draws fall on the images


def to_pixels(images: Tensor) -> Tensor:
    """uint8 (N,C,H,H) -> float32 in [0,1]."""
    return images.float() / 255


Scores = dict[str, float]
"""Means over the scored images, by the names of the metrics' columns. What does not exist for a model is not in it."""


def unconditioned(model: Model, z: Tensor, x: Tensor) -> Tensor:
    """Images from z alone: the plain decoder, or a conditioned one with the all-zero condition (3.3)."""
    return model.decode(z) if model.plain is not None else model.decode_conditioned(z, zero_condition(x))


@torch.no_grad()
def evaluate(
    model: Model,
    images: Tensor,
    loss: Loss,
    sampler: ConditionSampler | None,
    seed: int,
    latent: str | None = "sample",
) -> Scores:
    """Scores `model` on `images`, uint8 (N,C,H,H), in evaluation mode.

    Args:
        seed: of one generator for z and the sampler, new at each call, so that each call makes the same draws.
        latent: "sample" draws one z per image, "mean" takes the mean; nothing to draw for vqvae.
    """
    model.eval()
    generator = torch.Generator(images.device).manual_seed(seed)
    sums: dict[str, Tensor] = {}
    counts: Tensor | None = None

    def add(name: str, mean: Tensor, n: int) -> None:
        sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64, device=images.device)) + mean.double() * n

    for batch in images.split(BATCH_SIZE):
        x = to_pixels(batch)
        z = model.encode(x, generator if latent != "mean" else None)
        add(UNCONDITIONED.name, F.mse_loss(unconditioned(model, z.z, x), x), len(x))
        if sampler is not None:
            condition = sampler(x, generator)
            add(CONDITIONED.name, F.mse_loss(model.decode_conditioned(z.z, condition), x), len(x))
            add(CONDITION_PIXELS.name, condition[:, -1].sum() / len(x), len(x))
        for name, mean in model.latent_space.measures(z).items():
            add(name, mean, len(x))
        more = model.latent_space.counts(z)
        counts = more if counts is None or more is None else counts + more
    means = {name: value.item() / len(images) for name, value in sums.items()}
    scores = {name: means.pop(name) for name in (CONDITION_PIXELS.name,) if name in means}
    for metric in (UNCONDITIONED, CONDITIONED):
        if metric.name in means:
            scores |= scaled(metric, means.pop(metric.name), images[0].numel())
    return scores | model.latent_space.scores(means, counts, loss)


def scaled(metric: Metric, per_pixel: float, pixels: int) -> Scores:
    """The columns of a reconstruction error: per pixel, and per image that is C H W times as much."""
    sizes: dict[Scale, int] = {"per_pixel": 1, "per_image": pixels}
    return {f"{metric.name}_{scale}": per_pixel * sizes[scale] for scale in SCALES}


def mean_image_error(images: Tensor, train: Tensor, test: Tensor) -> float:
    """Squared error per pixel of predicting every test image by the training images' mean image. uint8 images
    (n,C,H,H), and the indices of both parts."""
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
