"""Images per second: ours, a plain loop, Lightning. The same model and batches, in turns, as ratios to the plain loop.

python benchmarks/throughput.py --root DIR [--repetitions 5] [--raw throughput.json] > throughput.md

DIR holds MNIST/raw. A CPU: ours is 2 processes of one thread, as a sweep's workers; the plain loop and Lightning train
one model with 2 threads. A GPU (--device cuda): ours is one process. About 10 minutes on 2 cores.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from ledger_scale import machine
from trainings import alternating, timed

from sweeps.data import Data, Source, load

BASE = "plain loop"
Kind = Callable[[], dict[str, float]]
Found = dict[str, list[float]]


def kinds(model: Sequence[str], file: str, device: str, root: Path) -> dict[str, Kind]:
    """What is compared, by its name."""
    count = iter(range(10**6))

    def kind(way: str, n: int, threads: int, precision: str = "fp32") -> Kind:
        options = [way, file, *model, "--device", device, "--threads", str(threads), "--precision", precision]
        return lambda: timed(options, n, root / str(next(count)))

    if device == "cuda":
        return {
            BASE: kind("plain", 1, 2),
            "Lightning": kind("lightning", 1, 2),
            **{f"ours, {precision}": kind("ours", 1, 1, precision) for precision in ("fp32", "tf32", "bf16")},
        }
    return {
        BASE: kind("plain", 1, 2),
        "Lightning": kind("lightning", 1, 2),
        "ours, fp32": kind("ours", 2, 1),
        "ours, bf16": kind("ours", 2, 1, "bf16"),
    }


def measure(compared: dict[str, Kind], times: int) -> Found:
    """Images per second of each kind in each turn."""
    found: Found = defaultdict(list)
    for name, value in alternating(compared, times):
        found[name].append(value["images/s"])
        print(name, value, file=sys.stderr, flush=True)
    return found


def rows(found: Found) -> list[str]:
    """Lines of the page: each kind, and its ratio to the plain loop of the same turn."""
    lines = ["| | images/s, median | range | ratio to the plain loop, median | range |", "|---|---|---|---|---|"]
    for name, values in found.items():
        ratios = [value / base for value, base in zip(values, found[BASE], strict=True)]
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
    how = f"{machine()}, torch {torch.__version__}; load {os.getloadavg()[0]:.1f} when it began."
    if device == "cuda":
        how = f"{torch.cuda.get_device_name()}, {how}"
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/images.npy"
        np.save(file, load(Source(Data(dataset="mnist", root=root, limit=images), False)))
        for model in models.split(","):
            family, configuration, method = model.split()
            given = ["--family", family, "--configuration", configuration, "--method", method]
            (Path(folder) / model).mkdir()
            found[model] = measure(kinds(given, file, device, Path(folder) / model), repetitions)
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "images": images, "images per second": found}, indent=1) + "\n")
    print(f"# Images per second\n\n{how} {images:,} images of MNIST, {repetitions} turns.")
    for model, values in found.items():
        print("\n".join([f"\n**{model}**\n", *rows(values)]))


if __name__ == "__main__":
    typer.run(main)
