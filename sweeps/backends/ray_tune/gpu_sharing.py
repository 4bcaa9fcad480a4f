"""How many units share a GPU: a given number, or as many as its memory holds, measured before the first trial."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import ray

from sweeps.data.datasets import Loaded, Source
from sweeps.plan.unit import Unit
from sweeps.text import error_line

MEMORY_GIVEN_OUT = 0.9  # of a GPU's memory; the rest is a reserve
UnitsPerGpu = int | Literal["auto"]
MeasureMemory = Callable[[Unit, Loaded], tuple[int, int]]
"""(unit, its images) -> bytes of GPU memory that the unit takes, and bytes of the whole GPU."""


def share_of_gpu(n: int) -> float:
    """Return the share that each of n units on a GPU gets, in the ten-thousandths that Ray counts."""
    return math.floor(1e4 / n) / 1e4


def choose_shares(
    examples: Sequence[Unit],
    images: Mapping[Source, Any],
    per_gpu: UnitsPerGpu,
    measure: MeasureMemory,
    say: Callable[[Sequence[str]], None],
) -> Callable[[Unit], Unit]:
    """Return a function that gives a unit its share of a GPU.

    The share is that of `per_gpu` units on a GPU, or with "auto" follows from the memory that an example of the unit's
    shape takes. A unit whose shape no example has gets the largest share.

    `images`: references to what the loader of images returned.
    """
    if per_gpu != "auto":
        fixed = share_of_gpu(per_gpu)
        return lambda unit: unit.with_gpus(fixed)
    by_shape = {unit.memory_class: unit for unit in reversed(examples)}
    memory = {shape: _measure.remote(measure, unit, images[unit.settings.source]) for shape, unit in by_shape.items()}
    shares = {shape: share_by_memory(by_shape[shape], reference, say) for shape, reference in memory.items()}
    largest = max(shares.values())
    return lambda unit: unit.with_gpus(shares.get(unit.memory_class, largest))


def with_larger_share(unit: Unit) -> Unit:
    """Return the unit with twice its share, at most a whole GPU: its neighbours left it too little memory."""
    return unit.with_gpus(min(1.0, 2 * unit.settings.resources.gpus))


def share_by_memory(unit: Unit, memory: Any, say: Callable[[Sequence[str]], None]) -> float:
    """Return the share that a unit's memory allows; a whole GPU if it could not be measured.

    `memory`: a reference to the two numbers of a `MeasureMemory`.
    """
    try:
        taken, total = ray.get(memory)
    except ray.exceptions.RayError as error:  # it raised, or its worker died: the unit's own trial will say why
        why = error_line(getattr(error, "cause", error))
        say([f"{unit.label}: gets a whole GPU, its memory could not be measured: {why}"])
        return 1.0
    n = max(1, int(MEMORY_GIVEN_OUT * total / taken))
    say([f"{unit.label}: takes {taken / 1e9:.2g} of a GPU's {total / 1e9:.3g} GB, so that {n} share one"])
    return share_of_gpu(n)


def measure_memory(unit: Unit, loaded: Loaded) -> tuple[int, int]:
    """Train the unit for a moment on this worker's GPU. Return the bytes that it takes, and those of the whole GPU."""
    from sweeps.worker.memory_probe import measure_gpu_memory

    return measure_gpu_memory(unit, loaded)


@ray.remote(num_gpus=1, max_retries=0)
def _measure(measure: MeasureMemory, unit: Unit, loaded: Loaded) -> tuple[int, int]:
    """Measure a unit's memory on a GPU that no other unit uses."""
    return measure(unit, loaded)
