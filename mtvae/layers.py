"""Encoders, decoders, the residual layer and the vector quantizer (3.4.2, 2.2).

Shapes: N images, C channels, side H; E embedding size, K embeddings, h the side of the latent grid; L latent size.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTPUTS: dict[str, type[nn.Module]] = {"linear": nn.Identity, "tanh": nn.Tanh}


def normed(conv: nn.Module, width: int, batch_norm: bool) -> list[nn.Module]:
    """A convolution with its (optional) batch normalisation and LeakyReLU 0.01."""
    return [conv, *([nn.BatchNorm2d(width)] if batch_norm else []), nn.LeakyReLU(0.01)]


def halving_strides(side: int, layers: int) -> tuple[int, ...]:
    """Stride 2 for as many leading layers as the side divides by 2, else 1 (28: 2, 2, 1, 1)."""
    strides = []
    for _ in range(layers):
        strides.append(2 if side % 2 == 0 else 1)
        side //= strides[-1]
    return tuple(strides)


def latent_side(side: int, strides: Sequence[int]) -> int:
    for stride in strides:
        side //= stride
    return side


def gaussian_encoder(channels: int, side: int, hidden: Sequence[int], batch_norm: bool) -> nn.Sequential:
    """Images (N,C,H,H) -> flat features (N, hidden[-1] f f)."""
    layers: list[nn.Module] = []
    for (d_in, d_out), stride in zip(pairwise([channels, *hidden]), halving_strides(side, len(hidden)), strict=True):
        layers += normed(nn.Conv2d(d_in, d_out, 3, stride, 1), d_out, batch_norm)
    return nn.Sequential(*layers, nn.Flatten())


def gaussian_decoder(
    latent: int,
    channels: int,
    side: int,
    hidden: Sequence[int],
    batch_norm: bool,
    output: str,
    condition: int,
) -> nn.Sequential:
    """z (N,L), or (z, condition) where condition > 0 -> images (N,C,H,H)."""
    strides = halving_strides(side, len(hidden))
    f, widths = latent_side(side, strides), [*reversed(hidden), hidden[0]]
    features = widths[0] * f * f
    layers: list[nn.Module] = [
        MergeLinear(latent, condition, features) if condition else nn.Linear(latent, features),
        nn.ReLU(),
        nn.BatchNorm1d(features),
        nn.Unflatten(1, (widths[0], f, f)),
    ]
    for (d_in, d_out), stride in zip(pairwise(widths), reversed(strides), strict=True):
        conv = nn.ConvTranspose2d(d_in, d_out, 3, stride, 1, output_padding=stride - 1)
        layers += normed(conv, d_out, batch_norm)
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], channels, 3, padding=1), OUTPUTS[output]())


class MergeLinear(nn.Module):
    """The linear layer at a conditioned decoder's head: (z, condition), each (N, ...) -> (N, features).

    Two layers make one: nothing learns from a condition, so autograd skips the gradient of the layer that takes it.
    That is a third of the work of one layer on [z, condition], whose initial and kept values it takes all the same.
    """

    def __init__(self, z: int, condition: int, features: int):
        super().__init__()
        self.z = nn.Linear(z, features)
        self.condition = nn.Linear(condition, features, bias=False)
        self.register_load_state_dict_pre_hook(_split_joint_weight)

    def forward(self, z_and_condition: tuple[Tensor, Tensor]) -> Tensor:
        z, condition = z_and_condition
        return self.z(z.flatten(1)) + self.condition(condition.flatten(1))  # type: ignore[no-any-return]


def _split_joint_weight(merge: MergeLinear, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Take apart the weight (features, z + condition) of one layer: initial values, and models kept by version 0.1."""
    if f"{prefix}weight" in state:
        widths = [merge.z.in_features, merge.condition.in_features]
        of_z, of_condition = state.pop(f"{prefix}weight").split(widths, 1)
        state |= {f"{prefix}z.weight": of_z, f"{prefix}condition.weight": of_condition}
        state[f"{prefix}z.bias"] = state.pop(f"{prefix}bias")


