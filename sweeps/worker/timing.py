"""Time a unit by training it for some steps: what it does once, in each step and in each epoch."""

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import torch

from mtvae.config.registry import import_attribute
from mtvae.loop import Loop
from mtvae.runtime.cuda_graph import WARM_STEPS
from mtvae.runtime.determinism import reproducible
from sweeps.config.stages import STAGES, TRAINING
from sweeps.data.datasets import Loaded
from sweeps.ledger.storage import Storage
from sweeps.plan.timings import Times, Timing
from sweeps.plan.unit import Unit
from sweeps.stages.base import Inputs, Run, T

SECONDS = 2.0  # of the clock, in which steps are timed
WARM_UP = WARM_STEPS + 1  # first steps, which take longer: they count as what a unit does once
MOST_EPOCHS = 10_000  # so that a unit of few epochs has enough steps to time
Reading = tuple[float, float]
"""Seconds of this process's processor time, and of the clock."""


class _Enough(Exception):
    """Ends the epoch once enough steps were timed."""


class _TimedTrain:
    """Trains for some steps as `sweeps.stages.base.Train`, and notes when each step and each epoch ended."""

    def __init__(self, read: Callable[[], Reading], seconds: float = SECONDS):
        self.read, self.seconds = read, seconds
        self.steps: list[Reading] = []  # how long each took
        self.epochs: list[Reading] = []  # how long each took besides its steps

    def __call__(self, make: Callable[[], T]) -> T:
        trained = make()
        began, last = time.perf_counter(), self.read()

        def after_step() -> None:
            nonlocal last
            now = self.read()
            self.steps.append(_difference(now, last))
            last = now
            if len(self.steps) > WARM_UP + 1 and time.perf_counter() - began > self.seconds:
                raise _Enough

        while not self.epochs or (time.perf_counter() - began < self.seconds and not trained.finished):
            last = self.read()
            with suppress(_Enough):
                trained.epoch(after_step)
            if isinstance(trained, Loop) and trained.position:  # it was cut off
                trained.end_epoch()
            self.epochs.append(_difference(self.read(), last))
        return trained


def time_unit(unit: Unit, loaded: Loaded, device: str) -> Timing:
    """Train a unit for some steps, score it, and return how long its parts took. Nothing is recorded.

    What a later stage builds on is trained for a few steps before, which does not count.

    Raises:
        Exception: an error of the unit.
    """

    def read() -> Reading:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.process_time(), time.perf_counter()

    with tempfile.TemporaryDirectory(prefix="sweeps-timed.") as folder:
        inputs = Inputs(_of_many_epochs(unit), loaded.images, device, Storage(folder), [], loaded.folds)
        inputs = replace(inputs, labels=loaded.labels, classes=loaded.classes)
        with reproducible(unit.settings.training.deterministic):
            for i, stage in enumerate(STAGES[unit.stage].parents):
                _run(stage)(_inputs_of(inputs, stage, i), _TimedTrain(read, seconds=0))
            timed, began = _TimedTrain(read), read()
            _run(unit.stage)(_inputs_of(inputs, unit.stage, None), timed)
            whole = _difference(read(), began)
    cpu, clock = (_times(timed, whole, i) for i in (0, 1))
    return Timing(cpu, clock, device == "cuda")


def _of_many_epochs(unit: Unit) -> Unit:
    """Return a unit that trains until its steps are timed. It keeps its model only where a later stage reads it."""
    s = unit.settings
    many: dict[str, object] = {"training": s.training.model_copy(update={"epochs": MOST_EPOCHS})}
    if s.prior.epochs is not None:
        many["prior"] = s.prior.model_copy(update={"epochs": MOST_EPOCHS})
    many["keep_models"] = "none" if unit.stage == TRAINING else "all"
    return replace(unit, settings=s.model_copy(update=many))


def _inputs_of(inputs: Inputs, stage: str, place: int | None) -> Inputs:
    """Return the inputs of a stage that the timed unit builds on, the i-th of them, or of the unit itself (None).

    The keys are the stages' names.
    """
    parents = STAGES[inputs.unit.stage].parents
    required = tuple((name, inputs.unit.fold) for name in (parents if place is None else parents[:place]))
    return replace(inputs, unit=replace(inputs.unit, key=stage, stage=stage, requires=required))


def _run(stage: str) -> Run:
    found: Run = import_attribute(STAGES[stage].run)
    return found


def _times(timed: _TimedTrain, whole: Reading, i: int) -> Times:
    """Return the times of one clock."""
    steps, epochs = [step[i] for step in timed.steps], [epoch[i] for epoch in timed.epochs]
    counted = steps[WARM_UP:] or steps[-1:]
    step = sum(counted) / max(len(counted), 1)
    epoch = sum(epochs) / len(epochs) if epochs else 0.0
    once = whole[i] - sum(steps) - sum(epochs) + sum(s - step for s in steps[:WARM_UP])
    return Times(max(once, 0.0), step, epoch)


def _difference(later: Reading, earlier: Reading) -> Reading:
    return later[0] - earlier[0], later[1] - earlier[1]
