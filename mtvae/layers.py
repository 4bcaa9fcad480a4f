"""The layers of `mtvae.networks` in torch, and the vector quantizer (2.2).

Shapes: N images, E embedding size, K embeddings, h the side of the latent grid.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtvae.networks import Conv, Function, Head, Layer, Layers, Normed, Residual

FUNCTIONS: dict[str, Callable[[], nn.Module]] = {
    "linear": nn.Identity,
    "tanh": nn.Tanh,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "flatten": nn.Flatten,
}


def sequential(layers: Layers) -> nn.Sequential:
    """Build a network from its description."""
    return nn.Sequential(*(module for layer in layers for module in modules(layer)))


def modules(layer: Layer) -> list[nn.Module]:
    """Build a layer."""
    match layer:
        case Conv():
            return [convolution(layer)]
        case Normed(conv, batch_norm):
            return [convolution(conv), *([nn.BatchNorm2d(conv.d_out)] if batch_norm else []), nn.LeakyReLU(0.01)]
        case Residual(width):
            return [ResidualLayer(width)]
        case Head(z, condition, width, side, blind):
            features = width * side**2
            if blind:
                linear: nn.Module = BlindLinear(z, condition, features)
            else:
                linear = MergeLinear(z, condition, features) if condition else nn.Linear(z, features)
            return [linear, nn.ReLU(), nn.BatchNorm1d(features), nn.Unflatten(1, (width, side, side))]
        case Function(name):
            return [FUNCTIONS[name]()]


def convolution(conv: Conv) -> nn.Module:
    d_in, d_out, kernel, side_in, side_out, transposed = conv
    padding = (kernel - 1) // 2
    if not transposed:
        return nn.Conv2d(d_in, d_out, kernel, side_in // side_out, padding)
    stride = side_out // side_in
    more = side_out - ((side_in - 1) * stride - 2 * padding + kernel)
    return nn.ConvTranspose2d(d_in, d_out, kernel, stride, padding, output_padding=more)


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
        merged: Tensor = self.z(z.flatten(1))
        merged += self.condition(condition.flatten(1))  # in place: the two have 6 MB each in the Gaussian VAE
        return merged


class BlindLinear(nn.Linear):
    """The layer of `MergeLinear` without the condition's columns (method `head_only`): z (N, ...) -> (N, features).

    Its initial values are those that z's columns have beside a condition of so many numbers.
    """

    def __init__(self, z: int, condition: int, features: int):
        super().__init__(z, features)
        self.condition = condition

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z.flatten(1))


def _split_joint_weight(merge: MergeLinear, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Take apart the weight (features, z + condition) of one layer, as models were kept by version 0.1."""
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
