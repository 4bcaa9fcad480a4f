"""Kept models and priors, for a notebook: three lines load one and sample from it.

    from sweeps import kept
    generator = kept.load_generator("prior", key)  # a key of `sweeps.frames.priors("prior")`
    images = generator.sample(16)

A sweep keeps models by its setting `keep_models`. The functions take a sweep's name, the key of a row, a fold, and the
folder of all results (a path, or a URI such as s3://bucket/results).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mtvae.config.prior import STAGE as PRIOR
from mtvae.model import Model
from mtvae.own_model import Network
from mtvae.prior.drawing import decode, draw_latent
from mtvae.prior.fitting import AnyPrior
from sweeps.analysis.results import find_sweeps
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.text import nearest

Results = str | Path


@dataclass(frozen=True)
class Generator:
    """A model with a prior over its latent space, both in evaluation mode.

    Attributes:
        classes: the names of the classes that condition the prior; empty if none do.
    """

    model: Model
    prior: AnyPrior
    classes: tuple[str, ...]

    def sample(
        self, number: int, seed: int = 0, labels: Sequence[str] | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw images (number,C,H,H) in [0,1], decoded without a pixel.

        Args:
            labels: the class of each image, by name, for a prior with classes; None draws them evenly.
            temperature: above 0; below 1, what is likely becomes likelier.

        Raises:
            ValueError: there are not as many labels as images, a label is unknown, the prior has no classes, or the
                temperature is not above 0.
        """
        return decode(self.model, self._latent(number, seed, labels, temperature))

    def sample_given(
        self, condition: Tensor, seed: int = 0, labels: Sequence[str] | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw an image (N,C,H,H) in [0,1] for each condition (N,C+1,H,H): pixels, and a channel that marks them.

        `mtvae.conditioning.ConditionSampler` makes conditions of images.

        Raises:
            ValueError: as `sample`, or the model has no conditioned decoder.
        """
        if self.model.conditioned is None:
            raise ValueError("the model has no conditioned decoder")
        z = self._latent(len(condition), seed, labels, temperature)
        with torch.no_grad():
            return self.model.decode_conditioned(z, condition).clamp(0, 1)

    def _latent(self, number: int, seed: int, labels: Sequence[str] | None, temperature: float) -> Tensor:
        """Draw z for this many images."""
        if not temperature > 0:
            raise ValueError(f"temperature {temperature:g} must be above 0")
        generator = torch.Generator().manual_seed(seed)
        own = self._numbers(number, labels, generator)
        return draw_latent(self.prior, self.model, number, generator, own, temperature).z

    def _numbers(self, number: int, labels: Sequence[str] | None, generator: torch.Generator) -> Tensor | None:
        """Return the numbers of the classes, (N,); None for a prior without classes."""
        device = next(self.model.parameters()).device
        if not self.classes:
            if labels is not None:
                raise ValueError("the prior has no classes")
            return None
        if labels is None:
            return torch.randint(len(self.classes), (number,), generator=generator).to(device)
        if len(labels) != number:
            raise ValueError(f"{len(labels)} labels for {number} images")
        for label in labels:
            if label not in self.classes:
                raise ValueError(f"{label!r} is no class of the prior{nearest(str(label), self.classes)}")
        return torch.tensor([self.classes.index(label) for label in labels], device=device)


def load_model(
    sweep: str, key: str, fold: int = 0, results: Results = "results", device: str = "cpu"
) -> Model | Network:
    """Return a kept model in evaluation mode.

    Raises:
        ReportError: no such sweep.
        FileNotFoundError: the model was not kept.
        DamagedModel: its file cannot be loaded.
    """
    with _told(sweep, key, fold):
        return kept_models.load(_ledger(sweep, results).storage, f"{key}-fold{fold}", device)[1]


def load_generator(sweep: str, key: str, fold: int = 0, results: Results = "results", device: str = "cpu") -> Generator:
    """Return the prior with this key, and its model.

    Raises:
        ReportError, FileNotFoundError, DamagedModel: as `load_model`.
        ValueError: no prior with this key is done for this fold.
    """
    ledger = _ledger(sweep, results)
    units = ledger.read("units", ["key", "fold", "stage", "parent_key"])[0]
    parents = {(unit["key"], unit["fold"]): unit["parent_key"] for unit in units if unit["stage"] == PRIOR}
    if (key, fold) not in parents:
        raise ValueError(f"no prior {key} of fold {fold} is done in {sweep}")
    with _told(sweep, key, fold):
        _, prior, classes = kept_models.load_prior(ledger.storage, f"{key}-fold{fold}", device)
        _, model = kept_models.load(ledger.storage, f"{parents[key, fold]}-fold{fold}", device)
    assert isinstance(model, Model)
    return Generator(model, prior, classes)


@contextmanager
def _told(sweep: str, key: str, fold: int) -> Iterator[None]:
    """Say in the error of a missing file which setting would have kept it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{sweep} has not kept {key}-fold{fold}, see the setting keep_models") from error


def _ledger(sweep: str, results: Results) -> Ledger:
    (name,) = find_sweeps(str(results), sweep)
    return open_ledger(results, name)
