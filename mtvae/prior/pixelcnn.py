"""A gated PixelCNN over a grid of codes: p(code | codes before it), row by row (2.5.1).

After van den Oord et al. 2016, "Conditional image generation with PixelCNN decoders".

Codes are read row by row. A vertical stack sees all rows above a position, and a horizontal stack sees the positions to
its left and the vertical stack; together they have no blind spot. The convolutions have only the weights that a mask
would keep. They do not pad, so that `PixelCNN.sample` can run them on single rows and positions.

Shapes: N grids of side h, K codes, width W; codes are integers (N,h,h), logits are (N,K,h,h).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtvae.prior.sampling import draw, draw_in_order, uniform_numbers

AT_ONCE = 1024
"""The most grids that are drawn at once: 15 layers of 64 hold some 300 kB of features for each grid of 7x7 codes."""


def gate(features: Tensor) -> Tensor:
    """Return tanh of the first half of the channels times the sigmoid of the second half: (N,2W,..) to (N,W,..)."""
    value, door = features.chunk(2, 1)
    return value.tanh() * door.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks.

    Args:
        kernel: odd; how many columns the vertical stack sees. It sees half as many rows above a position, rounded down.
        first: whether it is the layer that reads codes. It leaves out the position itself, and it has no residual
            connection, which would show the code to be predicted.
        classes: how many classes condition the layer; 0 for none.
    """

    def __init__(self, width: int, kernel: int, first: bool, dropout: float, classes: int):
        super().__init__()
        self.reach, self.first = kernel // 2, first
        own = 0 if first else 1  # later layers see the features of their own position, which do not know its code
        self.rows = self.reach + own
        self.columns = self.reach + own
        self.down = nn.Conv2d(width, 2 * width, (self.rows, kernel))
        self.right = nn.Conv2d(width, 2 * width, (1, self.columns))
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.of_class = nn.Embedding(classes, 4 * width) if classes else None
        self.dropout = nn.Dropout(dropout)

    def class_biases(self, labels: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        """Return what the classes (N,) add to the features of each stack, (N,2W,1,1), or zero without classes."""
        if self.of_class is None:
            return 0.0, 0.0
        down, right = self.of_class(labels)[..., None, None].chunk(2, 1)
        return down, right

    def vertical(self, rows: Tensor, bias: Tensor | float) -> Tensor:
        """Return the vertical stack's features before the gate.

        Args:
            rows: (N,W,`rows` + r - 1,h) features of the layer below, for r rows of results (N,2W,r,h).
        """
        features: Tensor = self.down(F.pad(rows, (self.reach, self.reach))) + bias
        return features

    def horizontal(self, left: Tensor, vertical: Tensor, here: Tensor, bias: Tensor | float) -> Tensor:
        """Return the horizontal stack's output (N,W,r,c).

        Args:
            left: (N,W,r,`columns` + c - 1) features of the layer below.
            vertical: (N,2W,r,c) the vertical stack before the gate.
            here: (N,W,r,c) features of the layer below at the positions themselves, for the residual connection.
        """
        features = self.dropout(gate(self.right(left) + self.across(vertical) + bias))
        output: Tensor = self.out(features)
        return output if self.first else output + here

    def forward(self, v: Tensor, h: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return both stacks' features (N,W,h,h) from those of the layer below."""
        of_v, of_h = self.class_biases(labels)
        # The first layer sees the rows above and the columns to the left, so the last row and column are not read.
        above = F.pad(v, (0, 0, self.reach, -1 if self.first else 0))
        left = F.pad(h, (self.reach, -1 if self.first else 0))
        before_gate = self.vertical(above, of_v)
        return self.dropout(gate(before_gate)), self.horizontal(left, before_gate, h, of_h)


class PixelCNN(nn.Module):
    """p(codes) as the product of p(code | codes before it), each a softmax over K codes.

    Args:
        classes: how many classes condition every layer; 0 for none.

    Raises:
        ValueError: the kernel is even or 1, so that a position would see nothing.
    """

    def __init__(self, codes: int, layers: int, width: int, kernel: int, dropout: float = 0.0, classes: int = 0):
        super().__init__()
        if kernel < 3 or kernel % 2 == 0:
            raise ValueError(f"kernel {kernel} must be odd and at least 3")
        self.codes, self.classes = codes, classes
        self.embedding = nn.Embedding(codes, width)
        self.gated_layers = [GatedLayer(width, kernel, i == 0, dropout, classes) for i in range(layers)]
        self.layers = nn.ModuleList(self.gated_layers)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, codes, 1))

    def embed(self, codes: Tensor) -> Tensor:
        """Return a learnt vector for each code: (N,h,h) to (N,W,h,h)."""
        vectors: Tensor = self.embedding(codes).movedim(-1, 1)
        return vectors

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return logits (N,K,h,h) of every code given the codes before it and, with classes, the labels (N,)."""
        v = h = self.embed(codes)
        for layer in self.gated_layers:
            v, h = layer(v, h, labels)
        logits: Tensor = self.head(h)
        return logits

    def nats(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return -log p of each code given those before it, (N,h,h) in nats."""
        return F.cross_entropy(self(codes, labels), codes, reduction="none")

    @torch.no_grad()
    def sample(
        self,
        number: int,
        side: int,
        generator: torch.Generator,
        labels: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw codes (N,h,h) in evaluation mode, and compute no feature twice.

        A full pass for each of the h*h positions, as in `sample_by_full_passes`, draws the same codes slowly. Here the
        vertical stack runs once for each row, because a row of it depends on the rows above only, and the horizontal
        stack once for each position.

        Args:
            generator: on the CPU, so that every device draws the same numbers.
            labels: (N,) the classes of a model with classes.
            temperature: as `mtvae.prior.sampling.draw`.
        """
        uniform = uniform_numbers(number, side, generator, self.embedding.weight).split(AT_ONCE)
        of_parts = [None] * len(uniform) if labels is None else labels.split(AT_ONCE)
        parts = zip(uniform, of_parts, strict=True)
        return torch.cat([self._sample(part, own, temperature) for part, own in parts])

    def _sample(self, uniform: Tensor, labels: Tensor | None, temperature: float) -> Tensor:
        """Draw codes (N,h,h) by uniform numbers (N,h,h)."""
        weight, (number, side, _) = self.embedding.weight, uniform.shape
        codes = torch.zeros(number, side, side, dtype=torch.long, device=weight.device)
        layers = self.gated_layers
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
                drawn = draw(self.head(output)[:, :, 0, 0], uniform[:, row, column], temperature)
                codes[:, row, column] = drawn
                embedded = self.embedding(drawn)
                horizontal[0][:, :, 0, reach + column] = embedded
                vertical[0][:, :, reach + row, column] = embedded
        return codes

    @torch.no_grad()
    def sample_by_full_passes(
        self,
        number: int,
        side: int,
        generator: torch.Generator,
        labels: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw the codes of `sample` by a pass over the whole grid for each position. `sample` is tested with it."""
        uniform = uniform_numbers(number, side, generator, self.embedding.weight)
        return draw_in_order(lambda codes, i, j: self(codes, labels)[:, :, i, j], uniform, temperature)


def receptive_field(model: PixelCNN, side: int, row: int, column: int) -> Tensor:
    """Return how strongly one position's logits depend on the vector of every position, (h,h).

    It is the largest absolute gradient over the channels, in evaluation mode, at random codes of a fixed seed.
    """
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(model.codes, (1, side, side), generator=generator)
    labels = torch.zeros(1, dtype=torch.long) if model.classes else None
    mode = model.training
    model.eval()
    embedded = model.embed(codes).detach().requires_grad_()
    v = h = embedded
    for layer in model.gated_layers:
        v, h = layer(v, h, labels)
    model.head(h)[0, :, row, column].square().sum().backward()
    model.zero_grad()
    model.train(mode)
    assert embedded.grad is not None
    return embedded.grad.abs().amax((0, 1))
