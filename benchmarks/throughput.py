"""Images per second: ours, a plain loop, Lightning. The same model and batches, in turns, as ratios to the plain loop.

python benchmarks/throughput.py --root DIR [--repetitions 5] [--raw throughput.json] > throughput.md

DIR holds MNIST/raw. A CPU: ours is 2 processes of one thread, as a sweep's workers; the plain loop and Lightning train
one model with 2 threads. A GPU (--device cuda): ours is one process. About 6 minutes on 2 cores.
"""

from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from trainings import Found, Kind, alternating, conditions, of_each_model, timed, write

BASE = "plain loop"


def measure(device: str, times: int, model: Sequence[str], file: str, root: Path) -> Found:
    """Each kind in each turn."""
    folders = count()

    def kind(way: str, n: int, threads: int, precision: str = "fp32") -> Kind:
        options = [way, file, *model, "--device", device, "--threads", str(threads), "--precision", precision]
        return partial(timed, options, n, root, folders)

    n, precisions = (1, ("fp32", "tf32", "bf16")) if device == "cuda" else (2, ("fp32", "bf16"))
    ours = {f"ours, {precision}": kind("ours", n, 1, precision) for precision in precisions}
    return alternating({BASE: kind("plain", 1, 2), "Lightning": kind("lightning", 1, 2)} | ours, times)


def rows(found: Found) -> list[str]:
    """Lines of the page: each kind, and its ratio to the plain loop of the same turn."""
    lines = ["| | images/s, median | range | ratio to the plain loop, median | range |", "|---|---|---|---|---|"]
    speeds = {name: [value["images/s"] for value in values] for name, values in found.items()}
    for name, values in speeds.items():
        ratios = [value / base for value, base in zip(values, speeds[BASE], strict=True)]
        lines.append(
            f"| {name} | {median(values):,.0f} | {min(values):,.0f} to {max(values):,.0f} "
            f"| {median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |"
        )
    return lines


def main(
    root: Annotated[str, typer.Option(help="the folder that holds MNIST/raw")],
    models: Annotated[str, typer.Option(help="family configuration method, with commas")] = "vqvae 1 none",
    images: int = 14_223,
    repetitions: int = 5,
    device: str = "cpu",
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Prints a page of Markdown."""
    how = conditions(device)
    found = of_each_model(models, root, images, partial(measure, device, repetitions))
    write(raw, "Images per second", how, images, repetitions, found, rows)


if __name__ == "__main__":
    typer.run(main)
