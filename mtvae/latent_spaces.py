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
    """z and what its loss is made of.

    That is mean and log-variance (N,L), or the quantizer's losses, indices (N,h,h) and the encoder's output (N,E,h,h).
    """

    z: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    codebook_loss: Tensor | None = None
    commitment_loss: Tensor | None = None
    indices: Tensor | None = None
    encoded: Tensor | None = None


class LatentSpace(nn.Module, ABC):
    """What a family's network must do. `mtvae.config.families` names its class; built from an `Architecture`."""

    @abstractmethod
    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        """Encode images (N,C,H,H). With a generator z is drawn once per image, without one it is the mean."""

    @staticmethod
    @abstractmethod
    def build_decoder(architecture: Architecture, condition: int) -> nn.Sequential:
        """Build a decoder of z, or of (z, condition) with `condition` > 0 numbers in it, to images (N,C,H,H)."""

    def start(self, x: Tensor, seed: int) -> None:
        """Set initial values from the first batch of the training, images (N,C,H,H)."""

    @staticmethod
    def terms(latent: Latent, loss: Loss) -> dict[str, Tensor]:
        """Return the latent space's unweighted training terms, scalars with gradient, as the family declares them."""
        return {}

    def measures(self, latent: Latent) -> dict[str, Tensor]:
        """Return means over a batch, scalars, which are averaged over all scored images."""
        return {}

    def sums(self, latent: Latent) -> dict[str, Tensor]:
        """Return what is added up over all scored images, by name."""
        return {}

    def scores(self, means: dict[str, float], sums: dict[str, Tensor], images: int, loss: Loss) -> dict[str, float]:
        """Return the family's metrics by name, from the averages of `measures` and the `sums` over so many images."""
        return means


def kl_divergence(latent: Latent) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)) in closed form (eq. 2.1), nats: sum over L, mean over images."""
    assert latent.mean is not None and latent.log_variance is not None
    mean, log_variance = latent.mean, latent.log_variance
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


ACTIVE = 0.01
"""Variance of its posterior mean over the images above which a latent unit is active (Burda et al. 2016)."""


def _variance(total: Tensor, square: Tensor, n: int) -> Tensor:
    """Return population variances from the sums of n numbers and of their squares."""
    return (square / n - (total / n).square()).clamp(min=0)


def perplexity(used: Tensor) -> float:
    """Return exp(entropy) of how often each of K codes was used, (K,): the codes in effective use, from 1 to K."""
    p = used[used > 0].double() / used.sum()
    return (-(p * p.log()).sum()).exp().item()


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

    def sums(self, latent: Latent) -> dict[str, Tensor]:
        """Return the sums of the posterior means and of their squares, (L,) float64."""
        assert latent.mean is not None
        mean = latent.mean.double()
        return {"mean": mean.sum(0), "square": mean.square().sum(0)}

    def scores(self, means: dict[str, float], sums: dict[str, Tensor], images: int, loss: Loss) -> dict[str, float]:
        """Add the number of latent units whose posterior mean varies over the images (Burda et al. 2016)."""
        variance = _variance(sums["mean"], sums["square"], images)
        return means | {"active_units": float((variance > ACTIVE).sum().item())}


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
        self.codebook_from_data = s.codebook_init == "data"

    @torch.no_grad()
    def start(self, x: Tensor, seed: int) -> None:
        """With `codebook_init: data`, take the codebook from the encoder's output at random positions of the batch.

        No position is taken twice as long as there are enough. The encoder normalises by the batch, as its first step
        will, and keeps its running statistics.
        """
        if not self.codebook_from_data:
            return
        buffers = {name: value.clone() for name, value in self.encoder.named_buffers()}
        encoded = torch.func.functional_call(self.encoder, buffers, (x,))  # copies take the batch's statistics
        vectors = encoded.permute(0, 2, 3, 1).flatten(0, 2)  # N h h, E
        codebook = self.quantizer.codebook
        order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed)).to(x.device)
        codebook.copy_(vectors[order.repeat(-(-len(codebook) // len(order)))[: len(codebook)]])

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        encoded = self.encoder(x)
        z, codebook_loss, commitment_loss, indices = self.quantizer(encoded)
        return Latent(z, codebook_loss=codebook_loss, commitment_loss=commitment_loss, indices=indices, encoded=encoded)

    @staticmethod
    def build_decoder(architecture: Architecture, condition: int) -> nn.Sequential:
        return sequential(vq_decoder(architecture, condition))

    @staticmethod
    def terms(latent: Latent, loss: Loss) -> dict[str, Tensor]:
        """Return the codebook loss plus beta times the commitment loss, per element of the grid (eq. 2.5)."""
        assert latent.codebook_loss is not None and latent.commitment_loss is not None
        assert loss.commitment_weight is not None
        return {"latent": latent.codebook_loss + loss.commitment_weight * latent.commitment_loss}

    def measures(self, latent: Latent) -> dict[str, Tensor]:
        assert latent.codebook_loss is not None and latent.commitment_loss is not None
        return {"codebook_loss": latent.codebook_loss, "commitment_loss": latent.commitment_loss}

    def sums(self, latent: Latent) -> dict[str, Tensor]:
        """Return how often each codebook vector was used, (K,), and the sums of the encoder's output, (E,) float64."""
        assert latent.indices is not None and latent.encoded is not None
        flat = latent.indices.flatten()  # not bincount, which waits for a GPU to learn the largest
        used = flat.new_zeros(len(self.quantizer.codebook)).scatter_add_(0, flat, torch.ones_like(flat))
        encoded = latent.encoded.double()
        return {"used": used, "encoded": encoded.sum((0, 2, 3)), "square": encoded.square().sum((0, 2, 3))}

    def scores(self, means: dict[str, float], sums: dict[str, Tensor], images: int, loss: Loss) -> dict[str, float]:
        """Add the latent loss of the means, the codebook's perplexity and its error relative to the encoder's variance.

        The VQ loss alone has no scale: an encoder whose output shrinks lowers it without a better codebook.
        """
        assert loss.commitment_weight is not None
        used = sums["used"]
        variance = _variance(sums["encoded"], sums["square"], int(used.sum().item())).mean().item()
        return means | {
            "latent_loss": means["codebook_loss"] + loss.commitment_weight * means["commitment_loss"],
            "perplexity": perplexity(used),
            "relative_codebook_error": means["codebook_loss"] / variance if variance else 1.0,
        }
