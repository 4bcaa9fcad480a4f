"""Measure images per second of our training, a plain loop and Lightning, in turns, as ratios to the plain loop.

python benchmarks/throughput.py --root DIR [--repetitions 5] [--raw throughput.json] > throughput.md

DIR holds MNIST/raw. All three train the same model on batches of the same size. On a CPU ours is 2 processes of one
thread, as a sweep's workers are; the plain loop and Lightning train one model with 2 threads. On a GPU (--device cuda)
ours is one process. It takes about 6 minutes on 2 cores.
"""

from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated

import typer
from trainings import BASE, Found, Kind, alternating, conditions, of_each_model, timed, write


def measure(device: str, times: int, model: Sequence[str], file: str, root: Path) -> Found:
    """Measure each kind in each turn."""
    folders = count()

    def kind(way: str, n: int, threads: int, *more: str) -> Kind:
        options = [way, file, *model, "--device", device, "--threads", str(threads), *more]
        return partial(timed, options, n, root, folders)

    cuda = device == "cuda"
    ours = {
        ", ".join(["ours", precision, *graph]): kind("ours", 1 if cuda else 2, 1, "--precision", precision, *graph)
        for precision in (("fp32", "tf32", "bf16") if cuda else ("fp32", "bf16"))
        for graph in (([], ["--graph"]) if cuda else ([],))
    }
    return alternating({BASE: kind("plain", 1, 2), "Lightning": kind("lightning", 1, 2)} | ours, times)


def main(
    root: Annotated[str, typer.Option(help="the folder that holds MNIST/raw")],
    models: Annotated[str, typer.Option(help="family configuration method, with commas")] = "vqvae 1 none",
    images: int = 14_223,
    repetitions: int = 5,
    device: str = "cpu",
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Print a page of Markdown."""
    how = conditions(device)
    found = of_each_model(models, root, images, partial(measure, device, repetitions))
    write(raw, "Images per second", how, images, repetitions, found)


if __name__ == "__main__":
    typer.run(main)
