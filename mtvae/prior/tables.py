"""Priors over codes that are tables of probabilities: they count, and learn nothing else.

Shapes: N grids of side h, K codes; codes are integers (N,h,h).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mtvae.prior.sampling import draw_in_order, uniform_numbers

PSEUDO_COUNT = 1.0
"""Added to every count (Laplace), so that a code that a context never had has a probability."""


def _anywhere(codes: Tensor, number: int) -> Tensor:
    return torch.zeros_like(codes)


def _position(codes: Tensor, number: int) -> Tensor:
    return torch.arange(codes[0].numel(), device=codes.device).reshape(codes.shape[1:]).expand_as(codes)


def _left(codes: Tensor, number: int) -> Tensor:
    """Return the code to the left of each code; `number` stands for the edge."""
    return torch.cat([torch.full_like(codes[:, :, :1], number), codes[:, :, :-1]], 2)


CONTEXTS: dict[str, tuple[Callable[[Tensor, int], Tensor], Callable[[int, int], int]]] = {
    "uniform": (_anywhere, lambda number, side: 1),
    "histogram": (_anywhere, lambda number, side: 1),
    "position_histogram": (_position, lambda number, side: side * side),
    "markov": (_left, lambda number, side: number + 1),
}
"""What the probability of a code depends on: its context from (codes, K), and how many contexts (K, h) there are."""


class TablePrior(nn.Module):
    """p(code | context), one distribution for each context and class.

    Args:
        kind: one of `CONTEXTS`. `uniform` gives every code the same probability (guide, 3.2).
        classes: how many classes condition the table; 0 for none.
    """

    log_p: Tensor

    def __init__(self, kind: str, codes: int, side: int, classes: int = 0):
        super().__init__()
        self.codes, self.side, self.classes, self.kind = codes, side, classes, kind
        self._context, count = CONTEXTS[kind]
        self.contexts = count(codes, side)
        table = torch.full((max(classes, 1) * self.contexts, codes), -math.log(codes), dtype=torch.float64)
        self.register_buffer("log_p", table)

    @torch.no_grad()
    def fit(self, codes: Tensor, labels: Tensor | None = None) -> None:
        """Count the codes (N,h,h) of the training set, and with classes their labels (N,)."""
        if self.kind == "uniform":
            return
        places = self._rows(codes, labels) * self.codes + codes
        counts = torch.bincount(places.flatten(), minlength=self.log_p.numel()).double().reshape(self.log_p.shape)
        counts += PSEUDO_COUNT
        self.log_p.copy_((counts / counts.sum(1, keepdim=True)).log())

    def nats(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return -log p of each code, (N,h,h) in nats."""
        return -self.log_p[self._rows(codes, labels), codes]

    @torch.no_grad()
    def sample(
        self,
        number: int,
        side: int,
        generator: torch.Generator,
        labels: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw codes (N,h,h), position by position. The arguments are those of `PixelCNN.sample`."""
        uniform = uniform_numbers(number, side, generator, self.log_p)

        def logits_at(codes: Tensor, row: int, column: int) -> Tensor:
            return self.log_p[self._rows(codes, labels)[:, row, column]]

        return draw_in_order(logits_at, uniform, temperature)

    def _rows(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Return the row of the table for each code, (N,h,h)."""
        rows = self._context(codes, self.codes)
        return rows if labels is None else rows + (labels * self.contexts)[:, None, None]
