"""Draw grids of codes in order: row by row, each code given the codes before it. `uniform` numbers decide the codes."""

from collections.abc import Callable

import torch
from torch import Tensor


def draw(logits: Tensor, uniform: Tensor, temperature: float = 1.0) -> Tensor:
    """Return a code for each row of logits (N,K) by inverting the distribution function at uniform numbers (N,).

    Args:
        temperature: below 1, likely codes become likelier.
    """
    cumulative = (logits / temperature).softmax(1).cumsum(1)
    codes = torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)
    return codes[:, 0].clamp_(max=logits.shape[1] - 1)


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
