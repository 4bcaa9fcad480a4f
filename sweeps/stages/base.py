"""How a stage is carried out: its inputs, and the loop that trains for it."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from mtvae.model import Model
from sweeps.data.datasets import test_half_count, test_image_count
from sweeps.data.readers import Images, Labels
from sweeps.data.splits import FoldDraw, FoldNumbers, Split, split
from sweeps.ledger import kept_models
from sweeps.ledger.schema import Row, not_finite
from sweeps.ledger.storage import Storage
from sweeps.plan.unit import Unit


class Trainable(Protocol):
    """Something trained epoch by epoch, whose state can be saved between two steps, such as a `mtvae.loop.Loop`."""

    history: list[dict[str, float]]

    @property
    def finished(self) -> bool: ...

    @property
    def images_trained(self) -> int: ...

    def epoch(self, after_step: Callable[[], None]) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def resume(self, state: dict[str, Any]) -> None: ...


T = TypeVar("T", bound=Trainable)


class Train(Protocol):
    """Trains what `make` builds, from the unit's checkpoint if there is one, and returns it after its last epoch.

    `make` is called again if the checkpoint cannot be used.
    """

    def __call__(self, make: Callable[[], T]) -> T: ...


@dataclass(frozen=True)
class Inputs:
    """What a stage gets to run a unit.

    Attributes:
        images: uint8 (N,C,H,W), all images of the unit's source.
        device: "cpu" or "cuda".
        storage: the sweep's folder, where kept models are; None: no model is kept, and none can be loaded.
        notes: lines that the stage adds to the unit's log.
        folds: for each image the fold that it is tested in; None: drawn here.
        labels: the place of each image's class in `classes`, int16 (N,); None if the images have no classes.
    """

    unit: Unit
    images: Images
    device: str
    storage: Storage | None = None
    notes: list[str] = field(default_factory=list)
    folds: Mapping[FoldDraw, FoldNumbers] | None = None
    labels: Labels | None = None
    classes: tuple[str, ...] = ()

    @cached_property
    def split(self) -> Split:
        """The training set, the validation set and the test fold, as places among the images."""
        s = self.unit.settings
        half, test_images = test_half_count(s.source), test_image_count(s.source)
        numbers = (self.folds or {}).get(FoldDraw.of(s.folds, s.seed))
        return split(len(self.images) - test_images, s.folds, s.seed, self.unit.fold, half, numbers, test_images)

    @property
    def pixels(self) -> Tensor:
        """All images as uint8 (N,C,H,H) on the device. On the CPU they are no copy: workers share the bytes."""
        with warnings.catch_warnings():  # torch warns that the images are read-only; nothing writes to them
            warnings.simplefilter("ignore", UserWarning)
            return torch.as_tensor(self.images, device=self.device)

    def parent_model(self) -> Model:
        """Return the kept model of the training that the unit requires.

        Raises:
            FileNotFoundError: the model was not kept.
            DamagedModel: the model cannot be loaded, or is of other settings.
        """
        if self.storage is None:
            raise FileNotFoundError("no folder of kept models")
        key, fold = self.unit.training_id
        wanted = self.unit.settings.without_later
        return kept_models.load(self.storage, f"{key}-fold{fold}", self.device, wanted)[1]

    def keep(self, module: nn.Module, classes: Sequence[str] = ()) -> None:
        """Keep a model or a prior, and the classes that condition it, if the setting `keep_models` asks for it."""
        if self.storage is not None and kept_models.is_kept(self.unit):
            kept_models.save(self.storage, self.unit, module, classes)


class NotFinite(ArithmeticError):
    """A score is NaN or infinite; the message says which."""


def finite(results: Row) -> Row:
    """Return the results unchanged.

    Raises:
        NotFinite: a number in them is NaN or infinite.
    """
    if wrong := not_finite(results):
        raise NotFinite(wrong)
    return results


class Run(Protocol):
    """Carries out a stage on one unit, and returns its result columns. If it raises an error, the unit has failed."""

    def __call__(self, inputs: Inputs, train: Train) -> Row: ...
