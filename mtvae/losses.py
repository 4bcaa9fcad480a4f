"""Named loss terms in the units in which they are reported, and the weights that join them for training.

Terms: `unconditioned` and `conditioned` (squared error of a decoder's images), and those of the latent space.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mtvae.config import FAMILIES, METHODS, Architecture, Loss, SoftAdapt, terms
from mtvae.model import Outputs


def reconstruction_scale(architecture: Architecture) -> int:
    """Return the factor from a squared error per pixel to this family's scale: C H W (per image) or 1 (per pixel)."""
    per_image = FAMILIES[architecture.family].scale == "per_image"
    return architecture.channels * architecture.side**2 if per_image else 1


def loss_terms(outputs: Outputs, x: Tensor, architecture: Architecture, loss: Loss) -> dict[str, Tensor]:
    """Return the unweighted terms of a training pass over x (N,C,H,H), scalars with gradient, by `config.terms`."""
    scale = reconstruction_scale(architecture)
    # A bf16 decoder gives another type than the images, and on a GPU the backward pass of mse_loss takes only one.
    values = {name: scale * F.mse_loss(image.to(x.dtype), x) for name, image in outputs.reconstructions.items()}
    own: dict[str, Tensor] = FAMILIES[architecture.family].load_latent_space().terms(outputs.latent, loss)
    return values | own


def fixed_weights(architecture: Architecture, loss: Loss) -> dict[str, float]:
    """Return W1 for the first or only decoder, W2 for the second (3.2.2), and `latent_weight`; others are 1."""
    names = terms(architecture.family, architecture.method)
    outputs = [metric.name for metric in METHODS[architecture.method].outputs]
    given = dict(zip(outputs, (loss.w1, loss.w2), strict=False)) | {"latent": loss.latent_weight}
    weights = {name: given.get(name, 1.0) for name in names}
    assert all(weight is not None for weight in weights.values())
    return {name: float(weight) for name, weight in weights.items() if weight is not None}


class FixedWeighting:
    """The training loss with constant weights."""

    def __init__(self, weights: dict[str, float]):
        self.constant = weights

    def weights(self) -> dict[str, float]:
        return self.constant

    def __call__(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of named scalars."""
        return torch.stack([weight * terms[name] for name, weight in self.constant.items()]).sum()

    def after_step(self) -> None:
        """Do nothing: the weights are constant."""

    def state(self) -> dict[str, Any]:
        return {}

    def resume(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


FORWARD_DIFFERENCE = {
    1: (-1.0, 1.0),
    3: (-11 / 6, 3.0, -3 / 2, 1 / 3),
    5: (-137 / 60, 5.0, -5.0, 10 / 3, -5 / 4, 1 / 5),
}
"""Coefficients of a first derivative's one-sided finite difference, by accuracy order."""


class SoftAdaptWeighting:
    """The training loss with weights that follow the terms (Heydari, Thompson and Mehmood 2019, 3.1).

    Every weight is 1 until the first renewal; from then on the weights sum to 1. They are renewed every `every` steps
    from the unweighted terms since the last renewal: a weight is proportional to exp(beta (slope - largest slope)), and
    a slope is estimated from the last `accuracy_order` + 1 steps. There are three variants: `original`; `normalised`,
    which divides the slopes by the sum of their absolute values; and `loss_weighted`, which multiplies by the term's
    mean. The state stays in place on the terms' device, so that a recorded step (`mtvae.runtime.cuda_graph`) finds it.
    """

    EPSILON = 1e-8

    def __init__(self, config: SoftAdapt, names: tuple[str, ...], device: torch.device):
        assert config.variant is not None and config.beta is not None
        assert config.every is not None and config.accuracy_order is not None
        self.variant, self.beta, self.every, self.names = config.variant, config.beta, config.every, names
        self.stencil = torch.tensor(FORWARD_DIFFERENCE[config.accuracy_order], device=device)
        self.current = torch.ones(len(names), device=device)
        self.window = torch.zeros(config.every, len(names), device=device)  # the last losses, the newest last
        self.filled = 0  # of them, those since the last renewal

    def weights(self) -> dict[str, float]:
        return dict(zip(self.names, self.current.tolist(), strict=True))

    def __call__(self, terms: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of named scalars, and remember them for the next renewal."""
        values = torch.stack([terms[name] for name in self.names])
        self.window.copy_(torch.cat([self.window[1:], values.detach()[None]]))
        return (self.current * values).sum()

    def after_step(self) -> None:
        """Renew the weights after every `every` steps."""
        self.filled += 1
        if self.filled == self.every:
            self.current.copy_(self.renewed(self.window))
            self.filled = 0

    def state(self) -> dict[str, Any]:
        """Return what the next weights depend on, for `resume`."""
        return {"current": self.current, "window": self.window, "filled": self.filled}

    def resume(self, state: dict[str, Any]) -> None:
        self.current.copy_(state["current"])
        self.window.copy_(state["window"])
        self.filled = state["filled"]

    def renewed(self, losses: Tensor) -> Tensor:
        """Return the weights (terms,) of a window of losses (steps, terms)."""
        slopes = self.stencil @ losses[-len(self.stencil) :]
        if self.variant == "normalised":
            slopes = slopes / (slopes.abs().sum() + self.EPSILON)
        weights = (self.beta * (slopes - slopes.max())).exp()
        if self.variant == "loss_weighted":
            weights = weights * losses.mean(0)
        return weights / (weights.sum() + self.EPSILON)


Weighting = FixedWeighting | SoftAdaptWeighting


def weighting(config: SoftAdapt, fixed: dict[str, float], device: torch.device) -> Weighting:
    """Return SoftAdapt where it is on, else the fixed weights."""
    return FixedWeighting(fixed) if config.variant is None else SoftAdaptWeighting(config, tuple(fixed), device)
