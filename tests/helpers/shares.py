"""Run a sweep on made-up GPUs, which units hold while they train on the CPU.

`shares.py FOLDER GRID RESULTS ADDRESS WORKERS [PER_GPU]`

Only two answers are made up: whether there is a GPU, and how much of its memory a unit takes. Every unit writes into
the folder what it was given, when it began and when it ended. The first units wait for each other, which shows whether
they may run together. A unit whose share is below OUT_OF_MEMORY_BELOW (environment) runs out of memory after its
training.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import ray
import torch

TOGETHER = 4  # units that should run beside each other: two on a GPU, two on the CPU
PATIENCE = 30.0  # seconds that a unit waits for the others


def train_noting(folder, unit, loaded, context, on_progress, should_stop):
    """Train on the CPU, and leave a note in the folder."""
    from sweeps.worker.run_unit import run_unit

    share, began = unit.settings.resources.gpus, time.time()
    (folder / f"{unit.name}.began").touch()
    while len(list(folder.glob("*.began"))) < TOGETHER and time.time() < began + PATIENCE:
        time.sleep(0.05)

    def until_memory_ends(images, losses=dict):
        on_progress(images, losses)
        if images == unit.images_to_train and 0 < share < float(os.environ.get("OUT_OF_MEMORY_BELOW", 0)):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    outcome = run_unit(unit, loaded, context.ledger, "cpu", context.provenance, until_memory_ends, should_stop)
    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    note = {"gpus": share, "given": given, "began": began, "ended": time.time()}
    (folder / f"{unit.name}.json").write_text(json.dumps(note))
    return outcome


def sees_gpu():
    return True


def ten_of_44(unit, loaded):
    return 10 * 10**9, 44 * 10**9


def main(folder, grid, results, address, workers, per_gpu=None):
    import shares  # imported by its name, so that workers import it too

    from sweeps.backends.ray_tune.driver import RayTune
    from sweeps.run.command import command
    from sweeps.run.options import Options
    from sweeps.run.train import Components

    options = Options(results, workers=int(workers), address=address, per_gpu=per_gpu)
    backend = RayTune(
        int(workers),
        address,
        per_gpu=options.units_per_gpu(),
        sees_gpu=shares.sees_gpu,
        measure_memory=shares.ten_of_44,
    )
    return command(grid, [], options, Components(backend, partial(shares.train_noting, Path(folder))))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