class ResidualLayer(nn.Module):
    """x + conv1x1(ReLU(conv3x3(x))), no bias, no normalisation."""

    def __init__(self, width: int):
        super().__init__()
        self.conv3 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(F.relu(self.conv3(x)))  # type: ignore[no-any-return]


def vq_encoder(
    channels: int, hidden: Sequence[int], residual_layers: int, embedding_size: int, batch_norm: bool
) -> nn.Sequential:
    """Images (N,C,H,H) -> z_e (N,E,h,h), h = H / 2^len(hidden)."""
    layers: list[nn.Module] = []
    for d_in, d_out in pairwise([channels, *hidden]):
        layers += normed(nn.Conv2d(d_in, d_out, 3, 2, 1), d_out, batch_norm)
        layers += normed(nn.Conv2d(d_out, d_out, 3, 1, 1), d_out, batch_norm)
    layers += [ResidualLayer(hidden[-1]) for _ in range(residual_layers)]
    # The LeakyReLU after the 1x1 convolution is the published run's; the text does not name one.
    layers += [nn.LeakyReLU(0.01), nn.Conv2d(hidden[-1], embedding_size, 1), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers)


def vq_decoder(
    embedding_size: int,
    channels: int,
    grid_side: int,
    hidden: Sequence[int],
    residual_layers: int,
    batch_norm: bool,
    output: str,
    condition: int,
) -> nn.Sequential:
    """z_q (N,E,h,h), or (z_q, condition) where condition > 0 -> images (N,C,H,H)."""
    widths = list(reversed(hidden))
    layers: list[nn.Module] = []
    if condition:
        features = embedding_size * grid_side * grid_side
        layers += [
            MergeLinear(features, condition, features),
            nn.ReLU(),
            nn.BatchNorm1d(features),
            nn.Unflatten(1, (embedding_size, grid_side, grid_side)),
        ]
    layers += normed(nn.Conv2d(embedding_size, widths[0], 3, padding=1), widths[0], batch_norm)
    layers += [ResidualLayer(widths[0]) for _ in range(residual_layers)]
    layers += [nn.LeakyReLU(0.01)]
    for d_in, d_out in pairwise(widths):
        layers += normed(nn.ConvTranspose2d(d_in, d_out, 4, 2, 1), d_out, batch_norm)
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), OUTPUTS[output]())


class VectorQuantizer(nn.Module):
    """Nearest codebook vector with a straight-through gradient (2.2.1, 2.2.2). The codebook learns by its loss.

    `forward`: z_e (N,E,h,h) -> z_q (N,E,h,h) carrying z_e's gradient, the codebook and the commitment loss (scalars,
    means over every element of the grid, as the published run; the text's are E times that) and indices (N,h,h).
    """

    INITIAL_RANGE = 0.05  # as the published run; the text names none

    def __init__(self, embeddings: int, embedding_size: int):
        super().__init__()
        self.codebook = nn.Parameter(torch.empty(embeddings, embedding_size))

    def nearest(self, z_e: Tensor) -> Tensor:
        """Index of the Euclidean nearest codebook vector at each position (eq. 2.3), (N,h,h)."""
        flat = z_e.permute(0, 2, 3, 1)  # N,h,h,E
        # |z - e|^2 without |z|^2, which is the same for every e
        distance = self.codebook.square().sum(1) - 2 * flat @ self.codebook.T  # N,h,h,K
        return distance.argmin(-1)

    def forward(self, z_e: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = "cuda" if z_e.is_cuda else "cpu"  # the meta device, which only counts, knows no autocast
        with torch.autocast(device, enabled=False):  # 8 bits of mantissa cannot tell near neighbours apart
            z_e = z_e.to(self.codebook.dtype)
            indices = self.nearest(z_e)
        e = F.embedding(indices, self.codebook).permute(0, 3, 1, 2)  # N,E,h,h
        codebook_loss, commitment_loss = F.mse_loss(e, z_e.detach()), F.mse_loss(z_e, e.detach())
        return z_e + (e - z_e).detach(), codebook_loss, commitment_loss, indices
