"""AdamW (Loshchilov and Hutter 2019) by torch's functional form.

The class `torch.optim.AdamW` makes the same update, but loads torch's compiler at its first step, so as to stay out of
its way: 160 MB in every worker, which nothing here needs.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw


class AdamW:
    """`torch.optim.AdamW(fused=True)` with torch's own betas and epsilon, for parameters that all have a gradient at
    every step."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float):
        self.parameters: list[Tensor] = list(parameters)
        self.lr, self.weight_decay = lr, weight_decay
        self.means = [torch.zeros_like(p) for p in self.parameters]  # of the gradients, and of their squares
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [torch.zeros((), dtype=torch.float32, device=p.device) for p in self.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """One update, in place."""
        gradients = []
        for parameter in self.parameters:
            assert parameter.grad is not None
            gradients.append(parameter.grad)
        adamw(
            self.parameters,
            gradients,
            self.means,
            self.squares,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Lets the gradients go."""
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, list[Tensor]]:
        """What the next update depends on besides parameters and gradients; `resume` takes it back."""
        return {"means": self.means, "squares": self.squares, "steps": self.steps}

    def resume(self, state: dict[str, Any]) -> None:
        for name, values in self.state().items():
            for value, saved in zip(values, state[name], strict=True):
                value.copy_(saved)
