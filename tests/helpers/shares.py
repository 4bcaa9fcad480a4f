"""`shares.py FOLDER ARGUMENTS`: `python -m sweeps.run ARGUMENTS` on made-up GPUs, which units hold while they train on
the CPU.

Replaced are only the questions to torch whether there is a GPU and how much memory it has. Every unit writes into the
folder what it was given and from when to when; those that begin first wait for each other, so that whether they may run
together shows. OUT_OF_MEMORY_BELOW in the environment: a share with which a unit runs out of memory after an epoch.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

import ray
import torch
import typer

from sweeps.backends.ray_tune import driver, gpu_sharing, nodes
from sweeps.run.__main__ import main

TOGETHER = 4  # units that should find room beside each other: two on a GPU, two on the CPU
PATIENCE = 30.0  # seconds that one waits for the others

folder = Path(sys.argv.pop(1))
real_trial = driver._trial


def noting(config, job, images, flag):
    """In a worker: `driver._trial` with notes."""
    from sweeps.ledger import kept_models
    from sweeps.worker import devices

    unit, began = config["unit"], time.time()
    (folder / f"{unit.name}.began").touch()
    while len(list(folder.glob("*.began"))) < TOGETHER and time.time() < began + PATIENCE:
        time.sleep(0.05)
    devices.pick_device = lambda share: "cpu"
    kept_models.is_kept = partial(out_of_memory, kept_models.is_kept)
    real_trial(config, job, images, flag)
    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    note = {"gpus": unit.settings.resources.gpus, "given": given, "began": began, "ended": time.time()}
    (folder / f"{unit.name}.json").write_text(json.dumps(note))


def out_of_memory(is_kept, unit):
    """Asked when a unit is trained."""
    if 0 < unit.settings.resources.gpus < float(os.environ.get("OUT_OF_MEMORY_BELOW", 0)):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    return is_kept(unit)


@ray.remote(num_gpus=1)
def ten_of_44(unit, loaded):
    return 10 * 10**9, 44 * 10**9


@ray.remote(num_cpus=0)
def yes():
    return True


if __name__ == "__main__":
    driver._trial, nodes._sees_gpu, gpu_sharing._measure = noting, yes, ten_of_44
    typer.run(main)
