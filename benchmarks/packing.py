"""Measure trainings that share a device, as processes side by side or in lockstep in one process.

python benchmarks/packing.py --root DIR [--device cuda] [--together 1,5,10,20] [--raw packing.json] > packing.md

DIR holds MNIST/raw. Processes side by side train one unit each, as `--per-gpu` places units, and begin their timed
epochs together. `lockstep.py` trains units in lockstep. On a GPU both are also measured with the step as a CUDA graph.
The page gives the images per second of all trainings together, and their ratio to the plain loop of the same turn,
which trains one model.
"""

from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from trainings import BASE, Found, Kind, alternating, conditions, of_each_model, timed, write

MODELS = "vqvae 1 none,vqvae 3 none,gaussian_vae 1 multi_decoder"


def measure(
    placed: Sequence[str], counts: Sequence[int], times: int, model: Sequence[str], file: str, root: Path
) -> Found:
    """Measure each number of trainings at once, in each way and each turn."""
    folders = count()
    plain = ["plain", file, *model, *placed, "--threads", "2"]
    kinds: dict[str, Kind] = {BASE: partial(timed, plain, 1, root, folders)}
    options = ["ours", file, *model, *placed]
    for how in ([], ["--graph"]) if "cuda" in placed else ([],):
        for n in counts:
            kinds[" ".join([f"{n} process{'es' * (n > 1)}", *how])] = partial(timed, [*options, *how], n, root, folders)
        for n in (n for n in counts if n > 1):
            lockstep = [*options, "--units", str(n), *how]
            kinds[" ".join([f"{n} in lockstep", *how])] = partial(timed, lockstep, 1, root, folders)
    return alternating(kinds, times)


def main(
    root: Annotated[str, typer.Option(help="the folder that holds MNIST/raw")],
    models: Annotated[str, typer.Option(help="family configuration method, with commas")] = MODELS,
    together: Annotated[str, typer.Option(help="trainings at once")] = "1,2",
    images: int = 14_223,
    repetitions: int = 3,
    device: str = "cpu",
    precision: str = "fp32",
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Print a page of Markdown."""
    how, counts = conditions(device), list(map(int, together.split(",")))
    placed = ["--device", device, "--precision", precision]
    found = of_each_model(models, root, images, partial(measure, placed, counts, repetitions))
    write(raw, f"Trainings side by side, {precision}", how, images, repetitions, found)


if __name__ == "__main__":
    typer.run(main)
