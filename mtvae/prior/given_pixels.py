"""Samples given pixels (2.3, 5.1): decode z from the prior with some pixels of an image, and hold them against it.

Shapes: N images, C channels, side H, S draws of z for each image; a condition is (N,C+1,H,H).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mtvae.conditioning import ConditionSampler, zero_condition
from mtvae.config import Conditioning, SamplerName
from mtvae.evaluation import to_pixels
from mtvae.model import Model
from mtvae.prior.drawing import draw_latent
from mtvae.prior.fitting import AnyPrior

BATCH = 64  # the most images at a time
DECODED = 1024  # the most decoded images at a time, S for each image
INTERVAL = 0.9


@dataclass(frozen=True)
class GivenPixels:
    """How samples given some pixels agree with the images that the pixels are of.

    Attributes:
        pixels_by, pixels: how the pixels were chosen, and how many positions were revealed at most.
        revealed_error: mean squared error of the samples at revealed pixels; None where none is revealed.
        hidden_error: the same at the other pixels.
        spread: standard deviation over the draws of z, root mean square over hidden pixels.
        coverage: share of hidden pixels within the central 90 % of the samples.
        crps: continuous ranked probability score at hidden pixels, in units of a pixel's value; lower is better.
    """

    pixels_by: SamplerName
    pixels: int
    revealed_error: float | None
    hidden_error: float
    spread: float
    coverage: float
    crps: float


def crps(samples: Tensor, truth: Tensor) -> Tensor:
    """Return the continuous ranked probability score of samples (S,...) for a truth (...), at least two samples.

    It is the estimate for a finite ensemble that is unbiased for the distribution behind it (Ferro 2014, "Fair scores
    for ensemble forecasts"): E|X - x| - E|X - X'| / 2, the second mean over pairs of different samples.
    """
    n = len(samples)
    ordered = samples.sort(0).values
    # The sum of |a - b| over all pairs of a sorted list is the sum of (2 i - n + 1) a_i, with i from 0.
    factors = torch.arange(n, device=samples.device, dtype=samples.dtype) * 2 - n + 1
    pairs = torch.tensordot(factors, ordered, dims=1)
    score: Tensor = (samples - truth).abs().mean(0) - pairs / (n * (n - 1))
    return score


def can_reveal(sampler: SamplerName, count: int, side: int) -> bool:
    """Return whether a sampler can reveal so many pixels and hide others: `exact` has a square grid of them."""
    return count < side**2 and (sampler != "exact" or round(count**0.5) ** 2 == count)


def conditioning_of(sampler: SamplerName, count: int, side: int) -> Conditioning:
    """Return the options of a sampler that reveals this many pixels, above 0."""
    if sampler != "exact":
        return Conditioning(sampler=sampler, count=count)
    g = round(count**0.5)
    return Conditioning(sampler="exact", positions=tuple(int((i + 0.5) * side / g) for i in range(g)))


@torch.no_grad()
def measure_given_pixels(
    model: Model,
    prior: AnyPrior,
    images: Tensor,
    sampler: SamplerName,
    count: int,
    draws: int,
    seed: int,
    labels: Tensor | None = None,
) -> GivenPixels:
    """Decode `draws` samples of z for each image with pixels of it, and hold them against the image.

    Args:
        model: in evaluation mode, with a conditioned decoder.
        images: uint8 (N,C,H,H).
        count: revealed pixels; 0 for the all-zero condition.
        draws: at least 2.
        seed: of z and of the pixels. With one seed all counts of a sampler see the same z.
        labels: (N,) the classes of a prior with classes.
    """
    device, side = images.device, images.shape[-1]
    of_z, of_pixels = torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed)
    choose = None if count == 0 else ConditionSampler(conditioning_of(sampler, count, side), side)
    sums = torch.zeros(6, dtype=torch.float64, device=device)
    size = max(1, min(BATCH, DECODED // draws))
    for i, batch in enumerate(images.split(size)):
        x = to_pixels(batch)
        own = None if labels is None else labels[i * size :][: len(x)].repeat_interleave(draws)
        condition = zero_condition(x) if choose is None else choose(x, of_pixels)
        z = draw_latent(prior, model, len(x) * draws, of_z, own).z
        decoded = model.decode_conditioned(z, condition.repeat_interleave(draws, 0))
        samples = decoded.view(len(x), draws, *x.shape[1:]).transpose(0, 1)
        revealed = condition[:, -1:].expand_as(x) > 0
        error = (samples - x).square().mean(0)
        low, high = torch.quantile(samples, torch.tensor([(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], device=device), 0)
        hidden = ~revealed
        sums += torch.stack([
            (error * revealed).sum(), revealed.sum(), (error * hidden).sum(), (samples.var(0) * hidden).sum(),
            ((low <= x) & (x <= high) & hidden).sum(), (crps(samples, x) * hidden).sum(),
        ]).double()  # fmt: skip
    n_revealed = sums[1].item()
    n_hidden = images.numel() - n_revealed
    of_revealed, of_hidden, variance, covered, score = sums[[0, 2, 3, 4, 5]].tolist()
    return GivenPixels(
        sampler,
        count,
        of_revealed / n_revealed if n_revealed else None,
        of_hidden / n_hidden,
        (variance / n_hidden) ** 0.5,
        covered / n_hidden,
        score / n_hidden,
    )
