"""Time a training in a process of its own, in one of three ways: ours, a plain loop, Lightning.

python benchmarks/trainings.py WAY --family vqvae ..., started by `timed` below; prints a JSON line.

The other benchmarks use this. The three ways train the same model on batches of the same size, and score the same
validation set after each epoch with the same function. The plain loop is what one writes first: a Dataset of images, a
DataLoader with 4 workers, an eager step, torch's default AdamW. Time starts after a first epoch, in which workers start
and memory is allocated. Ours may train several units in lockstep, and may record its step as a CUDA graph.
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
from mtvae.runtime.precision import forward_pass, tf32_allowed
from mtvae.training import Fit, TrainingSet
from sweeps.backends.malloc import MALLOC
from sweeps.config.rules import resolve
from sweeps.config.settings import Settings
from sweeps.data import seeds
from sweeps.data.datasets import Data, Source, load

EPOCHS, LOADER_WORKERS = 2, 4  # timed epochs, after one that is not
BASE = "plain loop"  # what the others are held against
AfterEpoch = Callable[[], None]
Kind = Callable[[], dict[str, float]]
Found = dict[str, list[dict[str, float]]]
"""Name of a kind -> what `timed` returned in each turn."""


class Images(Dataset[Tensor]):
    """A data set of uint8 images (N,C,H,W), which gives each as floats as torchvision's ToTensor makes them."""

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
    """Return training and validation sets; a tenth of the images validates, as in a sweep."""
    n = len(images) // 10
    order = torch.arange(len(images), device=device)
    return TrainingSet(images.to(device), order[n:], order[:n])


def model_and_sampler(s: Settings, device: str) -> tuple[Model, ConditionSampler | None]:
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, s.architecture.side)
    return build(s.architecture, torch.Generator().manual_seed(0), device), sampler


def fit_of(s: Settings, data: TrainingSet, record: Record | None = None, fold: int = 0, kind: type[Fit] = Fit) -> Fit:
    """Return a training of ours before its first step."""
    model, sampler = model_and_sampler(s, data.images.device.type)
    return kind(model, data, s.loss, s.training, sampler, seeds.of_fold(1, fold), record=record)


def ours(
    s: Settings, images: Tensor, device: str, after_epoch: AfterEpoch, units: int = 1, record: Record | None = None
) -> list[float]:
    """Train one unit as in a sweep, or several in lockstep. Return the seconds of each unit's scores of each epoch."""
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
    """A model and the loss of a batch of float images, without our training loop."""

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
    """Train with the same step as a LightningModule."""
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
    """Wait until the device has finished its work, and return the time."""
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
    """Train; print when the timed epochs began and ended, how many images they trained on, and the memory."""
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
    with tf32_allowed(tf32=precision == "tf32"):
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
    """Start `n` processes of this script at once with these options, and measure them.

    The images and floating-point operations per second are those of all processes together. The share of time that
    went into scores and the GPU memory in MB are those of one. The processes wait for each other in a new folder inside
    `root`, named by the next number of `folders`.
    """
    (folder := root / str(next(folders))).mkdir()
    command = [sys.executable, __file__, *options, "--together", f"{folder}:{n}"]
    with_output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Ours has a worker's memory; the others are as one starts them.
    env = os.environ | (MALLOC if options[0] == "ours" else {})
    processes = [subprocess.Popen(command, env=env, **with_output) for _ in range(n)]
    found = list(map(_printed, processes))
    span = max(f["ended"] for f in found) - min(f["began"] for f in found)
    one = found[0]
    scoring = {} if one["scoring"] is None else {"scoring": one["scoring"] / (one["ended"] - one["began"])}
    return {
        "images/s": sum(f["images"] for f in found) / span,
        "GFLOP/s": sum(f["flops"] for f in found) / span / 1e9,
        "GPU MB": one["gpu_bytes"] / 1e6,
    } | scoring


def _printed(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the JSON line that a process printed. Raise RuntimeError if it failed."""
    out, error = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args!r}: {error[-2000:]}")
    printed: dict[str, Any] = json.loads(out.splitlines()[-1])
    return printed


def alternating(kinds: dict[str, Kind], times: int) -> Found:
    """Measure every kind once per turn, so that a machine which others use too is compared with itself."""
    found: Found = {name: [] for name in kinds}
    for i in range(times):
        for name in kinds if i % 2 == 0 else reversed(kinds):
            found[name].append(kinds[name]())
            print(name, found[name][-1], file=sys.stderr, flush=True)
    return found


def of_each_model(
    models: str, root: str, images: int, measure: Callable[[list[str], str, Path], Found]
) -> dict[str, Found]:
    """Return what `measure` finds for each model ("family configuration method", separated by commas).

    `measure` is given the options that name the model, the file with the first images of MNIST, and a new folder.
    """
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/images.npy"
        np.save(file, load(Source(Data(dataset="mnist", root=root, limit=images), False)).images)
        for model in models.split(","):
            family, configuration, method = model.split()
            options = ["--family", family, "--configuration", configuration, "--method", method]
            (own := Path(folder) / model).mkdir()
            found[model] = measure(options, file, own)
    return found


def conditions(device: str) -> str:
    """Describe the machine on which a page's numbers are measured."""
    where = f"{torch.cuda.get_device_name()}, " if device == "cuda" else ""
    return f"{where}{machine()}, torch {torch.__version__}; load {os.getloadavg()[0]:.1f} when it began."


def rows(found: Found) -> list[str]:
    """Return a table's lines: each kind, and its ratio to the plain loop of the same turn.

    The share of scores and the memory are those of one process.
    """
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
    """Print a page of Markdown with a table of each model, and write the numbers as JSON if `raw` names a file."""
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "images": images, "found": found}, indent=1) + "\n")
    print(f"# {title}\n\n{how} {images:,} images of MNIST, {turns} turns.")
    for model, values in found.items():
        print("\n".join([f"\n**{model}**\n", *rows(values)]))


if __name__ == "__main__":
    typer.run(main)
