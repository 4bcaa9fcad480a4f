"""Draw from a model and its prior: codes, z, and images.

Shapes: N samples, C channels, side H; z is (N,E,h,h) of codes (N,h,h), or (N,L).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtvae.config import VQSizes
from mtvae.evaluation import BATCH_SIZE, unconditioned
from mtvae.model import Model
from mtvae.prior.fitting import AnyPrior
from mtvae.prior.mixtures import MixturePrior


@dataclass(frozen=True)
class Drawn:
    """Samples of the latent space: z, and the codes where the model has any."""

    z: Tensor
    codes: Tensor | None = None


def draw_latent(
    prior: AnyPrior,
    model: Model,
    number: int,
    generator: torch.Generator,
    labels: Tensor | None = None,
    temperature: float = 1.0,
) -> Drawn:
    """Draw z from a prior, ready for the model's decoders. Both are in evaluation mode.

    Args:
        generator: on the CPU.
        labels: (N,) the classes of a prior with classes.
        temperature: below 1, what is likely becomes likelier.
    """
    if isinstance(prior, MixturePrior):
        return Drawn(prior.sample(number, generator, temperature))
    sizes = model.architecture.sizes
    assert isinstance(sizes, VQSizes)
    side = sizes.grid_side(model.architecture.side)
    codes = prior.sample(number, side, generator, labels, temperature)
    return Drawn(embed(model, codes), codes)


def embed(model: Model, codes: Tensor) -> Tensor:
    """Return the codebook vectors (N,E,h,h) of codes (N,h,h)."""
    codebook: Tensor = model.latent_space.quantizer.codebook  # type: ignore[union-attr,assignment]
    return nn.functional.embedding(codes, codebook).permute(0, 3, 1, 2)


@torch.no_grad()
def decode(model: Model, z: Tensor) -> Tensor:
    """Return the images (N,C,H,H) of z, decoded without a pixel (3.3), and cut to [0,1]."""
    a = model.architecture
    parts = []
    for part in z.split(BATCH_SIZE):
        nothing = part.new_zeros(len(part), a.channels, a.side, a.side)  # tells the shape of the images alone
        parts.append(unconditioned(model, part, nothing))
    return torch.cat(parts).clamp(0, 1)
