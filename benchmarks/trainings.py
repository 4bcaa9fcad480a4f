"""Trainings in a process of their own, timed three ways: ours, a plain loop, Lightning. For the other benchmarks here.

python benchmarks/trainings.py WAY --family vqvae ..., started by `timed` below; prints a JSON line.

The three train the same model on batches of the same size, and score the same selection images after each epoch with
the same function. The plain loop is what one writes first: a Dataset of images, a DataLoader with 4 workers, an eager
step, torch's default AdamW. Time starts after a first epoch, in which workers start and memory is taken. Ours may be
several units in lockstep, and with its step recorded.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from ledger_scale import machine
from lockstep import Lockstep
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mtvae.conditioning import ConditionSampler
from mtvae.cost import cost
from mtvae.evaluation import evaluate
from mtvae.losses import FixedWeighting, fixed_weights, loss_terms
from mtvae.model import Model, build
from mtvae.runtime.cuda_graph import Record, cuda_graph
from mtvae.runtime.precision import forward_pass, multiplying
from mtvae.training import Fit, TrainingSet
from sweeps.backends.ray_tune.session import MALLOC
from sweeps.config.rules import resolve
from sweeps.config.settings import Settings
from sweeps.data import seeds
from sweeps.data.datasets import Data, Source, load

EPOCHS, LOADER_WORKERS = 2, 4  # timed epochs, after one that is not
BASE = "plain loop"  # what the others are held against
AfterEpoch = Callable[[], None]
Kind = Callable[[], dict[str, float]]
Found = dict[str, list[dict[str, float]]]
"""What `timed` gave of each kind in each turn."""


class Images(Dataset[Tensor]):
    """uint8 (N,C,H,W) -> one float image, as torchvision's ToTensor makes it."""

    def __init__(self, images: Tensor):
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> Tensor:
        return self.images[i].float() / 255


def settings(family: str, configuration: int, method: str, precision: str) -> Settings:
    given = {"family": family, "configuration": configuration, "method": method, "training.precision": precision}
    return resolve(given | {"data.dataset": "mnist", "training.epochs": EPOCHS + 1}, frozenset())


def parts(images: Tensor, device: str) -> TrainingSet:
    """A tenth picks the epoch, as in a sweep."""
    n = len(images) // 10
    order = torch.arange(len(images), device=device)
    return TrainingSet(images.to(device), order[n:], order[:n])


def model_and_sampler(s: Settings, device: str) -> tuple[Model, ConditionSampler | None]:
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, s.architecture.side)
    return build(s.architecture, torch.Generator().manual_seed(0), device), sampler


def fit_of(s: Settings, data: TrainingSet, record: Record | None = None, fold: int = 0, kind: type[Fit] = Fit) -> Fit:
    """A training of the house before its first step."""
    model, sampler = model_and_sampler(s, data.images.device.type)
    return kind(model, data, s.loss, s.training, sampler, seeds.of_fold(1, fold), record=record)


def ours(
    s: Settings, images: Tensor, device: str, after_epoch: AfterEpoch, units: int = 1, record: Record | None = None
) -> list[float]:
    """One unit as in a sweep, or several in lockstep. Returns the seconds of each unit's scores of each epoch."""
    data, scoring = parts(images, device), []

    class Timed(Fit):
        def end_epoch(self) -> None:
            began = synchronise(device)
            super().end_epoch()
            scoring.append(synchronise(device) - began)

    def fit_of_fold(fold: int, record: Record | None = None) -> Fit:
        return fit_of(s, data, record, fold, Timed)

    fit = fit_of_fold(0, record) if units == 1 else Lockstep(list(map(fit_of_fold, range(units))), record)
    while not fit.finished:
        fit.epoch()
        after_epoch()
    return scoring


class PlainStep:
    """A model and the loss of a batch of float images, without the house's loop."""

    def __init__(self, s: Settings, device: str):
        self.s = s
        self.model, self.sampler = model_and_sampler(s, device)
        self.generator = torch.Generator(device).manual_seed(0)
        self.weighting = FixedWeighting(fixed_weights(s.architecture, s.loss))

    def loss(self, x: Tensor) -> Tensor:
        condition = None if self.sampler is None else self.sampler(x, self.generator)
        with forward_pass(self.s.training.precision, x.device):
            outputs = self.model(x, condition, self.generator)
        return self.weighting(loss_terms(outputs, x, self.s.architecture, self.s.loss))

    def score(self, data: TrainingSet) -> None:
        evaluate(self.model, data.images[data.selection], self.s.loss, self.sampler, {"evaluation": 0})


