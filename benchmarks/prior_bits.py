"""Bits per code of priors over the codes of VQ 1 on MNIST, in 5 folds, with pythae's PixelCNN beside ours.

    python benchmarks/prior_bits.py codes FOLDER --root DATA      train VQ 1 in each fold, and store the codes
    python benchmarks/prior_bits.py fit WHAT FOLDER               fit a prior in each fold; WHAT is a key of WHATS
    python benchmarks/prior_bits.py sampling FOLDER               time samples, with a cache and by full passes
    python benchmarks/prior_bits.py page FOLDER                   the tables of prior_bits.md

VQ 1 is trained on the first 20,000 images of a fold's training set for 10 epochs. The priors are fitted to the codes of
the whole training set: 5 folds of 60,000 images are 12,000 to test, 2,000 to pick an epoch and 46,000 to train. A
PixelCNN has one thread. It is measured once after 130 CPU seconds of training, wherever in an epoch that is, and once
at its best epoch of those that the limit allows. `codes` and `fit` do the folds that are missing.

pythae has an environment of its own (`--python`): `python -m venv E; E/bin/pip install pythae`.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from ledger_scale import machine
from sklearn.model_selection import KFold

from mtvae.config import Prior
from mtvae.model import build
from mtvae.prior.fitting import PriorFit, codes_of
from mtvae.prior.pixelcnn import PixelCNN
from mtvae.prior.tables import TablePrior
from mtvae.training import Fit, TrainingSet
from sweeps.config.rules import resolve
from sweeps.data import seeds
from sweeps.data.datasets import Data, Source, load

FOLDS, MODEL_IMAGES, MODEL_EPOCHS, SELECTION = 5, 20_000, 10, 2_000
CPU_SECONDS = 130
LN2 = float(np.log(2))
TABLES = ("uniform", "histogram", "markov", "position_histogram")
WHATS = {"tables": "", "5x32": "gated, 5 layers of 32", "15x64": "gated, 15 layers of 64 (the default)"}
WHATS |= {"pythae": "pythae's PixelCNN, 10 layers of 64 (its default)"}

app = typer.Typer(help=__doc__, rich_markup_mode=None, add_completion=False)
Folder = Annotated[Path, typer.Argument(help="where codes and results are kept")]


def folds(n: int) -> list[dict[str, np.ndarray[Any, Any]]]:
    """Return the indices of training set, validation set and test fold for each fold."""
    found = []
    for rest, test in KFold(FOLDS, shuffle=True, random_state=0).split(np.arange(n)):
        order = np.random.default_rng(0).permutation(rest)
        found.append({"train": order[SELECTION:], "selection": order[:SELECTION], "test": test})
    return found


@app.command()
def codes(folder: Folder, root: Annotated[str, typer.Option(help="MNIST in torchvision's layout")]) -> None:
    """Train VQ 1 in each fold, and store the codes of all images."""
    torch.set_num_threads(1)
    images = torch.from_numpy(load(Source(Data(dataset="mnist", root=root), False)).images)
    given = {"family": "vqvae", "configuration": 1, "data.dataset": "mnist", "training.epochs": MODEL_EPOCHS}
    s = resolve(given, frozenset())
    folder.mkdir(parents=True, exist_ok=True)
    for fold, parts in enumerate(folds(len(images))):
        if (file := folder / f"codes-{fold}.npz").exists():
            continue
        began = time.process_time()
        unit_seeds = seeds.of_fold(1, fold)
        model = build(s.architecture, torch.Generator().manual_seed(unit_seeds["init"]), "cpu")
        train, selection, test = (torch.from_numpy(parts[name]) for name in ("train", "selection", "test"))
        data = TrainingSet(images, train[:MODEL_IMAGES], selection)
        fit = Fit(model, data, s.loss, s.training, None, unit_seeds)
        while not fit.finished:
            fit.epoch()
        fit.load_best()
        scores = fit.scores(test, train[:10], False)
        found = {name: scores[name] for name in ("unconditioned_per_pixel", "perplexity")}
        found |= {"best_epoch": fit.best_epoch, "cpu_seconds": time.process_time() - began}
        model.eval()
        all_codes = codes_of(model, images)
        (folder / f"model-{fold}.json").write_text(json.dumps(found))
        np.savez_compressed(file, codes=all_codes.numpy().astype("int16"), **parts)
        print(fold, found, all_codes.shape, flush=True)


@app.command()
def fit(
    what: str,
    folder: Folder,
    seconds: Annotated[float, typer.Option(help="CPU seconds of training at most")] = 600,
    python: Annotated[str, typer.Option(help="pythae: the Python of its environment")] = "python",
) -> None:
    """Fit a prior in each fold that has codes and no result yet."""
    torch.set_num_threads(1)
    for fold in range(FOLDS):
        stored, file = folder / f"codes-{fold}.npz", folder / f"{what}-{fold}.json"
        if file.exists() or not stored.exists():
            continue
        if what == "pythae":
            script = str(Path(__file__).with_name("prior_bits_pythae.py"))
            command = [python, script, str(stored), str(CPU_SECONDS), str(seconds)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        else:
            arrays = np.load(stored)
            parts = {name: torch.from_numpy(arrays[name].astype("int64")) for name in arrays.files}
            all_codes = parts.pop("codes")
            found = of_tables(all_codes, parts) if what == "tables" else of_pixelcnn(what, all_codes, parts, seconds)
        file.write_text(json.dumps(found))
        print(fold, found, flush=True)


def of_tables(all_codes: torch.Tensor, parts: dict[str, torch.Tensor]) -> dict[str, float]:
    found = {}
    for kind in TABLES:
        prior = TablePrior(kind, 128, all_codes.shape[-1])
        prior.fit(all_codes[parts["train"]])
        found[kind] = prior.nats(all_codes[parts["test"]]).mean().item() / LN2
    return found


def of_pixelcnn(what: str, all_codes: torch.Tensor, parts: dict[str, torch.Tensor], limit: float) -> dict[str, Any]:
    layers, width = map(int, what.split("x"))
    torch.manual_seed(0)
    module = PixelCNN(128, layers, width, 3)
    settings = Prior(kind="pixelcnn", epochs=1000, batch_size=128, lr=1e-3)
    named = {"prior_batches": 0, "prior_dropout": 1}
    training = PriorFit(module, all_codes, parts["train"], parts["selection"], settings, named)

    def bits() -> float:
        module.eval()
        with torch.no_grad():
            nats = [module.nats(all_codes[part]).sum().item() for part in parts["test"].split(1000)]
        module.train()
        return sum(nats) / (len(parts["test"]) * all_codes[0].numel()) / LN2

    clock = Clock(bits)
    epochs = []
    while clock.trained() < limit:
        training.epoch(clock.look)
        epochs.append(clock.trained())
    training.load_best()
    seconds = epochs[training.best_epoch - 1]
    return {
        "at_130": clock.found,
        "best": bits(),
        "best_epoch": training.best_epoch,
        "best_seconds": seconds,
        "epochs": len(epochs),
        "seconds": epochs[-1],
        "images": training.images_trained,
        "parameters": sum(p.numel() for p in module.parameters()),
    }


class Clock:
    """The CPU seconds of a training, without those of the measurement that it makes after CPU_SECONDS."""

    def __init__(self, measure: Callable[[], float]):
        self.measure, self.began, self.found = measure, time.process_time(), None

    def trained(self) -> float:
        return time.process_time() - self.began

    def look(self) -> None:
        """Measure once, after a step."""
        if self.found is None and self.trained() >= CPU_SECONDS:
            before = time.process_time()
            self.found = self.measure()
            self.began += time.process_time() - before


@app.command()
def sampling(folder: Folder, grids: int = 1000, turns: int = 5) -> None:
    """Time samples of 5 layers of 32 in alternating turns, in CPU seconds, and store them."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = PixelCNN(128, 5, 32, 3).eval()
    ways = {"cache": module.sample, "full passes": module.sample_by_full_passes}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(turns):
        for way, draw in ways.items():
            began = time.process_time()
            draw(grids, 7, torch.Generator().manual_seed(turn))
            found[way].append(time.process_time() - began)
    (folder / "sampling.json").write_text(json.dumps(found))
    print(found)


