"""A model: family (the latent space) x method (the decoders). Every family works with every method.

Shapes: N images, C channels, side H; z is (N,E,h,h) for vqvae, (N,L) for the others; a condition is (N,C+1,H,H).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtvae.config import Architecture, GaussianSizes, VQSizes
from mtvae.layers import (
    VectorQuantizer,
    gaussian_decoder,
    gaussian_encoder,
    halving_strides,
    latent_side,
    vq_decoder,
    vq_encoder,
)


@dataclass(frozen=True)
class Latent:
    """z, and what its loss is made of: mean and log-variance (N,L), or the quantizer's losses and indices (N,h,h)."""

    z: Tensor
    mean: Tensor | None = None
    log_variance: Tensor | None = None
    codebook_loss: Tensor | None = None
    commitment_loss: Tensor | None = None
    indices: Tensor | None = None


@dataclass(frozen=True)
class Outputs:
    """A training pass: the latent, and for each decoder that the method trains its images (N,C,H,H) under a name.

    `multi_decoder` gives both from one z (3.2), `none` only `unconditioned`, the others only `conditioned` (2.3, 3.3).
    """

    latent: Latent
    reconstructions: dict[str, Tensor]


def flat_encoder(architecture: Architecture, sizes: GaussianSizes) -> tuple[nn.Sequential, int]:
    """The encoder that `gaussian_vae` and `autoencoder` share, and the number of features that it gives per image."""
    a = architecture
    f = latent_side(a.side, halving_strides(a.side, len(sizes.hidden)))
    return gaussian_encoder(a.channels, a.side, sizes.hidden, sizes.batch_norm), sizes.hidden[-1] * f * f


class GaussianLatentSpace(nn.Module):
    """q(z|x) = N(mean, exp(log_variance)) by two linear heads (2.1.2)."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        sizes = architecture.sizes
        assert isinstance(sizes, GaussianSizes)
        self.encoder, features = flat_encoder(architecture, sizes)
        self.mean, self.log_variance = nn.Linear(features, sizes.latent), nn.Linear(features, sizes.latent)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        features = self.encoder(x)
        # in the weights' precision, whatever the heads multiplied in: these are summed, squared and exponentiated
        mean, log_variance = (head(features).to(head.weight.dtype) for head in (self.mean, self.log_variance))
        z = mean
        if generator is not None:  # reparameterization (2.1.1)
            noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
            z = mean + noise * (0.5 * log_variance).exp()
        return Latent(z, mean=mean, log_variance=log_variance)


class PlainLatentSpace(nn.Module):
    """One linear head and no latent loss: an autoencoder (guide, 1). Deterministic: the generator is not used."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        sizes = architecture.sizes
        assert isinstance(sizes, GaussianSizes)
        self.encoder, features = flat_encoder(architecture, sizes)
        self.z = nn.Linear(features, sizes.latent)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        return Latent(self.z(self.encoder(x)))


class VectorQuantizedLatentSpace(nn.Module):
    """Encoder and quantizer (2.2). Deterministic: the generator is not used."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        a, s = architecture, architecture.sizes
        assert isinstance(s, VQSizes)
        self.encoder = vq_encoder(a.channels, s.hidden, s.residual_layers, s.embedding_size, s.batch_norm)
        self.quantizer = VectorQuantizer(s.embeddings, s.embedding_size)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        z, codebook_loss, commitment_loss, indices = self.quantizer(self.encoder(x))
        return Latent(z, codebook_loss=codebook_loss, commitment_loss=commitment_loss, indices=indices)


LATENT_SPACES: dict[str, type[nn.Module]] = {
    "gaussian_vae": GaussianLatentSpace,
    "vqvae": VectorQuantizedLatentSpace,
    "autoencoder": PlainLatentSpace,
}


def build_decoder(architecture: Architecture, conditioned: bool) -> nn.Sequential:
    a, s = architecture, architecture.sizes
    condition = (a.channels + 1) * a.side**2 if conditioned else 0
    if isinstance(s, VQSizes):
        h = a.side // 2 ** len(s.hidden)
        return vq_decoder(
            s.embedding_size, a.channels, h, s.hidden, s.residual_layers, s.batch_norm, s.output, condition
        )
    return gaussian_decoder(s.latent, a.channels, a.side, s.hidden, s.batch_norm, s.output, condition)


class Model(nn.Module):
    """One latent space and the decoders that the method asks for. The decoders share nothing but z."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        self.latent_space = LATENT_SPACES[architecture.family](architecture)
        self.plain: nn.Module | None = None
        self.conditioned: nn.Module | None = None
        if architecture.method in ("none", "multi_decoder"):
            self.plain = build_decoder(architecture, conditioned=False)
        if architecture.conditioned:
            self.conditioned = build_decoder(architecture, conditioned=True)

    def encode(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        """Images -> latent. With a generator z is drawn once per image, without one it is the mean."""
        return self.latent_space(x, generator)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """z -> images (N,C,H,H) by the unconditioned decoder of `none` and `multi_decoder`."""
        assert self.plain is not None
        return self.plain(z)  # type: ignore[no-any-return]

    def decode_conditioned(self, z: Tensor, condition: Tensor) -> Tensor:
        """z and a condition (N,C+1,H,H), zero or not -> images (N,C,H,H)."""
        assert self.conditioned is not None
        return self.conditioned(torch.cat([z.flatten(1), condition.flatten(1)], 1))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, condition: Tensor | None, generator: torch.Generator | None) -> Outputs:
        """A training pass over x (N,C,H,H), pixels in [0,1]."""
        latent = self.encode(x, generator)
        reconstructions = {}
        if self.plain is not None:
            reconstructions["unconditioned"] = self.decode(latent.z)
        if self.conditioned is not None:
            assert condition is not None
            reconstructions["conditioned"] = self.decode_conditioned(latent.z, condition)
        return Outputs(latent, reconstructions)


@torch.no_grad()
def initialise(model: Model, generator: torch.Generator) -> None:
    """torch's default initial values, drawn in module order from `generator` (torch's own use the global one).

    Convolutions and linears: weights and biases uniform within 1/sqrt(fan in). Codebook: uniform within 0.05.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            # fan in as torch counts it: a transposed convolution's weight is (in, out, k, k), read as (out, in, k, k)
            bound = 1 / math.sqrt(module.weight[0].numel())
            module.weight.uniform_(-bound, bound, generator=generator)
            if module.bias is not None:
                module.bias.uniform_(-bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()  # ones and zeros: draws nothing
        elif isinstance(module, VectorQuantizer):
            module.codebook.uniform_(-module.INITIAL_RANGE, module.INITIAL_RANGE, generator=generator)


def build(architecture: Architecture, generator: torch.Generator, device: torch.device | str = "cpu") -> Model:
    """A model with seeded initial values, the same on every device: drawn on the CPU, then moved."""
    with torch.device("meta"):
        model = Model(architecture)
    # As to_empty, whose empty_like, on a meta tensor, loads sympy: 37 MB
    model._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))
    initialise(model, generator)
    # On one CPU thread a step took 8 to 19 % less time than with channels first (configuration 1, sides 16 and 28).
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def parameter_count(architecture: Architecture) -> int:
    """Trainable parameters, without allocating one."""
    with torch.device("meta"):
        return sum(p.numel() for p in Model(architecture).parameters())
