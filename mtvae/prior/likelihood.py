"""How well a model and its prior compress images: bits of the latent space, and the full bound of eq. 2.4."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mtvae.evaluation import BATCH_SIZE, to_pixels, unconditioned
from mtvae.latent_spaces import Latent
from mtvae.model import Model
from mtvae.prior.fitting import AnyPrior
from mtvae.prior.mixtures import MixturePrior


@dataclass(frozen=True)
class Likelihood:
    """Means over images.

    Attributes:
        rate: nats of an image's latent space: -log p(codes), or KL(q(z|x) || p(z)) by one draw of z. None for vectors
            without a distribution, whose density has no scale.
        distortion: squared error per pixel of the unconditioned output.
        bound: nats: the rate's negative plus log p(x|z), a normal distribution around each pixel (eq. 2.4).
        codes: how many codes an image has; 0 for a vector.
    """

    rate: float | None
    distortion: float
    bound: float | None
    codes: int

    @property
    def bits_per_image(self) -> float | None:
        return None if self.rate is None else self.rate / math.log(2)

    @property
    def bits_per_code(self) -> float | None:
        bits = self.bits_per_image
        return None if bits is None or not self.codes else bits / self.codes


@torch.no_grad()
def measure(
    model: Model,
    prior: AnyPrior,
    images: Tensor,
    seed: int,
    variance: float | None = None,
    labels: Tensor | None = None,
) -> Likelihood:
    """Measure uint8 images (N,C,H,H) by a model and a prior in evaluation mode.

    Args:
        seed: of the draws of z.
        variance: of p(x|z) for each pixel; None: no bound.
        labels: (N,) the classes of a prior with classes.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    rate = error = 0.0
    known, codes = True, 0
    for i, batch in enumerate(images.split(BATCH_SIZE)):
        x = to_pixels(batch)
        latent = model.encode(x, generator)
        error += (unconditioned(model, latent.z, x) - x).square().double().sum().item()
        own = None if labels is None else labels[i * BATCH_SIZE :][: len(x)]
        nats = rate_of(prior, latent, own)
        known = known and nats is not None
        rate += 0.0 if nats is None else nats.sum().item()
        codes = 0 if latent.indices is None else latent.indices[0].numel()
    n, pixels = len(images), images[0].numel()
    bound = None
    if variance is not None and known:
        bound = -rate / n - error / n / (2 * variance) - pixels / 2 * math.log(2 * math.pi * variance)
    return Likelihood(rate / n if known else None, error / n / pixels, bound, codes)


def rate_of(prior: AnyPrior, latent: Latent, labels: Tensor | None = None) -> Tensor | None:
    """Return the nats of each image's latent space, (N,) in double precision; None if there is no such number."""
    if not isinstance(prior, MixturePrior):
        assert latent.indices is not None
        return prior.nats(latent.indices, labels).double().flatten(1).sum(1)
    if latent.mean is None or latent.log_variance is None:
        return None
    # KL(q || p) by the draw of z itself: log q(z|x) - log p(z).
    deviation = (latent.z - latent.mean).double().square() / latent.log_variance.double().exp()
    log_q = -0.5 * (deviation + latent.log_variance.double() + math.log(2 * math.pi)).sum(1)
    return log_q + prior.nats(latent.z)