@app.command()
def page(folder: Folder) -> None:
    """Print the tables."""
    found = {what: [json.loads(f.read_text()) for f in sorted(folder.glob(f"{what}-*.json"))] for what in WHATS}
    models = [json.loads(f.read_text()) for f in sorted(folder.glob("model-*.json"))]
    print(f"{machine()}, torch {torch.__version__}, one thread.\n")
    print("| VQ 1 | mean of the folds | folds |\n|---|---|---|")
    for name, text in (("unconditioned_per_pixel", "squared error per pixel"), ("perplexity", "code perplexity")):
        values = [m[name] for m in models]
        print(f"| {text} | {fmean(values):.4g} | {', '.join(f'{v:.4g}' for v in values)} |")
    base = [f["position_histogram"] for f in found["tables"]]
    print("\n| prior | bits per code | of `position_histogram` | folds |\n|---|---|---|---|")
    for kind in TABLES:
        _line(kind, [f[kind] for f in found["tables"]], base)
    for what, text in WHATS.items():
        done = found[what]
        if what == "tables" or not done:
            continue
        if all(f["at_130"] is not None for f in done):
            _line(f"{text}, after {CPU_SECONDS} CPU s", [f["at_130"] for f in done], base)
        epochs = ", ".join(f"{f['best_epoch']} of {f['epochs']}" for f in done)
        _line(f"{text}, best epoch ({epochs}; {fmean(f['best_seconds'] for f in done):,.0f} CPU s)",
              [f["best"] for f in done], base)  # fmt: skip
    if (file := folder / "sampling.json").exists():
        timed = json.loads(file.read_text())
        ratios = [slow / fast for fast, slow in zip(timed["cache"], timed["full passes"], strict=True)]
        print("\n| 1,000 grids of 7x7 from 5 layers of 32 | CPU s, median | range |\n|---|---|---|")
        for way, values in (*timed.items(), ("ratio of a turn", ratios)):
            print(f"| {way} | {median(values):.3g} | {min(values):.3g} to {max(values):.3g} |")
    print("\n| | parameters | images per CPU second |\n|---|---|---|")
    for what, text in WHATS.items():
        if what != "tables" and found[what]:
            speed = fmean(f["images"] / f["seconds"] for f in found[what])
            print(f"| {text} | {found[what][0]['parameters']:,} | {speed:,.0f} |")


def _line(text: str, values: list[float], base: list[float]) -> None:
    ratios = [value / of for value, of in zip(values, base, strict=False)]
    folds = ", ".join(f"{value:.3f}" for value in values)
    print(f"| {text} | {fmean(values):.3f} | {fmean(values) / fmean(base[: len(values)]):.3f} "
          f"({min(ratios):.3f} to {max(ratios):.3f}) | {folds} |")  # fmt: skip


if __name__ == "__main__":
    app()