def loader(data: TrainingSet, s: Settings) -> DataLoader[Tensor]:
    train = data.images[data.train].cpu()
    return DataLoader(
        Images(train), s.training.batch_size, shuffle=True, num_workers=LOADER_WORKERS, persistent_workers=True,
        pin_memory=data.images.is_cuda,
    )  # fmt: skip


def plain(s: Settings, images: Tensor, device: str, after_epoch: AfterEpoch) -> None:
    step, data = PlainStep(s, device), parts(images, device)
    optimizer = torch.optim.AdamW(step.model.parameters(), lr=s.training.lr)
    batches = loader(data, s)
    for _ in range(s.training.epochs):
        step.model.train()
        total = 0.0
        for batch in batches:
            loss = step.loss(batch.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()  # as a loop does that shows its loss
        step.score(data)
        after_epoch()


def lightning(s: Settings, images: Tensor, device: str, after_epoch: AfterEpoch) -> None:
    """The same step as a LightningModule."""
    import lightning as L

    step, data = PlainStep(s, device), parts(images, device)

    class Module(L.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model: Model = step.model

        def training_step(self, batch: Tensor, index: int) -> Tensor:
            return step.loss(batch)

        def on_train_epoch_end(self) -> None:
            step.score(data)
            self.model.train()
            after_epoch()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.model.parameters(), lr=s.training.lr)

    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    quiet: dict[str, Any] = dict.fromkeys(off, False)
    accelerator = "gpu" if device == "cuda" else "cpu"
    trainer = L.Trainer(accelerator=accelerator, devices=1, max_epochs=s.training.epochs, **quiet)
    trainer.fit(Module(), loader(data, s))


def synchronise(device: str) -> float:
    """The time when all that was asked of the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.time()


def main(
    way: str,
    file: Annotated[str, typer.Argument(help="images, a .npy file of uint8 (N,1,28,28)")],
    family: str = "vqvae",
    configuration: int = 1,
    method: str = "none",
    precision: str = "fp32",
    threads: int = 1,
    device: str = "cpu",
    units: Annotated[int, typer.Option(help="ours: so many in lockstep")] = 1,
    graph: Annotated[bool, typer.Option("--graph", help="ours: the step as a CUDA graph")] = False,
    together: Annotated[str, typer.Option(help="FOLDER:N, where N processes wait for each other")] = "",
) -> None:
    """Trains, and prints when the timed epochs began and ended, how many images went through them, and the memory."""
    torch.set_num_threads(threads)
    s = settings(family, configuration, method, precision)
    images = torch.from_numpy(np.load(file))
    ends: list[float] = []

    def after_epoch() -> None:
        ends.append(synchronise(device))
        if together and len(ends) == 1:
            wait_for_the_others(together)
            ends[0] = time.time()

    ways: dict[str, Callable[[Settings, Tensor, str, AfterEpoch], list[float] | None]] = {
        "ours": partial(ours, units=units, record=cuda_graph if graph else None),
        "plain": plain,
        "lightning": lightning,
    }
    with multiplying(tf32=precision == "tf32"):
        scoring = ways[way](s, images, device, after_epoch)
    trained = units * EPOCHS * (len(images) - len(images) // 10)
    found = {
        "began": ends[0],
        "ended": ends[-1],
        "images": trained,
        "flops": trained * 3 * cost(s.architecture).flops,
        "scoring": sum(scoring[units:]) if scoring else None,  # without the epoch that is not timed
        "gpu_bytes": torch.cuda.max_memory_reserved() if device == "cuda" else 0,
    }
    print(json.dumps(found), flush=True)


def wait_for_the_others(together: str) -> None:
    folder, n = together.rsplit(":", 1)
    (Path(folder) / f"{time.time_ns()}-{torch.randint(2**62, ()).item()}").touch()
    while len(list(Path(folder).iterdir())) < int(n):
        time.sleep(0.01)


def timed(options: Sequence[str], n: int, root: Path, folders: Iterator[int]) -> dict[str, float]:
    """Starts `n` processes of this script at once, as `options` says. Of all together: images and floating-point
    operations per second; of one: the share of its time that went into scores, and its GPU memory in MB. They meet in a
    new folder inside `root`, named by the next number."""
    (folder := root / str(next(folders))).mkdir()
    command = [sys.executable, __file__, *options, "--together", f"{folder}:{n}"]
    with_output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Ours has a worker's memory; the others are as one starts them.
    env = os.environ | (MALLOC if options[0] == "ours" else {})
    processes = [subprocess.Popen(command, env=env, **with_output) for _ in range(n)]
    found = list(map(_said, processes))
    span = max(f["ended"] for f in found) - min(f["began"] for f in found)
    one = found[0]
    scoring = {} if one["scoring"] is None else {"scoring": one["scoring"] / (one["ended"] - one["began"])}
    return {
        "images/s": sum(f["images"] for f in found) / span,
        "GFLOP/s": sum(f["flops"] for f in found) / span / 1e9,
        "GPU MB": one["gpu_bytes"] / 1e6,
    } | scoring


def _said(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r}: {error[-2000:]}")
    said: dict[str, Any] = json.loads(out.splitlines()[-1])
    return said


def alternating(kinds: dict[str, Kind], times: int) -> Found:
    """Every kind once, in turns, so often: a machine that others use too is compared with itself."""
    found: Found = {name: [] for name in kinds}
    for i in range(times):
        for name in kinds if i % 2 == 0 else reversed(kinds):
            found[name].append(kinds[name]())
            print(name, found[name][-1], file=sys.stderr, flush=True)
    return found


def of_each_model(
    models: str, root: str, images: int, measure: Callable[[list[str], str, Path], Found]
) -> dict[str, Found]:
    """What `measure` finds for each of the models ("family configuration method", with commas): given the options that
    name it, the file with the first images of MNIST, and a new folder."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/images.npy"
        np.save(file, load(Source(Data(dataset="mnist", root=root, limit=images), False)))
        for model in models.split(","):
            family, configuration, method = model.split()
            options = ["--family", family, "--configuration", configuration, "--method", method]
            (own := Path(folder) / model).mkdir()
            found[model] = measure(options, file, own)
    return found


def conditions(device: str) -> str:
    """On what a page's numbers were measured."""
    where = f"{torch.cuda.get_device_name()}, " if device == "cuda" else ""
    return f"{where}{machine()}, torch {torch.__version__}; load {os.getloadavg()[0]:.1f} when it began."


def rows(found: Found) -> list[str]:
    """Lines of a page: each kind, and its ratio to the plain loop of the same turn. Scores, memory: of one process."""
    head = [
        "",
        "images/s, median",
        "range",
        "ratio to the plain loop, median",
        "range",
        "GFLOP/s",
        "scores: of its time",
    ]
    with_memory = any(value["GPU MB"] for value in found[BASE])
    lines = [head + ["GPU memory: MB"] * with_memory, ["---"] * (len(head) + with_memory)]
    for name, values in found.items():
        speeds = [value["images/s"] for value in values]
        ratios = [speed / base["images/s"] for speed, base in zip(speeds, found[BASE], strict=True)]
        of = {what: median(value[what] for value in values) for what in values[0]}
        line = [name, f"{of['images/s']:,.0f}", f"{min(speeds):,.0f} to {max(speeds):,.0f}"]
        line += [f"{median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", f"{of['GFLOP/s']:,.0f}"]
        line += [f"{of['scoring']:.1%}" if "scoring" in of else "", *[f"{of['GPU MB']:,.0f}"] * with_memory]
        lines.append(line)
    return [f"| {' | '.join(line)} |" for line in lines]


def write(
    raw: str | None,
    title: str,
    how: str,
    images: int,
    turns: int,
    found: dict[str, Found],
) -> None:
    """Prints a page of Markdown with a table of each model, and keeps the numbers as JSON where `raw` names a file."""
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "images": images, "found": found}, indent=1) + "\n")
    print(f"# {title}\n\n{how} {images:,} images of MNIST, {turns} turns.")
    for model, values in found.items():
        print("\n".join([f"\n**{model}**\n", *rows(values)]))


if __name__ == "__main__":
    typer.run(main)
