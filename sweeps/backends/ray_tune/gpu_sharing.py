"""How many units share a GPU: as many as its memory holds, measured before the first trial."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import ray

from sweeps.data.datasets import Loaded, Source
from sweeps.plan.unit import Unit
from sweeps.text import error_line

HEADROOM = 0.9  # of a GPU's memory is given away
Wanted = int | Literal["auto"]
Footprint = Callable[[Unit, Loaded], tuple[int, int]]
"""(unit, its images) -> bytes that it takes of a GPU's memory, and all that the GPU has."""


def share(n: int) -> float:
    """Of a GPU, for n units on one. Ray counts ten-thousandths."""
    return math.floor(1e4 / n) / 1e4


def shared(
    examples: Sequence[Unit],
    images: Mapping[Source, Any],
    wanted: Wanted,
    footprint: Footprint,
    say: Callable[[Sequence[str]], None],
) -> Callable[[Unit], Unit]:
    """Return what gives a unit its share of a GPU: `wanted` units on one, or by what an example of its shape takes of
    its memory. A unit of another shape than the examples gets the largest share.

    `images`: references to what the loader of images returned.
    """
    if wanted != "auto":
        fixed = share(wanted)
        return lambda unit: unit.with_gpus(fixed)
    like = {unit.shape: unit for unit in reversed(examples)}
    asked = {shape: _measure.remote(footprint, unit, images[unit.settings.source]) for shape, unit in like.items()}
    shares = {shape: measured_share(like[shape], answer, say) for shape, answer in asked.items()}
    largest = max(shares.values())
    return lambda unit: unit.with_gpus(shares.get(unit.shape, largest))


def larger(unit: Unit) -> Unit:
    """The unit with twice its share, at most a whole GPU: for one whose neighbours left it too little memory."""
    return unit.with_gpus(min(1.0, 2 * unit.settings.resources.gpus))


def measured_share(unit: Unit, answer: Any, say: Callable[[Sequence[str]], None]) -> float:
    """Return the share that an answer of `footprint` allows; a whole GPU where there is none."""
    try:
        taken, total = ray.get(answer)
    except ray.exceptions.RayError as error:  # it raised, or its worker died: its own trial will say what is wrong
        why = error_line(getattr(error, "cause", error))
        say([f"{unit.label}: gets a whole GPU, its memory could not be measured: {why}"])
        return 1.0
    n = max(1, int(HEADROOM * total / taken))
    say([f"{unit.label}: {taken / 1e9:.2g} of {total / 1e9:.3g} GB of a GPU, so that {n} share one"])
    return share(n)


def footprint(unit: Unit, loaded: Loaded) -> tuple[int, int]:
    """Train the unit for a moment on the GPU of this worker. Return the bytes that it takes, and all that there are."""
    from sweeps.worker.memory_probe import measure_gpu_memory

    return measure_gpu_memory(unit, loaded)


@ray.remote(num_gpus=1, max_retries=0)
def _measure(footprint: Footprint, unit: Unit, loaded: Loaded) -> tuple[int, int]:
    """Ask for a footprint on a GPU of its own."""
    return footprint(unit, loaded)
