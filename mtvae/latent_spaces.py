"""Latent spaces: images -> z, the terms that train it, and what is measured of it (2.1, 2.2).

Shapes: N images, C channels, side H; z is (N,E,h,h) for vqvae, (N,L) for the others.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtvae.config import Architecture, GaussianSizes, Loss, VQSizes
from mtvae.layers import VectorQuantizer, sequential
from mtvae.networks import features, gaussian_decoder, gaussian_encoder, vq_decoder, vq_encoder


@dataclass(frozen=True)
class Latent:
    """z, and what its loss is made of: mean and log-variance (N,L), or the quantizer's losses and indices (N,h,h)."""

    z: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    codebook_loss: Tensor | None = None
    commitment_loss: Tensor | None = None
    indices: Tensor | None = None


class LatentSpace(nn.Module, ABC):
    """What a family's network must do. `mtvae.config.families` names its class; built from an `Architecture`."""

    @abstractmethod
    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        """Images (N,C,H,H) -> latent. With a generator z is drawn once per image, without one it is the mean."""

    @staticmethod
    @abstractmethod
    def build_decoder(architecture: Architecture, condition: int) -> nn.Sequential:
        """A decoder of z to images (N,C,H,H); of (z, condition) where there are `condition` > 0 numbers in one."""

    @staticmethod
    def terms(latent: Latent, loss: Loss) -> dict[str, Tensor]:
        """The unweighted training terms of the latent space, scalars with gradient, as the family declares them."""
        return {}

    def measures(self, latent: Latent) -> dict[str, Tensor]:
        """Means over a batch, scalars, which are averaged over all scored images."""
        return {}

    def counts(self, latent: Latent) -> Tensor | None:
        """What is added up over all scored images; None: nothing."""
        return None

    def scores(self, means: dict[str, float], counts: Tensor | None, loss: Loss) -> dict[str, float]:
        """The family's metrics by name, from the averages of `measures` and the sum of `counts`."""
        return means


def kl_divergence(latent: Latent) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in closed form (eq. 2.1), nats: sum over L, mean over images."""
    assert latent.mean is not None and latent.log_variance is not None
    mean, log_variance = latent.mean, latent.log_variance
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


class GaussianLatentSpace(LatentSpace):
    """q(z|x) = N(mean, exp(log_variance)) by two linear heads (2.1.2)."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        a, s = architecture, architecture.sizes
        assert isinstance(s, GaussianSizes)
        self.encoder = sequential(gaussian_encoder(a))
        self.mean, self.log_variance = nn.Linear(features(a), s.latent), nn.Linear(features(a), s.latent)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        seen = self.encoder(x)
        # in the weights' precision, whatever the heads multiplied in: these are summed, squared and exponentiated
        mean, log_variance = (head(seen).to(head.weight.dtype) for head in (self.mean, self.log_variance))
        z = mean
        if generator is not None:  # reparameterization (2.1.1)
            noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
            z = mean + noise * (0.5 * log_variance).exp()
        return Latent(z, mean=mean, log_variance=log_variance)

    @staticmethod
    def build_decoder(architecture: Architecture, condition: int) -> nn.Sequential:
        return sequential(gaussian_decoder(architecture, condition))

    @staticmethod
    def terms(latent: Latent, loss: Loss) -> dict[str, Tensor]:
        return {"latent": kl_divergence(latent)}

    def measures(self, latent: Latent) -> dict[str, Tensor]:
        return {"latent_loss": kl_divergence(latent)}


class PlainLatentSpace(LatentSpace):
    """One linear head and no latent loss: an autoencoder (guide, 1). Deterministic: the generator is not used."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        a, s = architecture, architecture.sizes
        assert isinstance(s, GaussianSizes)
        self.encoder, self.z = sequential(gaussian_encoder(a)), nn.Linear(features(a), s.latent)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        return Latent(self.z(self.encoder(x)))

    @staticmethod
    def build_decoder(architecture: Architecture, condition: int) -> nn.Sequential:
        return sequential(gaussian_decoder(architecture, condition))


class VectorQuantizedLatentSpace(LatentSpace):
    """Encoder and quantizer (2.2). Deterministic: the generator is not used."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        s = architecture.sizes
        assert isinstance(s, VQSizes)
        self.encoder = sequential(vq_encoder(architecture))
        self.quantizer = VectorQuantizer(s.embeddings, s.embedding_size)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        z, codebook_loss, commitment_loss, indices = self.quantizer(self.encoder(x))
        return Latent(z, codebook_loss=codebook_loss, commitment_loss=commitment_loss, indices=indices)

    @staticmethod
    def build_decoder(architecture: Architecture, condition: int) -> nn.Sequential:
        return sequential(vq_decoder(architecture, condition))

    @staticmethod
    def terms(latent: Latent, loss: Loss) -> dict[str, Tensor]:
        """The codebook loss and beta times the commitment loss, per element of the grid (eq. 2.5)."""
        assert latent.codebook_loss is not None and latent.commitment_loss is not None
        assert loss.commitment_weight is not None
        return {"latent": latent.codebook_loss + loss.commitment_weight * latent.commitment_loss}

    def measures(self, latent: Latent) -> dict[str, Tensor]:
        assert latent.codebook_loss is not None and latent.commitment_loss is not None
        return {"codebook_loss": latent.codebook_loss, "commitment_loss": latent.commitment_loss}

    def counts(self, latent: Latent) -> Tensor:
        """How often each codebook vector was used, (K,)."""
        assert latent.indices is not None
        flat = latent.indices.flatten()  # not bincount, which waits for a GPU to learn the largest
        used = flat.new_zeros(len(self.quantizer.codebook))
        return used.scatter_add_(0, flat, torch.ones_like(flat))

    def scores(self, means: dict[str, float], counts: Tensor | None, loss: Loss) -> dict[str, float]:
        """With the latent loss of the means, and the perplexity of the codebook's use, exp(entropy) from 1 to K."""
        assert counts is not None and loss.commitment_weight is not None
        p = counts[counts > 0].double() / counts.sum()
        return means | {
            "latent_loss": means["codebook_loss"] + loss.commitment_weight * means["commitment_loss"],
            "perplexity": (-(p * p.log()).sum()).exp().item(),
        }
