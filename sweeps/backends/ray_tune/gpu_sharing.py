"""How many units share a GPU: as many as its memory holds, measured before the first trial.

Imported by `cluster`, which sets Ray up first.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import ray

from sweeps.data.datasets import Loaded, Source
from sweeps.plan.unit import Unit
from sweeps.text import said

HEADROOM = 0.9  # of a GPU's memory is given away
Wanted = int | Literal["auto"]


def share(n: int) -> float:
    """Of a GPU, for n units on one. Ray counts ten-thousandths."""
    return math.floor(1e4 / n) / 1e4


def shared(
    units: Sequence[Unit], images: Mapping[Source, Any], wanted: Wanted, say: Callable[[Sequence[str]], None]
) -> list[Unit]:
    """The units with their shares of a GPU: `wanted` on one, or by what a unit of each shape takes of its memory.

    `images`: references to what `data.load_noted` read.
    """
    if wanted != "auto":
        return [unit.with_gpus(share(wanted)) for unit in units]
    like = {_shape(unit): unit for unit in reversed(units)}
    asked = {shape: _measure.remote(unit, images[unit.settings.source]) for shape, unit in like.items()}
    shares = {shape: _measured_share(like[shape], answer, say) for shape, answer in asked.items()}
    return [unit.with_gpus(shares[_shape(unit)]) for unit in units]


def larger(unit: Unit) -> Unit:
    """The unit with twice its share, at most a whole GPU: for one whose neighbours left it too little memory."""
    return unit.with_gpus(min(1.0, 2 * unit.settings.resources.gpus))


def _shape(unit: Unit) -> object:
    """What decides how much memory a unit takes."""
    s = unit.settings
    return s.architecture, s.training.batch_size, s.training.precision, s.source


def _measured_share(unit: Unit, answer: Any, say: Callable[[Sequence[str]], None]) -> float:
    try:
        taken, total = ray.get(answer)
    except ray.exceptions.RayError as error:  # it raised, or its worker died: its own trial will say what is wrong
        why = said(getattr(error, "cause", error))
        say([f"{unit.label}: gets a whole GPU, its memory could not be measured: {why}"])
        return 1.0
    n = max(1, int(HEADROOM * total / taken))
    say([f"{unit.label}: {taken / 1e9:.2g} of {total / 1e9:.3g} GB of a GPU, so that {n} share one"])
    return share(n)


@ray.remote(num_gpus=1, max_retries=0)
def _measure(unit: Unit, loaded: Loaded) -> tuple[int, int]:
    """On a GPU of its own."""
    from sweeps.worker.memory_probe import footprint

    return footprint(unit, loaded.images)
