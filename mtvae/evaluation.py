"""Scores of a model on a set of images, always both reconstructions where the method has them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mtvae.conditioning import ConditionSampler, zero_condition
from mtvae.config import Loss, VQSizes
from mtvae.losses import kl_divergence
from mtvae.model import Model

BATCH_SIZE = 512  # a constant, not a setting: it decides how the seeded draws fall on the images


def to_pixels(images: Tensor) -> Tensor:
    """uint8 (N,C,H,H) -> float32 in [0,1]."""
    return images.float() / 255


@dataclass(frozen=True)
class Scores:
    """Means over the scored images. Squared errors per image are per pixel times C H W. None: does not exist here."""

    unconditioned_per_pixel: float
    unconditioned_per_image: float
    conditioned_per_pixel: float | None
    conditioned_per_image: float | None
    latent_loss: float | None  # gaussian_vae: nats per image; vqvae: per element of the grid
    codebook_loss: float | None
    commitment_loss: float | None
    perplexity: float | None  # exp(entropy) of the codebook's use over all scored images, 1 to K
    condition_pixels: float | None  # pixels that the sampler really revealed per image, counted in its masks


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
    used = None

    def add(name: str, mean: Tensor, n: int) -> None:
        sums[name] = sums.get(name, torch.zeros((), dtype=torch.float64, device=images.device)) + mean.double() * n

    for batch in images.split(BATCH_SIZE):
        x = to_pixels(batch)
        z = model.encode(x, generator if latent != "mean" else None)
        add("unconditioned", F.mse_loss(unconditioned(model, z.z, x), x), len(x))
        if sampler is not None:
            condition = sampler(x, generator)
            add("conditioned", F.mse_loss(model.decode_conditioned(z.z, condition), x), len(x))
            add("condition_pixels", condition[:, -1].sum() / len(x), len(x))
        if z.indices is not None:
            assert z.codebook_loss is not None and z.commitment_loss is not None
            add("codebook_loss", z.codebook_loss, len(x))
            add("commitment_loss", z.commitment_loss, len(x))
            assert isinstance(model.architecture.sizes, VQSizes)
            if used is None:
                used = z.indices.new_zeros(model.architecture.sizes.embeddings)
            flat = z.indices.flatten()  # not bincount, which waits for a GPU to learn the largest
            used.scatter_add_(0, flat, torch.ones_like(flat))
        elif z.mean is not None:
            add("kl", kl_divergence(z), len(x))
    means = {name: value.item() / len(images) for name, value in sums.items()}
    if used is None:
        latent_mean, perplexity = means.get("kl"), None
    else:
        assert loss.commitment_weight is not None
        latent_mean = means["codebook_loss"] + loss.commitment_weight * means["commitment_loss"]
        p = used[used > 0].double() / used.sum()
        perplexity = (-(p * p.log()).sum()).exp().item()
    pixels = images[0].numel()
    conditioned = means.get("conditioned")
    return Scores(
        unconditioned_per_pixel=means["unconditioned"],
        unconditioned_per_image=means["unconditioned"] * pixels,
        conditioned_per_pixel=conditioned,
        conditioned_per_image=None if conditioned is None else conditioned * pixels,
        latent_loss=latent_mean,
        codebook_loss=means.get("codebook_loss"),
        commitment_loss=means.get("commitment_loss"),
        perplexity=perplexity,
        condition_pixels=means.get("condition_pixels"),
    )


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
