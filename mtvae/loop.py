"""The one training loop: a plain loop over epochs whose whole state is in one object.

A subclass says what is trained and on which terms: `mtvae.training.Fit` trains a model.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtvae.config import SoftAdapt, Training
from mtvae.losses import FixedWeighting, Weighting, weighting
from mtvae.runtime.cuda_graph import Record, Recorded
from mtvae.runtime.precision import tf32_allowed


class Diverged(ArithmeticError):
    """A loss became NaN or infinite."""


def batches(order: Tensor, batch_size: int) -> Sequence[Tensor]:
    """Split indices into batches.

    The last short batch is kept. A single image joins the batch before it, because batch normalisation cannot train on
    one image.
    """
    parts = list(order.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def adamw(module: nn.Module, training: Training, device: torch.device) -> torch.optim.AdamW:
    """Return the optimizer of a module on a device (3.4.3). Its first step creates its state."""
    return torch.optim.AdamW(
        module.parameters(),
        lr=training.lr,
        weight_decay=training.weight_decay,
        fused=True,
        capturable=device.type == "cuda",  # or torch refuses to record a step
    )


State = dict[str, Any]
"""A training under way as plain values and tensors, so that it can be loaded without running code."""


class Loop(ABC):
    """A training in progress. `epoch` trains one epoch; after the last, `load_best` loads the best checkpoint.

    Every epoch measures the total of the validation terms with the fixed weights, under SoftAdapt too; the epoch with
    the least total is the best (3.4.3). `state` holds everything between any two steps: a new loop of the same
    arguments that resumes from it reaches the same digits on the same kind of device.

    Args:
        module: what is trained.
        train_indices: of the images that train, (N,) on the module's device.
        weights: the fixed weight of each training term, by name, in the order in which they are joined.
        generators: what a step draws from, by name; `batches` draws the order of the images, on the CPU.
        record: how a step is recorded, to be replayed from then on; None: every step is run.
    """

    def __init__(
        self,
        module: nn.Module,
        train_indices: Tensor,
        training: Training,
        weights: dict[str, float],
        generators: Mapping[str, torch.Generator],
        soft_adapt: SoftAdapt | None = None,
        record: Record | None = None,
    ):
        self.module, self.train_indices, self.training = module, train_indices, training
        self.weights, self.generators = weights, dict(generators)
        device = train_indices.device
        self.weighting: Weighting = weighting(soft_adapt or SoftAdapt(), weights, device)
        self.optimizer = adamw(module, training, device)
        self.history: list[dict[str, float]] = []
        self.best_epoch, self.best_total = 0, math.inf
        self.best_state: dict[str, Tensor] = {}
        # of the epoch under way: the order of its images, the batches done, and the sums of the terms so far
        self.order: Tensor | None = None
        self.position = 0
        self.sums = {name: torch.zeros((), dtype=torch.float64, device=device) for name in weights}
        self.recorded = Recorded(training.batch_size, self.drawn_from, record)

    @abstractmethod
    def train_terms(self, batch: Tensor) -> dict[str, Tensor]:
        """Return the unweighted training terms of the images at these indices (N,): scalars with gradient, by name."""

    @abstractmethod
    def validation_terms(self) -> dict[str, float]:
        """Return the same terms on the validation set, and any others that the history keeps."""

    def may_be_best(self, epoch: int) -> bool:
        """Whether the weights at the end of an epoch, from 1, can be the best checkpoint."""
        return True

    def before_first_step(self, batch: Tensor) -> None:  # noqa: B027 - most have nothing to do
        """Prepare the module from the first images that will train it, at these indices (N,)."""

    @property
    def drawn_from(self) -> list[torch.Generator]:
        """The generators that a step draws from."""
        return [generator for name, generator in self.generators.items() if name != "batches"]

    @property
    def finished(self) -> bool:
        return len(self.history) == self.training.epochs

    @property
    def images_trained(self) -> int:
        """Images that went through the training step so far."""
        under_way = min(self.position * self.training.batch_size, len(self.train_indices))
        return len(self.history) * len(self.train_indices) + under_way

    def losses(self) -> dict[str, float]:
        """Return the means of the unweighted training terms in the running epoch; between epochs, in the last one."""
        if not self.position:
            last = self.history[-1] if self.history else {}
            return {name: last[f"train_{name}"] for name in self.sums if f"train_{name}" in last}
        trained = min(self.position * self.training.batch_size, len(self.train_indices))
        return {name: value.item() / trained for name, value in self.sums.items()}

    def epoch(self, after_step: Callable[[], None] = lambda: None) -> None:
        """Train to the end of an epoch, measure the validation set, and keep the weights if they are the best so far.

        `after_step` is called between steps. It may read `state`, and it may raise to stop there.

        Raises:
            Diverged: a training or validation loss is not finite.
        """
        with tf32_allowed(tf32=self.training.precision == "tf32"):
            for batch in self.batches_left():
                if not self.history and not self.position:
                    self.before_first_step(batch)
                self.recorded(self.train_on, batch)
                self.finish_step()
                after_step()
        self.end_epoch()

    def batches_left(self) -> Sequence[Tensor]:
        """Return the image indices of each remaining step of the current epoch, or of a new one."""
        self.module.train()
        if self.order is None:
            self.order = self.train_indices
            if self.training.shuffle:
                drawn = torch.randperm(len(self.order), generator=self.generators["batches"])
                self.order = self.order[drawn.to(self.order.device)]
        return batches(self.order, self.training.batch_size)[self.position :]

    def train_on(self, batch: Tensor) -> None:
        """Do the device's part of a step on the images at these indices (N,).

        It is always the same operations on the same memory, and the host waits for no number. Each unweighted term
        times N is added to the sums.
        """
        terms = self.train_terms(batch)
        self.optimizer.zero_grad()
        self.weighting(terms).backward()
        self.optimizer.step()
        for name, term in terms.items():
            self.sums[name].add_(term.detach().double() * len(batch))

    def finish_step(self) -> None:
        """Do the host's part of a step, after the device's."""
        self.weighting.after_step()
        self.position += 1

    def end_epoch(self) -> None:
        """Measure the validation set, and keep the weights if they are the best so far.

        Raises:
            Diverged: a training or validation loss is not finite.
        """
        number = len(self.history) + 1
        trained = {name: value.item() / len(self.train_indices) for name, value in self.sums.items()}
        validated = self.validation_terms()
        total = sum(weight * validated[name] for name, weight in self.weights.items())
        if not all(map(math.isfinite, [*trained.values(), total])):
            raise Diverged(f"a loss is not finite in epoch {number}: training {trained}, validation {validated}")
        self.history.append(
            {"epoch": number}
            | {f"train_{name}": value for name, value in trained.items()}
            | {f"selection_{name}": value for name, value in validated.items()}
            | {f"weight_{name}": weight for name, weight in self.weighting.weights().items()}
            | {"selection_total": total}
        )
        if total < self.best_total and self.may_be_best(number):
            self.best_epoch, self.best_total = number, total
            for name, value in self.module.state_dict().items():  # in place: two copies would be the peak of memory
                if name in self.best_state:
                    self.best_state[name].copy_(value)
                else:
                    self.best_state[name] = value.clone()
        self.order, self.position = None, 0
        for value in self.sums.values():
            value.zero_()

    def keep_terms(self, weights: dict[str, float]) -> None:
        """Train on with these of the terms, their fixed weights, and the parameters that the module still has.

        The parameters keep their moments. It may only be called between two epochs.
        """
        kept = set(map(id, self.module.parameters()))
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if id(parameter) not in kept:
                    self.optimizer.state.pop(parameter, None)
            group["params"] = [parameter for parameter in group["params"] if id(parameter) in kept]
        self.weights, self.weighting = weights, FixedWeighting(weights)
        self.sums = {name: self.sums[name] for name in weights}
        self.recorded.forget()  # the recorded step trains the parameters and terms of before

    def load_best(self) -> None:
        """Load the best checkpoint into the module, and free the gradients."""
        self.module.load_state_dict(self.best_state)
        self.optimizer.zero_grad()

    def state(self) -> State:
        """Return everything that `resume` needs. Its tensors are the live ones: save them before the next step."""
        return {
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
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
        """Restore a `state` of a loop with the same arguments.

        Its tensors are on this loop's device, the states of generators on the CPU.
        """
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.recorded.forget()  # the optimizer's state is in new memory, which a recorded step does not know
        self.weighting.resume(state["weighting"])
        for name, generator in self.generators.items():
            generator.set_state(state["generators"][name].cpu())
        self.history, self.best_epoch, self.best_total = state["history"], state["best_epoch"], state["best_total"]
        self.best_state, self.order, self.position = state["best_state"], state["order"], state["position"]
        for name, value in self.sums.items():
            value.copy_(state["sums"][name])
