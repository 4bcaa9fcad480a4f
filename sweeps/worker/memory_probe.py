"""Measure the GPU memory that a unit takes, by training it for a few steps."""

from contextlib import suppress

import torch

from mtvae.evaluation import BATCH_SIZE
from mtvae.runtime.cuda_graph import WARM_STEPS
from mtvae.runtime.determinism import reproducible
from sweeps.data.datasets import Loaded
from sweeps.plan.unit import Unit
from sweeps.stages.base import Inputs
from sweeps.stages.training import prepare

STEPS = WARM_STEPS + 1  # by then the optimizer's state, a step's tensors and a CUDA graph's memory are allocated


class _StepsDone(Exception):
    """Ends the epoch once the steps are done."""


def measure_gpu_memory(unit: Unit, loaded: Loaded, device: str = "cuda") -> tuple[int, int]:
    """Train a unit for a few steps, and measure the GPU's memory. No other process may use the GPU meanwhile.

    Returns:
        The bytes taken while this process trains the unit, its CUDA context included, and the bytes of the whole GPU.

    Raises:
        Exception: an error of the unit's training, such as too little memory.
    """
    with reproducible(unit.settings.training.deterministic):
        fit = prepare(Inputs(unit, loaded.images, device, folds=loaded.folds, labels=loaded.labels))
        steps = iter(range(STEPS))

        def after_step() -> None:
            if next(steps) == STEPS - 1:
                raise _StepsDone

        with suppress(_StepsDone):
            fit.epoch(after_step)
        batch = torch.arange(min(BATCH_SIZE, len(fit.data.images)), device=device)
        fit.scores(batch, batch)
        free, total = torch.cuda.mem_get_info()
    return total - free, total
