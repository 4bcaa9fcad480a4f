"""What a model costs, by arithmetic: parameters, activations, floating-point operations. Imports no torch.

Mirrors `layers.py` and `model.py` layer by layer; the tests hold it against the models themselves.
"""

from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from mtvae.config import FAMILIES, METHODS, Architecture, GaussianSizes, VQSizes


class Cost(NamedTuple):
    """Of some layers, for one image: trainable parameters, numbers put out, operations of a forward pass
    (a multiplication with its addition is two)."""

    parameters: int = 0
    activations: int = 0
    flops: int = 0

    def plus(self, *others: "Cost") -> "Cost":
        return Cost(*map(sum, zip(self, *others, strict=True)))


def _linear(d_in: int, d_out: int) -> Cost:
    return Cost(d_in * d_out + d_out, d_out, 2 * d_in * d_out)


def _conv(d_in: int, d_out: int, kernel: int, side: int, bias: bool = True) -> Cost:
    """`side`: of the output; of the input for a transposed convolution, whose outputs are counted apart."""
    weights = d_in * d_out * kernel**2
    return Cost(weights + bias * d_out, d_out * side**2, 2 * weights * side**2)


def _transposed(d_in: int, d_out: int, kernel: int, side: int, stride: int) -> Cost:
    """`side`: of the input."""
    return _conv(d_in, d_out, kernel, side)._replace(activations=d_out * (side * stride) ** 2)


def _normed(cost: Cost, width: int, batch_norm: bool) -> Cost:
    """With its activation function, and its batch normalisation where there is one."""
    norm = Cost(2 * width, cost.activations) if batch_norm else Cost()
    return cost.plus(norm, Cost(activations=cost.activations))


def _merge(d_in: int, d_out: int) -> Cost:
    """The linear at a decoder's head with ReLU and BatchNorm1d."""
    return _linear(d_in, d_out).plus(Cost(2 * d_out, 2 * d_out))


def _residual(width: int, side: int) -> Cost:
    return _conv(width, width, 3, side, bias=False).plus(_conv(width, width, 1, side, bias=False))


def gaussian(a: Architecture, heads: int = 2) -> tuple[Cost, Cost, Cost]:
    """Encoder, plain and conditioned decoder of a Gaussian VAE, whose z has two heads: mean and log-variance."""
    s = a.sizes
    assert isinstance(s, GaussianSizes)
    side, encoder, sides = a.side, Cost(), [a.side]
    for d_in, d_out in pairwise([a.channels, *s.hidden]):
        side = side // 2 if side % 2 == 0 else side
        sides.append(side)
        encoder = encoder.plus(_normed(_conv(d_in, d_out, 3, side), d_out, s.batch_norm))
    features = s.hidden[-1] * side**2
    encoder = encoder.plus(*[_linear(features, s.latent)] * heads)
    convs = Cost()
    widths = [*reversed(s.hidden), s.hidden[0]]
    for (d_in, d_out), (side_in, side_out) in zip(pairwise(widths), pairwise(reversed(sides)), strict=True):
        stride = side_out // side_in
        convs = convs.plus(_normed(_transposed(d_in, d_out, 3, side_in, stride), d_out, s.batch_norm))
    convs = convs.plus(_conv(widths[-1], a.channels, 3, a.side))
    condition = (a.channels + 1) * a.side**2
    return encoder, convs.plus(_merge(s.latent, features)), convs.plus(_merge(s.latent + condition, features))


def autoencoder(a: Architecture) -> tuple[Cost, Cost, Cost]:
    """As `gaussian`, with one head for z."""
    return gaussian(a, heads=1)


def vq(a: Architecture) -> tuple[Cost, Cost, Cost]:
    """Encoder with codebook, plain and conditioned decoder of a VQ-VAE."""
    s = a.sizes
    assert isinstance(s, VQSizes)
    side, encoder = a.side, Cost()
    for d_in, d_out in pairwise([a.channels, *s.hidden]):
        side //= 2
        for width in (d_in, d_out):
            encoder = encoder.plus(_normed(_conv(width, d_out, 3, side), d_out, s.batch_norm))
    encoder = encoder.plus(*[_residual(s.hidden[-1], side)] * s.residual_layers)
    encoder = encoder.plus(_conv(s.hidden[-1], s.embedding_size, 1, side))
    codebook = s.embeddings * s.embedding_size
    encoder = encoder.plus(Cost(codebook, s.embeddings * side**2, 2 * codebook * side**2))
    widths = list(reversed(s.hidden))
    decoder = _normed(_conv(s.embedding_size, widths[0], 3, side), widths[0], s.batch_norm)
    decoder = decoder.plus(*[_residual(widths[0], side)] * s.residual_layers)
    features, condition = s.embedding_size * side**2, (a.channels + 1) * a.side**2
    for d_in, d_out in pairwise(widths):
        decoder = decoder.plus(_normed(_transposed(d_in, d_out, 4, side, 2), d_out, s.batch_norm))
        side *= 2
    decoder = decoder.plus(_transposed(widths[-1], a.channels, 4, side, 2))
    return encoder, decoder, decoder.plus(_merge(features + condition, features))


@lru_cache(maxsize=1024)  # a plan asks for every unit, and has few architectures
def cost(architecture: Architecture) -> Cost:
    """Of a forward pass of one image through everything that the method trains."""
    costs: tuple[Cost, Cost, Cost] = FAMILIES[architecture.family].load_cost()(architecture)
    encoder, plain, conditioned = costs
    method = METHODS[architecture.method]
    decoders = [plain] * method.plain + [conditioned] * method.conditioned
    return encoder.plus(*decoders)


def training_bytes(architecture: Architecture, batch_size: int) -> int:
    """Memory that a training holds at its peak, about, in fp32: weights, gradients, AdamW's two moments and the best
    weights; and the activations of a batch with their gradients. Not the images, nor the process itself."""
    of = cost(architecture)
    return 4 * (5 * of.parameters + 2 * batch_size * of.activations)
