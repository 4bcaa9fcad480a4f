"""The networks, layer by layer (3.4.2). `mtvae.layers` builds what stands here, and `mtvae.cost` counts it: no torch.

Shapes: N images, C channels, side H; E embedding size, h the side of the latent grid; L latent size.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

from mtvae.config import METHODS, Architecture, GaussianSizes, VQSizes


class Conv(NamedTuple):
    """A convolution with bias, from one side to another; its stride and padding follow from them."""

    d_in: int
    d_out: int
    kernel: int
    side_in: int
    side_out: int
    transposed: bool = False


class Normed(NamedTuple):
    """A convolution with its (optional) batch normalisation and LeakyReLU 0.01."""

    conv: Conv
    batch_norm: bool


class Residual(NamedTuple):
    """x + conv1x1(ReLU(conv3x3(x))), no bias, no normalisation."""

    width: int
    side: int


class Head(NamedTuple):
    """A linear layer on z, and on a condition where there is one, with ReLU and batch normalisation.

    Gives (N, width, side, side). A blind head has the initial values of one that sees the condition, and sees none.
    """

    z: int
    condition: int
    width: int
    side: int
    blind: bool = False


class Function(NamedTuple):
    """A function without parameters."""

    name: Literal["linear", "tanh", "leaky_relu", "flatten"]


Layer = Conv | Normed | Residual | Head | Function
Layers = list[Layer]


def sides(a: Architecture) -> list[int]:
    """Return the sides around the convolutions of `gaussian_encoder`, each half the one before if that is even.

    For example 28, 14, 7, 7, 7.
    """
    assert isinstance(a.sizes, GaussianSizes)
    found = [a.side]
    for _ in a.sizes.hidden:
        found.append(found[-1] // 2 if found[-1] % 2 == 0 else found[-1])
    return found


def features(a: Architecture) -> int:
    """Count the numbers per image that `gaussian_encoder` puts out."""
    assert isinstance(a.sizes, GaussianSizes)
    return a.sizes.hidden[-1] * sides(a)[-1] ** 2


def gaussian_encoder(a: Architecture) -> Layers:
    """Describe the encoder: images (N,C,H,H) -> flat features."""
    s = a.sizes
    assert isinstance(s, GaussianSizes)
    convs = zip(pairwise([a.channels, *s.hidden]), pairwise(sides(a)), strict=True)
    return [*(Normed(Conv(*widths, 3, *around), s.batch_norm) for widths, around in convs), Function("flatten")]


def gaussian_decoder(a: Architecture, condition: int) -> Layers:
    """Describe the decoder: z (N,L), or (z, condition) where condition > 0 -> images (N,C,H,H)."""
    s = a.sizes
    assert isinstance(s, GaussianSizes)
    widths = [*reversed(s.hidden), s.hidden[0]]
    convs = zip(pairwise(widths), pairwise(reversed(sides(a))), strict=True)
    return [
        Head(s.latent, condition, widths[0], sides(a)[-1]),
        *(Normed(Conv(*between, 3, *around, transposed=True), s.batch_norm) for between, around in convs),
        Conv(widths[-1], a.channels, 3, a.side, a.side),
        Function(s.output),
    ]


def vq_encoder(a: Architecture) -> Layers:
    """Describe the encoder: images (N,C,H,H) -> z_e (N,E,h,h), h = H / 2^len(hidden)."""
    s, side = a.sizes, a.side
    assert isinstance(s, VQSizes)
    layers: Layers = []
    for d_in, d_out in pairwise([a.channels, *s.hidden]):
        layers.append(Normed(Conv(d_in, d_out, 3, side, side // 2), s.batch_norm))
        side //= 2
        layers.append(Normed(Conv(d_out, d_out, 3, side, side), s.batch_norm))
    layers += [Residual(s.hidden[-1], side)] * s.residual_layers
    layers += [Function("leaky_relu"), Conv(s.hidden[-1], s.embedding_size, 1, side, side)]
    return [*layers, Function("leaky_relu")]  # as in the published run; the text names none


def vq_decoder(a: Architecture, condition: int) -> Layers:
    """Describe the decoder: z_q (N,E,h,h), or (z_q, condition) where condition > 0 -> images (N,C,H,H).

    A decoder without a condition has no head, except that of method `head_only`.
    """
    s = a.sizes
    assert isinstance(s, VQSizes)
    widths, side = s.hidden[::-1], s.grid_side(a.side)
    layers: Layers = []
    if condition or METHODS[a.method].head:
        z, blind = s.embedding_size * side**2, not condition
        layers.append(Head(z, condition or a.condition, s.embedding_size, side, blind))
    layers.append(Normed(Conv(s.embedding_size, widths[0], 3, side, side), s.batch_norm))
    layers += [Residual(widths[0], side)] * s.residual_layers
    layers.append(Function("leaky_relu"))
    for d_in, d_out in pairwise(widths):
        layers.append(Normed(Conv(d_in, d_out, 4, side, 2 * side, transposed=True), s.batch_norm))
        side *= 2
    return [*layers, Conv(widths[-1], a.channels, 4, side, 2 * side, transposed=True), Function(s.output)]
