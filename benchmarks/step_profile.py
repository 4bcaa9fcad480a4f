"""Measure where the time of a training step goes on this CPU, by kind of operation.

python benchmarks/step_profile.py [--models "vqvae 1 none,gaussian_vae 1 multi_decoder"] > step_profile.md

One thread trains on batches of 128 made-up images of MNIST's shape, which cost what real ones do. It takes half a
minute.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch.profiler import ProfilerActivity, profile
from trainings import conditions, fit_of, settings

from mtvae.runtime.determinism import reproducible
from mtvae.training import TrainingSet

WARM, STEPS, BATCH = 3, 12, 128
KINDS = {  # part of an operation's name -> its kind; the first match counts
    "conv": "convolutions",
    "batch_norm": "batch normalisation",
    "relu": "ReLU and LeakyReLU",
    "adam": "AdamW",
    "zero_grad": "AdamW",
    "mm": "products (linear layers, distances to the codebook)",
    "mse": "losses",
    "copy": "copies and conversions",
    "embedding": "codebook",
    "argmin": "codebook",
}
Shares = dict[str, float]


class _Enough(Exception):
    """Raised when all steps are done."""


def kind_of(name: str) -> str:
    return next((kind for part, kind in KINDS.items() if part in name.lower()), "the rest")


def profiled(model: str, precision: str) -> tuple[float, Shares]:
    """Return the milliseconds of a step, and the share of them that each kind of operation took."""
    family, configuration, method = model.split()
    s = settings(family, int(configuration), method, precision)
    images = torch.randint(0, 256, ((WARM + STEPS) * BATCH + BATCH, 1, 28, 28), dtype=torch.uint8)
    train, selection = torch.arange(len(images)).split([(WARM + STEPS) * BATCH, BATCH])
    fit = fit_of(s, TrainingSet(images, train, selection))
    profiler = profile(activities=[ProfilerActivity.CPU])
    with reproducible():
        try:
            fit.epoch(_between(profiler))
        except _Enough:
            profiler.stop()
    microseconds: Shares = defaultdict(float)
    for event in profiler.key_averages():
        microseconds[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(microseconds.values())
    return total / STEPS / 1e3, {kind: value / total for kind, value in microseconds.items()}


def _between(profiler: profile):  # type: ignore[no-untyped-def]
    steps = iter(range(1, WARM + STEPS + 1))

    def after_step() -> None:
        match next(steps):
            case n if n == WARM:
                profiler.start()
            case n if n == WARM + STEPS:
                raise _Enough

    return after_step


def lines(found: dict[str, tuple[float, Shares]]) -> Iterator[str]:
    """Yield the lines of the page's table, which has a column per model and precision."""
    yield "| share of a step | " + " | ".join(found) + " |"
    yield "|---" * (len(found) + 1) + "|"
    kinds = sorted({kind for _, shares in found.values() for kind in shares}, key=lambda kind: kind == "the rest")
    for kind in kinds:
        yield f"| {kind} | " + " | ".join(f"{shares.get(kind, 0):.0%}" for _, shares in found.values()) + " |"
    yield "| ms, with the profiler | " + " | ".join(f"{ms:.0f}" for ms, _ in found.values()) + " |"


def main(
    models: Annotated[str, typer.Option(help="family configuration method, with commas")] = (
        "vqvae 1 none,gaussian_vae 1 multi_decoder"
    ),
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Print a page of Markdown."""
    how = conditions("cpu")
    found = {
        f"{model}, {precision}": profiled(model, precision)
        for model in models.split(",")
        for precision in ("fp32", "bf16")
    }
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "found": found}, indent=1) + "\n")
    print(f"# A training step on the CPU\n\n{how} One thread, batches of {BATCH}, means of {STEPS} steps.\n")
    print("\n".join(lines(found)))


if __name__ == "__main__":
    typer.run(main)
