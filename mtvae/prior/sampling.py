"""Draw grids of codes from a PixelCNN, position by position, without computing any feature twice.

A full pass over the grid for each of its h*h positions would compute everything h*h times. Here the vertical stack runs
once for each row, because a row of it depends on the rows above only. The horizontal stack runs once for each position.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from mtvae.prior.pixelcnn import PixelCNN, gate

AT_ONCE = 1024
"""The most grids whose features are in memory: 15 layers of 64 take some 300 kB for each grid of 7x7 codes."""


def draw(logits: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
    """Return a code for each row of logits (N,K) by inverting the distribution function at uniform numbers (N,).

    Args:
        temperature: below 1, likely codes become likelier.
    """
    cumulative = (logits / temperature).softmax(1).cumsum(1)
    codes = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)
    return codes[:, 0].clamp_(max=logits.shape[1] - 1)


@torch.no_grad()
def sample(
    model: PixelCNN,
    number: int,
    side: int,
    generator: torch.Generator,
    labels: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Draw codes (N,h,h) from a model in evaluation mode. `sample_by_full_passes` draws the same codes slowly.

    Args:
        generator: on the CPU, so that every device draws the same numbers.
        labels: (N,) the classes of a model with classes.
        temperature: as `draw`.
    """
    uniform = uniform_numbers(number, side, generator, model.embedding.weight)
    of_parts = [None] * len(uniform.split(AT_ONCE)) if labels is None else labels.split(AT_ONCE)
    parts = zip(uniform.split(AT_ONCE), of_parts, strict=True)
    return torch.cat([_sample(model, part, own, temperature) for part, own in parts])


def _sample(model: PixelCNN, uniform: Tensor, labels: Tensor | None, temperature: float) -> Tensor:
    """Draw codes (N,h,h) by uniform numbers (N,h,h)."""
    weight, (number, side, _) = model.embedding.weight, uniform.shape
    codes = torch.zeros(number, side, side, dtype=torch.long, device=weight.device)
    layers = model.gated_layers
    reach = layers[0].reach
    biases = [layer.class_biases(labels) for layer in layers]
    # For each layer, the features below it: rows of the vertical stack with `reach` empty rows above them, and the
    # current row of the horizontal stack with `reach` empty positions before it.
    width = weight.shape[1]
    vertical = [weight.new_zeros(number, width, reach + side, side) for _ in layers]
    horizontal = [weight.new_zeros(number, width, 1, reach + side) for _ in layers]
    for row in range(side):
        across = []
        for i, layer in enumerate(layers):
            seen = vertical[i][:, :, row : row + layer.rows]
            before_gate = layer.vertical(seen, biases[i][0])
            across.append(before_gate)
            if i + 1 < len(layers):
                vertical[i + 1][:, :, reach + row] = gate(before_gate)[:, :, 0]
        for column in range(side):
            for i, layer in enumerate(layers):
                left = horizontal[i][..., column : column + layer.columns]
                here = horizontal[i][..., reach + column : reach + column + 1]
                output = layer.horizontal(left, across[i][..., column : column + 1], here, biases[i][1])
                if i + 1 < len(layers):
                    horizontal[i + 1][..., reach + column] = output[..., 0]
            drawn = draw(model.head(output)[:, :, 0, 0], uniform[:, row, column], temperature)
            codes[:, row, column] = drawn
            embedded = model.embedding(drawn)
            horizontal[0][:, :, 0, reach + column] = embedded
            vertical[0][:, :, reach + row, column] = embedded
    return codes


@torch.no_grad()
def sample_by_full_passes(
    model: PixelCNN,
    number: int,
    side: int,
    generator: torch.Generator,
    labels: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Draw the codes of `sample` by a pass over the whole grid for each position. `sample` is tested with it."""
    uniform = uniform_numbers(number, side, generator, model.embedding.weight)
    return draw_in_order(lambda codes, row, column: model(codes, labels)[:, :, row, column], uniform, temperature)


def draw_in_order(logits_at: Callable[[Tensor, int, int], Tensor], uniform: Tensor, temperature: float = 1.0) -> Tensor:
    """Draw codes (N,h,h) row by row.

    Args:
        logits_at: returns the logits (N,K) at a row and a column, from the codes so far; later codes are 0.
        uniform: (N,h,h), the numbers that decide the codes.
        temperature: as `draw`.
    """
    codes = torch.zeros_like(uniform, dtype=torch.long)
    for row in range(uniform.shape[1]):
        for column in range(uniform.shape[2]):
            codes[:, row, column] = draw(logits_at(codes, row, column), uniform[:, row, column], temperature)
    return codes


def uniform_numbers(number: int, side: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Return the uniform numbers (N,h,h) that decide the codes, in double precision for a double model."""
    return torch.rand(number, side, side, generator=generator, dtype=like.dtype).to(like.device)
