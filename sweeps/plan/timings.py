"""How long units take, estimated from one timed unit of each shape."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from sweeps.config.stages import STAGES, TRAINING
from sweeps.plan.unit import Unit


@dataclass(frozen=True)
class Times:
    """The seconds of a unit's parts.

    Attributes:
        once: before the first step and after the last one, such as the scores on the test fold.
        step: one training step.
        epoch: what an epoch takes besides its steps: the validation set.
    """

    once: float
    step: float
    epoch: float

    def of(self, unit: Unit) -> float:
        """Return the seconds of a whole unit."""
        stage = STAGES[unit.stage]
        epochs = stage.epochs(unit.settings)
        images = unit.images_to_train / epochs if epochs else 0
        steps = math.ceil(images / stage.batch_size(unit.settings))
        return self.once + epochs * (steps * self.step + self.epoch)


@dataclass(frozen=True)
class Timing:
    """A timed unit: in seconds of the processor, and in seconds of the clock, which other processes make longer."""

    cpu: Times
    clock: Times
    on_gpu: bool

    def describe(self) -> dict[str, object]:
        """Return plain values; `Timing.from_description` reads them."""
        return asdict(self)

    @classmethod
    def from_description(cls, cpu: Mapping[str, float], clock: Mapping[str, float], on_gpu: bool) -> "Timing":
        """Return the timing that was described."""
        return cls(Times(**cpu), Times(**clock), on_gpu)


def shape_of(unit: Unit) -> Hashable:
    """Return a value that is equal for units that take the same time but for their epochs."""
    s = unit.settings
    later = None if unit.stage == TRAINING else (s.prior, s.generation)
    return unit.memory_class, s.sampler, s.soft_adapt.variant, s.evaluation, s.folds, later


def units_to_time(missing: Sequence[Unit], workers: int) -> list[Unit]:
    """Return a unit of each shape, and more of them where there are fewer than the workers, which slow each other down.

    None of them requires another, so that all can be timed at once, and before what they are built on is there.
    """
    by_shape: dict[Hashable, list[Unit]] = {}
    for unit in missing:
        by_shape.setdefault(shape_of(unit), []).append(replace(unit, requires=()))
    each = max(1, math.ceil(workers / max(len(by_shape), 1)))
    return [unit for units in by_shape.values() for unit in units[:each]]
