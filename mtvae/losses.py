"""Named loss terms in the units in which they are reported, and the weights that join them for training.

Terms: `unconditioned` and `conditioned` (squared error of a decoder's images) and `latent`. Never weighted here.
"""

import torch.nn.functional as F
from torch import Tensor

from mtvae.config import PER_IMAGE_FAMILIES, Architecture, Loss
from mtvae.model import Latent, Outputs


def kl_divergence(latent: Latent) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in closed form (eq. 2.1), nats: sum over L, mean over images."""
    assert latent.mean is not None and latent.log_variance is not None
    mean, log_variance = latent.mean, latent.log_variance
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def latent_loss(latent: Latent, loss: Loss) -> Tensor:
    """The latent term: KL in nats per image, or codebook + beta commitment per element of the grid (eq. 2.5)."""
    if latent.codebook_loss is None:
        return kl_divergence(latent)
    assert latent.commitment_loss is not None and loss.commitment_weight is not None
    return latent.codebook_loss + loss.commitment_weight * latent.commitment_loss


def reconstruction_scale(architecture: Architecture) -> int:
    """What turns a squared error per pixel into this family's unit: C H W (per image) or 1 (per pixel)."""
    per_image = architecture.family in PER_IMAGE_FAMILIES
    return architecture.channels * architecture.side**2 if per_image else 1


def loss_terms(outputs: Outputs, x: Tensor, architecture: Architecture, loss: Loss) -> dict[str, Tensor]:
    """The unweighted terms of a training pass over x (N,C,H,H), scalars with their gradient."""
    scale = reconstruction_scale(architecture)
    terms = {name: scale * F.mse_loss(image, x) for name, image in outputs.reconstructions.items()}
    return terms | {"latent": latent_loss(outputs.latent, loss)}


def fixed_weights(architecture: Architecture, loss: Loss) -> dict[str, float]:
    """W1 for the first or only decoder, W2 for the second (3.2.2), `latent_weight` for the latent term."""
    if architecture.method == "multi_decoder":
        assert loss.w2 is not None
        weights = {"unconditioned": loss.w1, "conditioned": loss.w2}
    else:
        weights = {"conditioned" if architecture.conditioned else "unconditioned": loss.w1}
    return weights | {"latent": loss.latent_weight}
