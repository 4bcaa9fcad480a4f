"""How many trainings share a device: processes side by side, against one alone.

python benchmarks/packing.py --root DIR [--device cuda] [--together 1,5,10,20] [--raw packing.json] > packing.md

DIR holds MNIST/raw. Each training is a process of its own, as `--per-gpu` places units; they begin their timed epochs
together. Images per second of all of them, as a ratio to one in the same turn.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from ledger_scale import machine
from trainings import alternating, timed

from sweeps.data import Data, Source, load

MODELS = "vqvae 1 none,vqvae 3 none,gaussian_vae 1 multi_decoder"
Found = dict[str, list[dict[str, float]]]


def measure(options: list[str], counts: list[int], times: int, root: Path) -> Found:
    """What so many processes at once came to, in each turn."""
    found: Found = defaultdict(list)

    def together(n: int) -> dict[str, float]:
        return timed(options, n, root / f"{n}-{len(found[str(n)])}")

    for name, value in alternating({str(n): partial(together, n) for n in counts}, times):
        found[name].append(value)
        print(options[2:], name, value, file=sys.stderr, flush=True)
    return found


def rows(found: Found) -> list[str]:
    """Lines of the page."""
    lines = [
        "| processes | images/s, median | ratio to one, median | range | GPU memory of one: MB |",
        "|---" * 5 + "|",
    ]
    (_, alone), *_ = found.items()
    for name, values in found.items():
        ratios = [v["images/s"] / one["images/s"] for v, one in zip(values, alone, strict=True)]
        speed, memory = (median(v[what] for v in values) for what in ("images/s", "GPU MB"))
        lines.append(
            f"| {name} | {speed:,.0f} | {median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {memory:,.0f} |"
        )
    return lines


def main(
    root: Annotated[str, typer.Option(help="the folder that holds MNIST/raw")],
    models: Annotated[str, typer.Option(help="family configuration method, with commas")] = MODELS,
    together: Annotated[str, typer.Option(help="processes at once, the first is what others are held against")] = "1,2",
    images: int = 14_223,
    repetitions: int = 3,
    device: str = "cpu",
    precision: str = "fp32",
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Prints a page of Markdown."""
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    how = f"{where}, {machine()}, torch {torch.__version__}; load {os.getloadavg()[0]:.1f} when it began."
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/images.npy"
        np.save(file, load(Source(Data(dataset="mnist", root=root, limit=images), False)))
        for model in models.split(","):
            family, configuration, method = model.split()
            options = ["ours", file, "--family", family, "--configuration", configuration, "--method", method]
            options += ["--device", device, "--precision", precision]
            (Path(folder) / model).mkdir()
            found[model] = measure(options, list(map(int, together.split(","))), repetitions, Path(folder) / model)
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "images": images, "found": found}, indent=1) + "\n")
    print(f"# Trainings side by side, {precision}\n\n{how} {images:,} images of MNIST, {repetitions} turns.")
    for model, values in found.items():
        print("\n".join([f"\n**{model}**\n", *rows(values)]))


if __name__ == "__main__":
    typer.run(main)
