"""Fit a model: a plain loop over epochs whose whole state is in one object."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mtvae.conditioning import ConditionSampler
from mtvae.config import Loss, SoftAdapt, Training
from mtvae.evaluation import Scores, evaluate, to_pixels
from mtvae.losses import fixed_weights, loss_terms, reconstruction_scale, weighting
from mtvae.model import Model


class Diverged(ArithmeticError):
    """A loss became NaN or infinite."""


def batches(order: Tensor, batch_size: int) -> Sequence[Tensor]:
    """Splits indices into batches. The last short one is kept, but a single image joins the batch before it, because
    batch normalisation cannot train on one."""
    parts = list(order.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


@dataclass(frozen=True)
class TrainingSet:
    """uint8 images (N,C,H,H) on the model's device, and which of them train and which pick the epoch (indices)."""

    images: Tensor
    train: Tensor
    selection: Tensor


class Fit:
    """A training under way; `epoch` does one more. After the last, `load_best` puts the picked weights into the model.

    Every epoch the total of the selection images is measured with the fixed weights (under SoftAdapt too) and the same
    seeded draws; its minimum picks the epoch (3.4.3).

    Args:
        seeds: of `batches`, `sampler`, `latent` (training draws) and `evaluation` (the selection images' draws).

    Raises:
        ValueError: fewer than two training images, or none to pick the epoch.
    """

    def __init__(
        self,
        model: Model,
        data: TrainingSet,
        loss: Loss,
        training: Training,
        sampler: ConditionSampler | None,
        seeds: Mapping[str, int],
        latent: str | None = "sample",
        soft_adapt: SoftAdapt | None = None,
    ):
        if len(data.train) < 2 or len(data.selection) < 1:
            raise ValueError(
                f"{len(data.train)} images to train and {len(data.selection)} to pick the epoch are too few"
            )
        self.model, self.data, self.loss, self.training, self.sampler = model, data, loss, training, sampler
        self.latent, self.evaluation_seed = latent, seeds["evaluation"]
        self.weights = fixed_weights(model.architecture, loss)
        self.weighting = weighting(soft_adapt or SoftAdapt(), self.weights, data.images.device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=training.lr, weight_decay=training.weight_decay, fused=True
        )
        device = data.images.device
        self.order_generator = torch.Generator().manual_seed(seeds["batches"])  # permutations are drawn on the CPU
        self.sampler_generator = torch.Generator(device).manual_seed(seeds["sampler"])
        self.latent_generator = torch.Generator(device).manual_seed(seeds["latent"])
        self.history: list[dict[str, float | int | None]] = []
        self.best_epoch, self.best_total = 0, math.inf
        self.best_state: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        return len(self.history) == self.training.epochs

    def epoch(self) -> None:
        """Trains one epoch, measures the selection images and keeps the weights if they are the best so far.

        Raises:
            Diverged: a training or selection loss is not finite.
        """
        number = len(self.history) + 1
        trained = self._train()
        scores = evaluate(
            self.model,
            self.data.images[self.data.selection],
            self.loss,
            self.sampler,
            self.evaluation_seed,
            self.latent,
        )
        selected = self._selection_terms(scores)
        total = sum(weight * selected[name] for name, weight in self.weights.items())
        if not all(map(math.isfinite, [*trained.values(), total])):
            raise Diverged(f"a loss is not finite in epoch {number}: training {trained}, selection {selected}")
        self.history.append(
            {"epoch": number}
            | {f"train_{name}": trained.get(name) for name in ("unconditioned", "conditioned", "latent")}
            | {f"selection_{name}": selected.get(name) for name in ("unconditioned", "conditioned", "latent")}
            | {f"weight_{name}": weight for name, weight in self.weighting.weights().items()}
            | {"selection_total": total}
        )
        if total < self.best_total:
            self.best_epoch, self.best_total = number, total
            self.best_state = {name: value.clone() for name, value in self.model.state_dict().items()}

    def load_best(self) -> None:
        """Puts the weights of the picked epoch into the model."""
        self.model.load_state_dict(self.best_state)

    def _train(self) -> dict[str, float]:
        """One pass over the training images; the mean of each unweighted term over them."""
        self.model.train()
        order = self.data.train
        if self.training.shuffle:
            order = order[torch.randperm(len(order), generator=self.order_generator).to(order.device)]
        sums: dict[str, Tensor] = {}
        for batch in batches(order, self.training.batch_size):
            x = to_pixels(self.data.images[batch])
            condition = None if self.sampler is None else self.sampler(x, self.sampler_generator)
            outputs = self.model(x, condition, self.latent_generator)
            terms = loss_terms(outputs, x, self.model.architecture, self.loss)
            self.optimizer.zero_grad()
            self.weighting(terms).backward()
            self.optimizer.step()
            for name, term in terms.items():  # sums stay on the device: no synchronisation inside an epoch
                sums[name] = sums.get(name, 0) + term.detach().double() * len(batch)
        return {name: value.item() / len(order) for name, value in sums.items()}

    def _selection_terms(self, scores: Scores) -> dict[str, float]:
        """The selection images' scores in the training terms' units."""
        scale = reconstruction_scale(self.model.architecture)
        terms = {"unconditioned": scores.unconditioned_per_pixel * scale}
        if scores.latent_loss is not None:
            terms["latent"] = scores.latent_loss
        if scores.conditioned_per_pixel is not None:
            terms["conditioned"] = scores.conditioned_per_pixel * scale
        return terms
