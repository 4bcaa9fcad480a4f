"""Models of one's own: trains and scores a plug-in's class, and tries it before anything is trained.

A plug-in imports from here what its class needs. All random numbers that torch draws in its methods are seeded.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mtvae.conditioning import ConditionSampler
from mtvae.config import (
    FAMILIES,
    UNCONDITIONED,
    Architecture,
    Batch,
    Loss,
    Metric,
    OwnModel,
    Section,
    Shape,
    SoftAdapt,
    Training,
)
from mtvae.config.registry import import_attribute
from mtvae.cost import Cost
from mtvae.evaluation import BATCH_SIZE, Scores, as_training_error, scaled, to_pixels
from mtvae.loop import Diverged, Loop
from mtvae.losses import fixed_weights
from mtvae.runtime.cuda_graph import Record
from mtvae.runtime.determinism import seeded
from mtvae.runtime.precision import forward_pass
from mtvae.training import TrainingSet, check_sizes, device_generators

__all__ = ["Batch", "Field", "Metric", "OwnModel", "Section", "Shape"]

TRIED = 4
"""Images of the batch with which a model is tried before anything is trained."""


class OwnModelError(RuntimeError):
    """A fault of a plug-in's class; the message names the class and the fault in one line."""


@contextmanager
def _named(family: str, method: str) -> Iterator[None]:
    """Turn an error of a plug-in's method into one that names the plug-in. Errors of memory stay as they are."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, OwnModelError):
        raise
    except Exception as error:
        if "can't allocate memory" in str(error):
            raise
        text = " ".join(str(error).split())[:300]
        raise OwnModelError(f"{family}: {method} raised {type(error).__name__}: {text}") from error


def own_model_of(architecture: Architecture) -> OwnModel:
    """Return the plug-in's object for the sizes of an architecture."""
    found: Callable[[Any], OwnModel] = import_attribute(architecture.family)
    return found(architecture.sizes)


class Network(nn.Module):
    """The network that a plug-in builds, as the model of its family."""

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.architecture = architecture
        self.own = own_model_of(architecture)
        family = architecture.family
        with _named(family, "build"):
            self.module = self.own.build(Shape(architecture.channels, architecture.side, architecture.classes))
        if not isinstance(self.module, nn.Module):
            raise OwnModelError(f"{family}: build returned a {type(self.module).__name__}, not an nn.Module")
        if not any(p.requires_grad for p in self.module.parameters()):
            raise OwnModelError(f"{family}: build returned a module without trainable parameters")

    def initialise(self, generator: torch.Generator) -> None:
        """Do nothing: `build` has drawn the initial values, from torch's seeded global generator."""

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the plug-in measures of a batch: its terms and some of its metrics, as scalars.

        Raises:
            OwnModelError: a term is missing, a name is not declared, or a value is no scalar.
        """
        name = self.architecture.family
        with _named(name, "measure"):
            found = self.own.measure(self.module, batch)
        if not isinstance(found, Mapping):
            raise OwnModelError(f"{name}: measure returned a {type(found).__name__}, not a dictionary")
        family = FAMILIES[name]
        for term in family.terms:
            if term not in found:
                raise OwnModelError(f"{name}: measure lacks the term {term}")
        for key, value in found.items():
            if family.metric(key) is None:
                raise OwnModelError(f"{name}: measure returned {key!r}, which is not in terms or metrics")
            if not isinstance(value, Tensor) or value.numel() != 1:
                what = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise OwnModelError(f"{name}: measure returned {key} {what}, not a scalar tensor")
        return {key: value.float().reshape(()) for key, value in found.items()}

    def weights(self, loss: Loss) -> dict[str, float]:
        """Return the weight of each term in the loss. Raise OwnModelError for a term that there is not."""
        weights, name = fixed_weights(self.architecture, loss), self.architecture.family
        with _named(name, "weights"):
            given = {term: float(weight) for term, weight in self.own.weights().items()}
        if unknown := next((term for term in given if term not in weights), None):
            raise OwnModelError(f"{name}: weights has {unknown!r}, which is not in terms")
        return weights | given

    def reconstruct(self, batch: Batch) -> Tensor | None:
        """Return the plug-in's reconstructions (N,C,H,H). Raise OwnModelError for another shape."""
        name = self.architecture.family
        with _named(name, "reconstruct"):
            found = self.own.reconstruct(self.module, batch)
        if found is None:
            return None
        if not isinstance(found, Tensor) or found.shape != batch.images.shape:
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise OwnModelError(f"{name}: reconstruct returned {shape}, not images {tuple(batch.images.shape)}")
        return found


