"""`shares.py FOLDER ARGUMENTS`: `python -m sweeps.run ARGUMENTS` on made-up GPUs, which units hold while they train on
the CPU.

Replaced are only the questions to torch whether there is a GPU. Every unit writes into the folder what it was given and
from when to when; those that begin first wait for each other, so that whether they may run together shows.
"""

import json
import sys
import time
from pathlib import Path

import ray
import typer

from sweeps import cluster, nodes, run

TOGETHER = 4  # units that should find room beside each other: two on a GPU, two on the CPU
PATIENCE = 30.0  # seconds that one waits for the others

folder = Path(sys.argv.pop(1))
real_trial = cluster._trial


def noting(config, job, images, flag):
    """In a worker: `cluster._trial` with notes."""
    from sweeps import trial

    unit, began = config["unit"], time.time()
    (folder / f"{unit.name}.began").touch()
    while len(list(folder.glob("*.began"))) < TOGETHER and time.time() < began + PATIENCE:
        time.sleep(0.05)
    trial.pick_device = lambda share: "cpu"
    real_trial(config, job, images, flag)
    given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    note = {"gpus": unit.settings.resources.gpus, "given": given, "began": began, "ended": time.time()}
    (folder / f"{unit.name}.json").write_text(json.dumps(note))


@ray.remote(num_cpus=0)
def yes():
    return True


if __name__ == "__main__":
    cluster._trial, nodes._sees_gpu = noting, yes
    typer.run(run.main)
