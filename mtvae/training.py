"""Train a model: its terms, and the scores that pick its best epoch. The loop is `mtvae.loop`."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mtvae.conditioning import ConditionSampler
from mtvae.config import CONDITIONED, FAMILIES, METHODS, UNCONDITIONED, Loss, SoftAdapt, Training
from mtvae.evaluation import Scores, evaluate, to_pixels, training_error, with_empty_statistics
from mtvae.loop import Loop, State
from mtvae.losses import fixed_weights, loss_terms
from mtvae.model import Model
from mtvae.runtime.cuda_graph import Record
from mtvae.runtime.precision import forward_pass


@dataclass(frozen=True)
class TrainingSet:
    """uint8 images (N,C,H,H) on the model's device, and the indices of the training and the validation set.

    `labels`: their classes (N,), int64, on the same device; None without labels.
    """

    images: Tensor
    train: Tensor
    selection: Tensor
    labels: Tensor | None = None


def check_sizes(data: TrainingSet) -> None:
    """Raise ValueError for fewer than two training images, or an empty validation set."""
    if len(data.train) < 2 or len(data.selection) < 1:
        raise ValueError(f"{len(data.train)} images to train and {len(data.selection)} to pick the epoch are too few")


def device_generators(seeds: Mapping[str, int], device: torch.device) -> dict[str, torch.Generator]:
    """Return the generators of a training; permutations are drawn on the CPU."""
    return {
        "batches": torch.Generator().manual_seed(seeds["batches"]),
        "sampler": torch.Generator(device).manual_seed(seeds["sampler"]),
        "latent": torch.Generator(device).manual_seed(seeds["latent"]),
    }


class Fit(Loop):
    """The training of a model (3.4.3). Every epoch scores the validation set with the same seeded draws.

    Args:
        seeds: of `init`, `batches`, `sampler`, `latent` (training draws), and those of the validation set's draws
            (`mtvae.evaluation.generators`).
        latent: as `mtvae.evaluation.evaluate`.
        record: as `Loop`.
        switch_epoch: the last epoch of a model's second decoder (5.4), which `switch` ends; None: it trains to the end.

    Raises:
        ValueError: fewer than two training images, or an empty validation set.
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
        switch_epoch: int | None = None,
    ):
        check_sizes(data)
        self.model, self.data, self.loss, self.sampler = model, data, loss, sampler
        self.latent, self.seeds, self.init_seed = latent, seeds, seeds["init"]
        self.switch_epoch = switch_epoch
        self.sampler_text = None if sampler is None else sampler.describe()
        generators = device_generators(seeds, data.images.device)
        weights = fixed_weights(model.architecture, loss)
        super().__init__(model, data.train, training, weights, generators, soft_adapt, record)

    def before_first_step(self, batch: Tensor) -> None:
        """Let the latent space start from the first batch (`model.codebook_init`)."""
        self.model.latent_space.start(to_pixels(self.data.images[batch]), self.init_seed)

    def may_be_best(self, epoch: int) -> bool:
        return self.switch_epoch is None or epoch > self.switch_epoch

    def end_epoch(self) -> None:
        super().end_epoch()
        if len(self.history) == self.switch_epoch:
            self.switch()

    def switch(self) -> None:
        """Go on as the plain model: the conditioned decoder, its moments, its term and SoftAdapt end.

        Encoder and plain decoder keep their weights, moments and step counts, and all generators their state.
        """
        self.model.drop_conditioned()
        self.sampler = None
        self.keep_terms(fixed_weights(self.model.architecture, self.loss))

    def resume(self, state: State) -> None:
        switched = self.switch_epoch is not None and len(state["history"]) >= self.switch_epoch
        if switched and self.model.conditioned is not None:
            self.switch()
        super().resume(state)

    def train_terms(self, batch: Tensor) -> dict[str, Tensor]:
        x = to_pixels(self.data.images[batch])
        condition = None if self.sampler is None else self.sampler(x, self.generators["sampler"])
        with forward_pass(self.training.precision, x.device):
            outputs = self.model(x, condition, self.generators["latent"])
        return loss_terms(outputs, x, self.model.architecture, self.loss)

    def validation_terms(self) -> dict[str, float]:
        """Return the scores of the validation set, on the training terms' scale."""
        selection = self.data.images[self.data.selection]
        scores = evaluate(self.model, selection, self.loss, self.sampler, self.seeds, self.latent)
        family = FAMILIES[self.model.architecture.family]
        columns = {m.term: f"{m.name}_{family.scale}" for m in (UNCONDITIONED, CONDITIONED)}
        columns |= {metric.term: metric.name for metric in family.metrics}
        return {name: scores[column] for name, column in columns.items() if name is not None and column in scores}

    def scores(self, test: Tensor, again: Tensor, empty_statistics: bool = False) -> Scores:
        """Return the scores of the images at `test`, and the error of the training images at `again`.

        Args:
            empty_statistics: as `evaluation.batch_norm: empty` says (`mtvae.evaluation.with_empty_statistics`).
        """
        images, decoder = self.data.images, None
        if empty_statistics:
            decoder = with_empty_statistics(self.model, images, self.data.train, self.seeds, self.latent)
        scores = evaluate(self.model, images[test], self.loss, self.sampler, self.seeds, self.latent, decoder)
        return scores | training_error(self.model, images[again], self.loss, self.seeds, self.latent, decoder)

    def collapsed(self, scores: Scores, method: str) -> bool | None:
        """Return `has_collapsed`."""
        return has_collapsed(scores, method)


def has_collapsed(scores: Scores, method: str) -> bool:
    """Return whether the output that judges the method is hardly better than the mean image."""
    return scores[f"{METHODS[method].judged_by.name}_per_pixel"] > scores["mean_image_per_pixel"] / 2
