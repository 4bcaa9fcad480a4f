"""A model: family (the latent space) x method (the decoders). Every family works with every method.

Shapes: N images, C channels, side H; z is (N,E,h,h) for vqvae, (N,L) for the others; a condition is (N,C+1,H,H).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mtvae.config import CONDITIONED, FAMILIES, METHODS, UNCONDITIONED, Architecture
from mtvae.latent_spaces import Latent, LatentSpace
from mtvae.layers import BlindLinear, MergeLinear, VectorQuantizer
from mtvae.runtime.determinism import seeded


@dataclass(frozen=True)
class Outputs:
    """A training pass: the latent, and for each decoder that the method trains its images (N,C,H,H) under a name.

    The names are those of the method's `outputs` (3.2, 3.3).
    """

    latent: Latent
    reconstructions: dict[str, Tensor]


class Model(nn.Module):
    """One latent space and the decoders that the method asks for. The decoders share nothing but z."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        space: Any = FAMILIES[architecture.family].load_latent_space()
        self.latent_space: LatentSpace = space(architecture)
        self.plain: nn.Module | None = None
        self.conditioned: nn.Module | None = None
        method = METHODS[architecture.method]
        if method.plain:
            self.plain = space.build_decoder(architecture, 0)
        if method.conditioned:
            self.conditioned = space.build_decoder(architecture, architecture.condition)

    def drop_conditioned(self) -> None:
        """Become the plain model: the conditioned decoder ends, and nothing else changes."""
        assert self.plain is not None
        self.conditioned = None
        self.architecture = self.architecture.plain

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the initial values."""
        initialise(self, generator)

    def encode(self, x: Tensor, generator: torch.Generator | None) -> Latent:
        """Encode images. With a generator z is drawn once per image, without one it is the mean."""
        return self.latent_space(x, generator)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """Decode z to images (N,C,H,H) by the unconditioned decoder."""
        assert self.plain is not None
        return self.plain(z)  # type: ignore[no-any-return]

    def decode_conditioned(self, z: Tensor, condition: Tensor) -> Tensor:
        """Decode z and a condition (N,C+1,H,H), zero or not, to images (N,C,H,H)."""
        assert self.conditioned is not None
        return self.conditioned((z, condition))  # type: ignore[no-any-return]

    def forward(self, x: Tensor, condition: Tensor | None, generator: torch.Generator | None) -> Outputs:
        """Run a training pass over x (N,C,H,H), pixels in [0,1]."""
        latent = self.encode(x, generator)
        reconstructions = {}
        if self.plain is not None:
            reconstructions[UNCONDITIONED.name] = self.decode(latent.z)
        if self.conditioned is not None:
            assert condition is not None
            reconstructions[CONDITIONED.name] = self.decode_conditioned(latent.z, condition)
        return Outputs(latent, reconstructions)


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw torch's default initial values in module order from `generator` (torch's own use the global one).

    Convolutions and linears: weights and biases uniform within 1/sqrt(fan in). Codebook: uniform within 0.05.
    """
    if isinstance(module, MergeLinear):
        _initialise_joint(module.z, module.condition.weight, generator)
    elif isinstance(module, BlindLinear):  # the condition's columns are drawn and dropped, one at a time
        _initialise_joint(module, module.weight.new_empty(module.condition).expand(module.out_features, -1), generator)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        # fan in as torch counts it: a transposed convolution's weight is (in, out, k, k), read as (out, in, k, k)
        bound = 1 / math.sqrt(module.weight[0].numel())
        module.weight.uniform_(-bound, bound, generator=generator)
        if module.bias is not None:
            module.bias.uniform_(-bound, bound, generator=generator)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        module.reset_parameters()  # ones and zeros: draws nothing
    elif isinstance(module, VectorQuantizer):
        module.codebook.uniform_(-module.INITIAL_RANGE, module.INITIAL_RANGE, generator=generator)
    else:
        for child in module.children():
            initialise(child, generator)


def _initialise_joint(z: nn.Linear, condition: Tensor, generator: torch.Generator) -> None:
    """Draw z's layer and the condition's weights (features, condition) as one layer on both.

    With a fan-in of its own, z's weights would be far larger.
    """
    bound = 1 / math.sqrt(z.in_features + condition.shape[1])
    for row in zip(z.weight, condition, strict=True):
        for part in row:
            part.uniform_(-bound, bound, generator=generator)
    z.bias.uniform_(-bound, bound, generator=generator)


def build(architecture: Architecture, generator: torch.Generator, device: torch.device | str = "cpu") -> Model:
    """Build a model with seeded initial values. They are drawn on the CPU, and so are the same on every device."""
    # torch's constructors draw from the global generator, and so do a plug-in's layers that `initialise` does not know
    with seeded(generator.initial_seed(), torch.device("cpu")):
        model = FAMILIES[architecture.family].load_network()(architecture)
        model.initialise(generator)
    # On one CPU thread a step took 8 to 19 % less time than with channels first (configuration 1, sides 16 and 28).
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[no-any-return]


def parameter_count(architecture: Architecture) -> int:
    """Count trainable parameters without allocating one."""
    with torch.device("meta"):
        return sum(p.numel() for p in FAMILIES[architecture.family].load_network()(architecture).parameters())
