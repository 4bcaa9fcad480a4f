"""Measure what a sweep of 40 units of about 5 s on 2 workers costs over the same trainings in a bare process pool.

python benchmarks/overhead.py [--epochs 17] [--repetitions 3] [--raw overhead.json] > overhead.md

It takes about 12 minutes on 2 cores. The pool has two processes of one torch thread and neither Ray, ledger nor
checkpoints; it trains the same units in the same order. Pool and sweep take turns. Seconds count from the start of the
first training to the end of the last (in the sweep: to its file in the ledger), which leaves out Ray's start-up. The
whole commands are shown as well.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from ledger_scale import machine

from mtvae.runtime.determinism import reproducible
from sweeps.config import grid, yaml_reader
from sweeps.data.datasets import load
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import longest_first
from sweeps.plan.unit import Unit
from sweeps.stages.base import Inputs
from sweeps.stages.training import prepare as prepare_training
from sweeps.stages.training import score

WORKERS, BAR = 2, 1.10
GRID = """
name: overhead
seed: 1
data: {{dataset: digits, limit: {limit}}}
folds: {{n_splits: 5}}
training: {{epochs: {epochs}, batch_size: 32}}
grid:
  - {{family: vqvae, method: [none, multi_decoder], training.lr: [0.001, 0.003]}}
  - {{family: vqvae, method: single_decoder, sampler: [uniform, gaussian], exponent: [40, 60]}}
"""
_images: Any = None


def units_of(text: str) -> list[Unit]:
    return longest_first(Plan(grid.read(yaml_reader.parse(text), "overhead"), frozenset(), frozenset()).missing())


def prepare(unit: Unit) -> None:
    """Prepare a process of the pool for its first training: one thread, and the images in memory."""
    global _images
    torch.set_num_threads(1)
    _images = load(unit.settings.source).images


def train(unit: Unit) -> tuple[float, float]:
    """Train a unit and score it, and do nothing else. Return when it began and ended."""
    began = time.time()
    with reproducible(unit.settings.training.deterministic):
        inputs = Inputs(unit, _images, "cpu")
        fit = prepare_training(inputs)
        while not fit.finished:
            fit.epoch(lambda: None)
        score(inputs, fit)
    return began, time.time()


def in_a_pool(text: str) -> tuple[float, float, float]:
    """Run the pool. Return its seconds: first training's start to last one's end, the whole, and the mean training."""
    began, units = time.time(), units_of(text)
    with multiprocessing.get_context("spawn").Pool(WORKERS, prepare, (units[0],)) as pool:
        spans = list(pool.imap_unordered(train, units, chunksize=1))
    seconds = sum(end - start for start, end in spans) / len(spans)
    return max(end for _, end in spans) - min(start for start, _ in spans), time.time() - began, seconds


def in_a_sweep(text: str) -> tuple[float, float, float]:
    """Run the command. Return the same three numbers of seconds as `in_a_pool`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "overhead.yaml"
        file.write_text(text)
        command = [sys.executable, "-m", "sweeps.run", str(file), "--results", folder, "--workers", str(WORKERS)]
        began = time.time()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        whole = time.time() - began
        rows, _ = open_ledger(folder, "overhead").read("units", ["seconds", "finished_at"])
        assert len(rows) == len(units_of(text))
        first = min(row["finished_at"].timestamp() - row["seconds"] for row in rows)
        last = max(path.stat().st_mtime for path in (Path(folder) / "overhead" / "units").iterdir())
        return last - first, whole, sum(row["seconds"] for row in rows) / len(rows)


def page(found: list[dict[str, tuple[float, float, float]]], how: str) -> str:
    """Return the page as Markdown."""
    lines = [
        f"| {i} | {turn['pool'][0]:.1f} | {turn['sweep'][0]:.1f} | {turn['sweep'][0] / turn['pool'][0]:.3f} | "
        f"{turn['pool'][1]:.1f} | {turn['sweep'][1]:.1f} | {turn['pool'][2]:.2f} | {turn['sweep'][2]:.2f} |"
        for i, turn in enumerate(found, 1)
    ]
    ratios = [turn["sweep"][0] / turn["pool"][0] for turn in found]
    verdict = "is met" if median(ratios) <= BAR else "is not met"
    return "\n".join(
        [
            "# What a sweep costs over its trainings\n",
            f"{how}\n",
            "| turn | pool: s | sweep: s | ratio | pool, whole: s | sweep, whole: s | a training in the pool: s "
            "| in the sweep: s |",
            "|---|---|---|---|---|---|---|---|",
            *lines,
            f"\nRatio: median {median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}; the bar of {BAR:.2f} "
            f"{verdict}. Seconds count from the start of the first training to the end of the last; the whole is that "
            "of the command.",
        ]
    )


def main(
    epochs: int = 17,
    limit: Annotated[int, typer.Option(help="images of digits")] = 1797,
    repetitions: int = 3,
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Print a page of Markdown."""
    text = GRID.format(epochs=epochs, limit=limit)
    how = (
        f"`python benchmarks/overhead.py`: {len(units_of(text))} units of {epochs} epochs on {limit:,} digits, "
        f"{WORKERS} at a time. {machine()}, torch {torch.__version__}; load {os.getloadavg()[0]:.1f} when it began."
    )
    found: list[dict[str, tuple[float, float, float]]] = []
    for _ in range(repetitions):
        found.append({"pool": in_a_pool(text), "sweep": in_a_sweep(text)})
        print(found[-1], file=sys.stderr, flush=True)
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "turns (span, whole, mean unit: s)": found}, indent=1) + "\n")
    print(page(found, how))


if __name__ == "__main__":
    typer.run(main)
