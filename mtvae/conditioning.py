"""How many pixels and which: images -> mask -> condition (3.1 to 3.3).

Shapes: N images, C channels, side H (= W). A condition is N x (C+1) x H x H: the masked image and the mask.
"""

import math
from functools import cached_property

import torch
from torch import Tensor

from mtvae.config import Conditioning

FIXED_SHARE = 0.05  # the share of pixels that a fixed count reveals, before it is made a square number


def fixed_count(side: int) -> int:
    """n = g^2 with g = round(sqrt(floor(0.05 H^2))): 9, 36, 49, 196 pixels at sides 16, 28, 32, 64."""
    return round(math.sqrt(math.floor(FIXED_SHARE * side * side))) ** 2


def power_law_counts(n: int, pixels: int, exponent: float, generator: torch.Generator) -> Tensor:
    """n counts of revealed pixels: floor((1 - X) pixels), X with density a x^(a-1) on [0, 1] (2.5.2).

    X is drawn by inverting its distribution function x^a. In float64: at a = 60 most X lie so near 1 that float32
    would lose the difference. Returns int64 of shape (n,), on the generator's device.
    """
    u = torch.rand(n, generator=generator, device=generator.device, dtype=torch.float64)
    return ((1 - u ** (1 / exponent)) * pixels).floor().long()


def exact_positions(side: int) -> tuple[int, ...]:
    """Rows and columns floor((i + 0.5) H / g) of the evenly spread g x g grid (28: 2, 7, 11, 16, 21, 25)."""
    g = math.isqrt(fixed_count(side))
    return tuple(math.floor((i + 0.5) * side / g) for i in range(g))


class ConditionSampler:
    """Draws the condition of a batch as one tensor operation on the images' device.

    A draw is a sequence of flat positions per image and a count; the positions up to the count are revealed.
    """

    def __init__(self, config: Conditioning, side: int):
        self.sampler = config.sampler
        self.exponent = config.exponent
        self.side = side
        own = config.sampler == "gaussian"  # 5.2.1 expects its repeats
        self.replacement = own if config.replacement is None else config.replacement
        self.spread = side / 6 if config.spread is None else config.spread * side  # a standard deviation, in pixels
        self.grid = config.positions or exact_positions(side)  # rows and columns of `exact`
        self._exact: dict[torch.device, Tensor] = {}  # their flat positions, where they were asked for
        fixed = len(self.grid) ** 2 if config.sampler == "exact" else config.count or fixed_count(side)
        self.count = None if config.exponent is not None else fixed

    def describe(self) -> str:
        """Describe what this object draws, from its own state, so that a setting lost on the way here is seen."""
        how_many = f"{self.count} draws"
        if self.exponent is not None:
            short = f"{self.exponent:g}"
            how_many = f"power law {short if float(short) == self.exponent else repr(self.exponent)}"
        where = f" at {list(self.grid)}" if self.sampler == "exact" else ""
        repeats = " with replacement" if self.replacement else ""
        own = self.sampler == "gaussian" and self.spread != self.side / 6
        spread = f", standard deviation {self.spread:g}" if own else ""
        return f"{self.sampler}, {how_many}{where}{repeats} of {self.side}x{self.side}{spread}"

    def counts(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws that count in each of n images, (n,) int64."""
        if self.count is None:
            assert self.exponent is not None
            return power_law_counts(n, self.side**2, self.exponent, generator)
        return torch.full((n,), self.count, device=generator.device)

    def positions(self, n: int, generator: torch.Generator) -> Tensor:
        """Flat pixel positions in the order in which they are drawn, (n, at least the largest count)."""
        device, pixels = generator.device, self.side**2
        if self.sampler == "exact":
            if device not in self._exact:  # once: a copy to a GPU waits for it
                line = torch.tensor(self.grid, device=device)
                self._exact[device] = (line[:, None] * self.side + line).flatten()
            return self._exact[device].expand(n, -1)
        draws = pixels if self.count is None else self.count
        if self.sampler == "gaussian" and self.replacement:
            # Row and column are independent normals about the middle; what falls outside counts on the edge.
            where = torch.randn(n, draws, 2, generator=generator, device=device) * self.spread + self.side / 2
            row, col = where.clamp(0, self.side - 1).floor().long().unbind(-1)
            return row * self.side + col
        if self.sampler == "gaussian":
            # The order of keys log(p) + Gumbel noise is that of draws without replacement (Efraimidis, Spirakis 2006).
            u = torch.rand(n, pixels, generator=generator, device=device, dtype=torch.float64)
            return (self.log_probabilities.to(device) - (-u.log()).log()).argsort(1, descending=True)
        if self.replacement:
            return torch.randint(pixels, (n, draws), generator=generator, device=device)
        # A uniformly random permutation: every set of the first k positions is equally likely, none repeats.
        return torch.rand(n, pixels, generator=generator, device=device).argsort(1)

    @cached_property
    def log_probabilities(self) -> Tensor:
        """Logarithm of the probability that one gaussian draw falls on each pixel, (H H,) float64."""
        edges = torch.arange(1, self.side, dtype=torch.float64)
        below = torch.special.ndtr((edges - self.side / 2) / self.spread)
        line = torch.cat([below.new_zeros(1), below, below.new_ones(1)]).diff()
        return (line[:, None] * line).flatten().log()

    def mask(self, n: int, generator: torch.Generator) -> Tensor:
        """Masks of n images, (n, 1, H, H) float, 1 where a pixel is revealed."""
        counts, positions = self.counts(n, generator), self.positions(n, generator)
        revealed = torch.arange(positions.shape[1], device=positions.device) < counts[:, None]
        # scatter_add, not scatter: a position drawn twice must stay revealed if any of its draws counts.
        hits = torch.zeros(n, self.side**2, dtype=torch.int32, device=positions.device)
        hits.scatter_add_(1, positions, revealed.int())
        return (hits > 0).float().view(n, 1, self.side, self.side)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Condition of `images` (N,C,H,H): (N,C+1,H,H). All channels of a position are revealed together."""
        mask = self.mask(len(images), generator)
        return torch.cat([images * mask, mask], 1)


def zero_condition(images: Tensor) -> Tensor:
    """Return the condition that reveals nothing: image and mask channels all zero, (N,C+1,H,H)."""
    n, channels, height, width = images.shape
    return images.new_zeros(n, channels + 1, height, width)
