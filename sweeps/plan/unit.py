"""A unit: one stage of one configuration on one fold, which is done or not done."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Protocol, Self

from sweeps.config.settings import Settings
from sweeps.config.stages import STAGES, TRAINING
from sweeps.data.datasets import image_count, test_half_count
from sweeps.data.splits import fold_sizes

UnitId = tuple[str, int]
"""(key, fold): identifies a unit in the ledger."""


class OnProgress(Protocol):
    """Takes note of how far a unit is. Called before the first step and after every step."""

    def __call__(self, images: int, losses: Callable[[], Mapping[str, float]] = dict) -> None:
        """Take note of the images that the unit has trained so far.

        `losses` returns the means of the training terms in the running epoch, by name. It may wait for the device.
        """


class Outcome(StrEnum):
    """How one attempt at a unit ended."""

    DONE = "done"
    DONE_BEFORE = "done before"
    """Another driver has done the unit since the plan was made."""
    FAILED = "failed"
    STOPPED = "stopped"
    """The sweep was stopped, or the worker died; the unit resumes from its checkpoint."""
    CROWDED = "crowded"
    """The memory of the GPU that the unit shares ran out."""

    @property
    def is_done(self) -> bool:
        """Whether the ledger holds the unit's record."""
        return self in (Outcome.DONE, Outcome.DONE_BEFORE)


_NAME = re.compile(r"(?P<key>[0-9a-f]{12})-fold(?P<fold>\d{1,4})")


def parse_unit_name(name: str) -> UnitId | None:
    """Return the id of the unit with this `Unit.name`; None for another text."""
    match = _NAME.fullmatch(name)
    return (match["key"], int(match["fold"])) if match else None


class PlacementError(RuntimeError):
    """The resources that units ask for do not exist; the message says which."""


@dataclass(frozen=True)
class Unit:
    """One stage of one configuration on one fold, which is done or not done.

    `label` names the configuration in its sweep; the plan sets it, and units are compared without it. `requires` holds
    the units that must be done before this one can start; the first is the training of its fold.
    """

    key: str
    fold: int
    settings: Settings
    label: str = field(default="", compare=False)
    stage: str = TRAINING
    requires: tuple[UnitId, ...] = ()

    @property
    def id(self) -> UnitId:
        return self.key, self.fold

    @property
    def stage_and_fold(self) -> tuple[str, int]:
        """The stage and the fold, which identify a unit within its configuration."""
        return self.stage, self.fold

    @property
    def training_id(self) -> UnitId:
        """The id of the training that the unit is built on; its own id if it is a training."""
        return self.requires[0] if self.requires else self.id

    @property
    def name(self) -> str:
        """The name of the unit's files, without their endings."""
        return f"{self.key}-fold{self.fold}"

    @cached_property
    def images_to_train(self) -> int:
        """How many images pass through training steps: training set times epochs; fewer if files are skipped."""
        folds = self.settings.folds
        n, half = image_count(self.settings.data), test_half_count(self.settings.source)
        return fold_sizes(n, folds, self.fold, half).train * STAGES[self.stage].epochs(self.settings)

    @property
    def memory_class(self) -> object:
        """A value that is equal for units that take the same memory."""
        s = self.settings
        prior = None if self.stage == TRAINING else s.prior
        return self.stage, s.architecture, s.training.batch_size, s.training.precision, s.source, prior

    def with_gpus(self, share: float) -> "Unit":
        """Return the same unit with another share of a GPU."""
        resources = self.settings.resources.model_copy(update={"gpus": share})
        return replace(self, settings=self.settings.model_copy(update={"resources": resources}))

    def __deepcopy__(self, memo: object) -> Self:
        """Return the unit itself, because it never changes and Tune copies its input for every trial."""
        return self

    @property
    def stage_label(self) -> str:
        """The label, and the stage if it is a later one."""
        return self.label if self.stage == TRAINING else f"{self.label}, {self.stage}"

    def __str__(self) -> str:
        return f"{self.stage_label}, fold {self.fold} ({self.name})"


def by_key(units: Iterable[Unit]) -> list[list[Unit]]:
    """Return the units of each key, in the order in which the keys come: a configuration's stages, with their folds."""
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.key, []).append(unit)
    return list(groups.values())