class OwnFit(Loop):
    """The training of a plug-in's model. It takes the arguments of `mtvae.training.Fit`.

    Each step, and each batch of an evaluation, seeds torch's global generators from the unit's seeds. So a plug-in may
    call `torch.randn_like` or have dropout, and a resumed training repeats the same digits. No step is recorded as a
    CUDA graph, because a plug-in's method may wait for numbers.
    """

    def __init__(
        self,
        model: Network,
        data: TrainingSet,
        loss: Loss,
        training: Training,
        sampler: ConditionSampler | None,
        seeds: Mapping[str, int],
        latent: str | None = None,
        soft_adapt: SoftAdapt | None = None,
        record: Record | None = None,
    ):
        check_sizes(data)
        self.model, self.data, self.seeds, self.sampler, self.sampler_text = model, data, seeds, sampler, None
        generators = device_generators(seeds, torch.device("cpu"))
        super().__init__(model, data.train, training, model.weights(loss), generators, soft_adapt)

    def _batch(self, indices: Tensor) -> Batch:
        labels = None if self.data.labels is None else self.data.labels[indices]
        return Batch(to_pixels(self.data.images[indices]), labels)

    def train_terms(self, batch: Tensor) -> dict[str, Tensor]:
        seed = int(torch.randint(2**62, (), generator=self.generators["latent"]).item())
        device = self.data.images.device
        with seeded(seed, device), forward_pass(self.training.precision, device):
            found = self.model.measure(self._batch(batch))
        return {name: found[name] for name in self.weights}

    @torch.no_grad()
    def validation_terms(self) -> dict[str, float]:
        """Return the means of the terms and metrics that `measure` returns, over the validation set."""
        sums: dict[str, float] = {}
        for batch in self._evaluated(self.data.selection):
            for name, value in self.model.measure(batch).items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch.images)
        found = {name: total / len(self.data.selection) for name, total in sums.items()}
        self._check_finite(found, f"in epoch {len(self.history) + 1} on the validation set")
        return found

    def end_epoch(self) -> None:
        """Do as `Loop.end_epoch`. The message of `Diverged` names the plug-in."""
        name = self.model.architecture.family
        try:
            super().end_epoch()
        except Diverged as error:
            raise error if str(error).startswith(name) else Diverged(f"{name}: {error}") from None

    def _evaluated(self, indices: Tensor) -> Iterator[Batch]:
        """Yield batches in evaluation mode. Torch draws from the same seed each time, inside the loop's body too."""
        self.model.eval()
        with seeded(self.seeds["evaluation"], self.data.images.device):
            for part in indices.split(BATCH_SIZE):
                yield self._batch(part)

    def _check_finite(self, scores: Mapping[str, float], where: str) -> None:
        wrong = [f"{name} is {value}" for name, value in scores.items() if not math.isfinite(value)]
        if wrong:
            raise Diverged(f"{self.model.architecture.family}: {', '.join(wrong)} {where}")

    @torch.no_grad()
    def scores(self, test: Tensor, again: Tensor, empty_statistics: bool = False) -> Scores:
        """Return the plug-in's scores of the images at `test`, and the errors of its reconstructions of both parts."""
        family = FAMILIES[self.model.architecture.family]
        with _named(family.name, "scores"):
            own = self.model.own.scores(self.model.module, self._evaluated(test))
            found = {name: float(value) for name, value in own.items()}
        if unknown := next((name for name in found if family.metric(name) is None), None):
            raise OwnModelError(f"{family.name}: scores returned {unknown!r}, which is not in terms or metrics")
        self._check_finite(found, "on the test fold")
        if family.reconstructs:
            found |= self._errors(test)
            found |= as_training_error(self._errors(again))
        return found

    def _errors(self, indices: Tensor) -> Scores:
        """Return the error of the reconstructions of the images at some indices, on both scales."""
        total = 0.0
        for batch in self._evaluated(indices):
            found = self.model.reconstruct(batch)
            if found is None:
                raise OwnModelError(f"{self.model.architecture.family}: reconstruct returned None")
            total += F.mse_loss(found.float(), batch.images).item() * len(batch.images)
        return scaled(UNCONDITIONED, total / len(indices), self.data.images[0].numel())

    def collapsed(self, scores: Scores, method: str) -> bool | None:
        """Return whether a fold with these scores counts as collapsed, by the plug-in's rule."""
        with _named(self.model.architecture.family, "collapsed"):
            found = self.model.own.collapsed(scores)
        return None if found is None else bool(found)


@lru_cache(maxsize=4096)
def _tried(architecture: Architecture) -> tuple[Cost, str]:
    """Return the cost of a model for one image, and what is wrong with it: train it on a made-up batch on the CPU."""
    family, cpu = FAMILIES[architecture.family], torch.device("cpu")
    try:
        with seeded(0, cpu):
            network = Network(architecture)
            images = torch.rand(TRIED, architecture.channels, architecture.side, architecture.side)
            labels = torch.randint(architecture.classes, (TRIED,)) if architecture.classes else None
            numbers: list[int] = []
            for module in network.module.modules():
                if not list(module.children()):
                    module.register_forward_hook(lambda _, __, found: numbers.append(_numel(found)))
            with FlopCounterMode(display=False) as counter:
                found = network.measure(Batch(images, labels))
            cost = Cost(
                sum(p.numel() for p in network.parameters() if p.requires_grad),
                sum(numbers) // TRIED,
                counter.get_total_flops() // TRIED,
            )
            weights = network.weights(Loss())
            total = torch.stack([weight * found[term] for term, weight in weights.items()]).sum()
            if not all(math.isfinite(value.item()) for value in found.values()):
                wrong = next(name for name, value in found.items() if not math.isfinite(value.item()))
                return cost, f"{family.name}: measure returned {wrong} {found[wrong].item()} for a batch of noise"
            with _named(family.name, "the backward pass of measure"):
                total.backward()
            if family.reconstructs:
                network.eval().reconstruct(Batch(images, labels))
            return cost, ""
    except OwnModelError as error:
        return Cost(), str(error)


def _numel(found: Any) -> int:
    """Return how many numbers a layer puts out."""
    if isinstance(found, Tensor):
        return found.numel()
    return sum(map(_numel, found)) if isinstance(found, tuple | list) else 0


def check(architecture: Architecture) -> str:
    """Return what is wrong with a plug-in's model, or an empty text. Without known labels a model of labels passes."""
    if FAMILIES[architecture.family].needs_labels and not architecture.classes:
        return ""
    return _tried(architecture)[1]


def cost(architecture: Architecture) -> tuple[Cost, Cost, Cost]:
    """Return the measured cost of a plug-in's model, as `mtvae.cost` does: it has no decoders of a method."""
    return _tried(architecture)[0], Cost(), Cost()
