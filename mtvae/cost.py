"""What a model costs, by arithmetic: parameters, activations, floating-point operations. Imports no torch.

Counts the layers of `mtvae.networks`; the tests hold it against the models themselves.
"""

from functools import lru_cache
from typing import NamedTuple

from mtvae.config import FAMILIES, METHODS, Architecture, GaussianSizes, Prior, VQSizes
from mtvae.networks import (
    Conv,
    Function,
    Head,
    Layer,
    Layers,
    Normed,
    Residual,
    features,
    gaussian_decoder,
    gaussian_encoder,
    vq_decoder,
    vq_encoder,
)


class Cost(NamedTuple):
    """What some layers cost for one image: trainable parameters, output numbers, operations of a forward pass.

    A multiplication with its addition counts as two operations.
    """

    parameters: int = 0
    activations: int = 0
    flops: int = 0

    def plus(self, *others: "Cost") -> "Cost":
        return Cost(*map(sum, zip(self, *others, strict=True)))


def _linear(d_in: int, d_out: int) -> Cost:
    return Cost(d_in * d_out + d_out, d_out, 2 * d_in * d_out)


def _layer(layer: Layer) -> Cost:
    match layer:
        case Conv(d_in, d_out, kernel, side_in, side_out, transposed):
            weights = d_in * d_out * kernel**2
            applied = (side_in if transposed else side_out) ** 2
            return Cost(weights + d_out, d_out * side_out**2, 2 * weights * applied)
        case Normed(conv, batch_norm):
            cost = _layer(conv)
            norm = Cost(2 * conv.d_out, cost.activations) if batch_norm else Cost()
            return cost.plus(norm, Cost(activations=cost.activations))
        case Residual(width, side):
            weights = width**2 * (3**2 + 1)
            return Cost(weights, 2 * width * side**2, 2 * weights * side**2)
        case Head(z, condition, width, side, blind):
            features = width * side**2
            return _linear(z + condition * (not blind), features).plus(Cost(2 * features, 2 * features))
        case Function():
            return Cost()  # its output may replace its input in place


def _sum(layers: Layers) -> Cost:
    return Cost().plus(*map(_layer, layers))


def gaussian(a: Architecture, heads: int = 2) -> tuple[Cost, Cost, Cost]:
    """Return the costs of encoder, plain and conditioned decoder of a Gaussian VAE, whose z has two heads."""
    assert isinstance(a.sizes, GaussianSizes)
    encoder = _sum(gaussian_encoder(a)).plus(*[_linear(features(a), a.sizes.latent)] * heads)
    return encoder, _sum(gaussian_decoder(a, 0)), _sum(gaussian_decoder(a, a.condition))


def autoencoder(a: Architecture) -> tuple[Cost, Cost, Cost]:
    """Return the costs as `gaussian` does, with one head for z."""
    return gaussian(a, heads=1)


def vq(a: Architecture) -> tuple[Cost, Cost, Cost]:
    """Return the costs of encoder with codebook, plain and conditioned decoder of a VQ-VAE."""
    s = a.sizes
    assert isinstance(s, VQSizes)
    codebook, grid = s.embeddings * s.embedding_size, s.grid_side(a.side) ** 2
    quantizer = Cost(codebook, s.embeddings * grid, 2 * codebook * grid)
    return _sum(vq_encoder(a)).plus(quantizer), _sum(vq_decoder(a, 0)), _sum(vq_decoder(a, a.condition))


@lru_cache(maxsize=1024)  # a plan asks for every unit, and has few architectures
def cost(architecture: Architecture) -> Cost:
    """Return the cost of one image's forward pass through everything that the method trains."""
    costs: tuple[Cost, Cost, Cost] = FAMILIES[architecture.family].load_cost()(architecture)
    encoder, plain, conditioned = costs
    method = METHODS[architecture.method]
    decoders = [plain] * method.plain + [conditioned] * method.conditioned
    return encoder.plus(*decoders)


@lru_cache(maxsize=1024)
def prior_cost(architecture: Architecture, prior: Prior, classes: int = 0) -> Cost:
    """Return the cost of a prior over this model's latent space: what it learns, and one image's pass through it.

    Only a PixelCNN is trained by gradients; other priors cost nothing to speak of.

    Args:
        classes: how many classes condition the prior; 0 for none.
    """
    s = architecture.sizes
    if prior.kind != "pixelcnn":
        return Cost()
    assert isinstance(s, VQSizes)
    assert prior.width is not None and prior.layers is not None and prior.kernel is not None
    width, grid = prior.width, s.grid_side(architecture.side) ** 2
    total = Cost(s.embeddings * width, width * grid)
    for own in (0, *[1] * (prior.layers - 1)):  # the first layer leaves out the position itself
        seen = prior.kernel // 2 + own
        per_tap = _linear(width * prior.kernel * seen, 2 * width).plus(_linear(width * seen, 2 * width))
        once = per_tap.plus(_linear(2 * width, 2 * width), _linear(width, width))
        total = total.plus(_on_grid(once, grid), Cost(classes * 4 * width))
    return total.plus(_on_grid(_linear(width, width).plus(_linear(width, s.embeddings)), grid))


def _on_grid(of_position: Cost, positions: int) -> Cost:
    """Return the cost of the same weights at so many positions."""
    return Cost(of_position.parameters, of_position.activations * positions, of_position.flops * positions)


def training_bytes(of: Cost, batch_size: int) -> int:
    """Estimate the bytes that a training holds at its peak in fp32, without the images and the process itself.

    It holds weights, gradients, AdamW's two moments, the best weights, and a batch's activations with their gradients.
    """
    return 4 * (5 * of.parameters + 2 * batch_size * of.activations)
