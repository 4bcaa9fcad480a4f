"""Fit a model: a plain loop over epochs whose whole state is in one object."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mtvae.conditioning import ConditionSampler
from mtvae.config import CONDITIONED, FAMILIES, UNCONDITIONED, Loss, SoftAdapt, Training
from mtvae.evaluation import evaluate, to_pixels
from mtvae.losses import fixed_weights, loss_terms, weighting
from mtvae.model import Model
from mtvae.optimizer import AdamW
from mtvae.runtime.cuda_graph import Record, Recorded
from mtvae.runtime.precision import forward_pass, multiplying


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


State = dict[str, Any]
"""A training under way as plain values and tensors, so that it can be loaded without running code."""


class Fit:
    """A training under way; `epoch` does one more. After the last, `load_best` puts the picked weights into the model.

    Every epoch the total of the selection images is measured with the fixed weights (under SoftAdapt too) and the same
    seeded draws; its minimum picks the epoch (3.4.3). `state` between any two steps is all there is: a new Fit of the
    same arguments that `resume`s from it goes on to the same digits on the same kind of device.

    Args:
        seeds: of `batches`, `sampler`, `latent` (training draws) and `evaluation` (the selection images' draws).
        record: how a step is recorded, to be replayed from then on; None: every step is run.

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
        record: Record | None = None,
    ):
        if len(data.train) < 2 or len(data.selection) < 1:
            raise ValueError(
                f"{len(data.train)} images to train and {len(data.selection)} to pick the epoch are too few"
            )
        self.model, self.data, self.loss, self.training, self.sampler = model, data, loss, training, sampler
        self.latent, self.evaluation_seed = latent, seeds["evaluation"]
        self.weights = fixed_weights(model.architecture, loss)
        device = data.images.device
        self.weighting = weighting(soft_adapt or SoftAdapt(), self.weights, device)
        self.optimizer = AdamW(model.parameters(), training.lr, training.weight_decay)
        self.generators = {  # permutations are drawn on the CPU
            "batches": torch.Generator().manual_seed(seeds["batches"]),
            "sampler": torch.Generator(device).manual_seed(seeds["sampler"]),
            "latent": torch.Generator(device).manual_seed(seeds["latent"]),
        }
        self.history: list[dict[str, float]] = []
        self.best_epoch, self.best_total = 0, math.inf
        self.best_state: dict[str, Tensor] = {}
        # of the epoch under way: the order of its images, the batches done, and the sums of the terms so far
        self.order: Tensor | None = None
        self.position = 0
        self.sums = {name: torch.zeros((), dtype=torch.float64, device=device) for name in self.weights}
        self.recorded = Recorded(training.batch_size, self.drawn_from, record)

    @property
    def drawn_from(self) -> list[torch.Generator]:
        """The generators that a step draws from."""
        return [self.generators["sampler"], self.generators["latent"]]

    @property
    def finished(self) -> bool:
        return len(self.history) == self.training.epochs

    @property
    def images_trained(self) -> int:
        """Images that went through the training step so far."""
        under_way = min(self.position * self.training.batch_size, len(self.data.train))
        return len(self.history) * len(self.data.train) + under_way

    def epoch(self, after_step: Callable[[], None] = lambda: None) -> None:
        """Goes on to the end of an epoch: trains, measures the selection images, keeps the weights if the best so far.

        `after_step` is called between steps; it may read `state`, and may raise to stop there.

        Raises:
            Diverged: a training or selection loss is not finite.
        """
        with multiplying(tf32=self.training.precision == "tf32"):
            for batch in self.batches_left():
                self.recorded(self.train_on, batch)
                self.stepped()
                after_step()
        self.end_epoch()

    def batches_left(self) -> Sequence[Tensor]:
        """Indices of the images of each step that is left of the epoch under way, or of a new one."""
        self.model.train()
        if self.order is None:
            self.order = self.data.train
            if self.training.shuffle:
                drawn = torch.randperm(len(self.order), generator=self.generators["batches"])
                self.order = self.order[drawn.to(self.order.device)]
        return batches(self.order, self.training.batch_size)[self.position :]

    def train_on(self, batch: Tensor) -> None:
        """A step on the images at these indices (N,): the device's part, always the same operations on the same memory,
        and no number that the host would wait for. Adds each unweighted term times N to the sums."""
        x = to_pixels(self.data.images[batch])
        condition = None if self.sampler is None else self.sampler(x, self.generators["sampler"])
        with forward_pass(self.training.precision, x.device):
            outputs = self.model(x, condition, self.generators["latent"])
        terms = loss_terms(outputs, x, self.model.architecture, self.loss)
        self.optimizer.zero_grad()
        self.weighting(terms).backward()
        self.optimizer.step()
        for name, term in terms.items():
            self.sums[name].add_(term.detach().double() * len(batch))

    def stepped(self) -> None:
        """The host's part of a step, after it."""
        self.weighting.after_step()
        self.position += 1

    def end_epoch(self) -> None:
        """Measures the selection images, and keeps the weights if they are the best so far.

        Raises:
            Diverged: a training or selection loss is not finite.
        """
        number = len(self.history) + 1
        trained = {name: value.item() / len(self.data.train) for name, value in self.sums.items()}
        selected = self._selection_terms()
        total = sum(weight * selected[name] for name, weight in self.weights.items())
        if not all(map(math.isfinite, [*trained.values(), total])):
            raise Diverged(f"a loss is not finite in epoch {number}: training {trained}, selection {selected}")
        self.history.append(
            {"epoch": number}
            | {f"train_{name}": value for name, value in trained.items()}
            | {f"selection_{name}": value for name, value in selected.items()}
            | {f"weight_{name}": weight for name, weight in self.weighting.weights().items()}
            | {"selection_total": total}
        )
        if total < self.best_total:
            self.best_epoch, self.best_total = number, total
            for name, value in self.model.state_dict().items():  # in place: two copies would be the peak of memory
                if name in self.best_state:
                    self.best_state[name].copy_(value)
                else:
                    self.best_state[name] = value.clone()
        self.order, self.position = None, 0
        for value in self.sums.values():
            value.zero_()

    def load_best(self) -> None:
        """Puts the weights of the picked epoch into the model, and lets the gradients go."""
        self.model.load_state_dict(self.best_state)
        self.optimizer.zero_grad()

    def _selection_terms(self) -> dict[str, float]:
        """The selection images' scores in the training terms' units."""
        selection = self.data.images[self.data.selection]
        scores = evaluate(self.model, selection, self.loss, self.sampler, self.evaluation_seed, self.latent)
        family = FAMILIES[self.model.architecture.family]
        columns = {m.term: f"{m.name}_{family.scale}" for m in (UNCONDITIONED, CONDITIONED)}
        columns |= {metric.term: metric.name for metric in family.metrics}
        return {name: scores[column] for name, column in columns.items() if name is not None and column in scores}

    def state(self) -> State:
        """Everything that `resume` needs. Its tensors are the live ones: save them before the next step."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state(),
            "weighting": self.weighting.state(),
            "generators": {name: generator.get_state() for name, generator in self.generators.items()},
            "history": self.history,
            "best_epoch": self.best_epoch,
            "best_total": self.best_total,
            "best_state": self.best_state,
            "order": self.order,
            "position": self.position,
            "sums": self.sums,
        }

    def resume(self, state: State) -> None:
        """Goes back to a `state` of a Fit with the same arguments, whose tensors are on this one's device (generator
        states on the CPU)."""
        self.model.load_state_dict(state["model"])
        self.optimizer.resume(state["optimizer"])
        self.weighting.resume(state["weighting"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())
        self.history, self.best_epoch, self.best_total = state["history"], state["best_epoch"], state["best_total"]
        self.best_state, self.order, self.position = state["best_state"], state["order"], state["position"]
        for name, value in self.sums.items():
            value.copy_(state["sums"][name])
