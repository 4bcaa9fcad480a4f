"""The training stage: train a model on the training set, and score its best checkpoint on the test fold."""

import datetime
import resource
import sys

import torch

from mtvae.conditioning import ConditionSampler
from mtvae.config import FAMILIES
from mtvae.evaluation import mean_image_error
from mtvae.model import build
from mtvae.runtime.cuda_graph import cuda_graph
from mtvae.training import Fit, TrainingSet
from sweeps.data import seeds
from sweeps.data.splits import Split
from sweeps.ledger.schema import Row
from sweeps.plan.unit import Unit
from sweeps.stages.base import Inputs, Train, finite


def run(inputs: Inputs, train: Train) -> Row:
    """Train, score and keep a model. Return the unit's result columns."""
    fit = train(lambda: prepare(inputs))
    results = finite(score(inputs, fit))  # no model is kept if a score is not finite
    inputs.keep(fit.model)
    return results


def prepare(inputs: Inputs) -> Fit:
    """Return a training before its first step, with its images on the device."""
    device, split = inputs.device, inputs.split
    if device == "cuda":
        torch.cuda.empty_cache()  # memory of this process's previous unit: others share the GPU
        torch.cuda.reset_peak_memory_stats()
    s = inputs.unit.settings
    pixels = inputs.pixels
    labels = None if inputs.labels is None else torch.tensor(inputs.labels, dtype=torch.int64, device=device)
    train, selection = (torch.tensor(part, device=device) for part in (split.train, split.selection))
    data = TrainingSet(pixels, train, selection, labels)
    unit_seeds = seeds_of(inputs.unit)
    model = build(s.architecture, torch.Generator().manual_seed(unit_seeds["init"]), device)
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, s.architecture.side)
    record = cuda_graph if device == "cuda" and s.training.cuda_graph else None
    latent, switch = s.evaluation.latent, s.schedule.switch_epoch
    more = {} if switch is None else {"switch_epoch": switch}  # only built-in families have a decoder that can end
    fit: type[Fit] = FAMILIES[s.family].load_fit()
    return fit(model, data, s.loss, s.training, sampler, unit_seeds, latent, s.soft_adapt, record, **more)


def seeds_of(unit: Unit) -> dict[str, int]:
    """Return the seeds of a unit's draws, by name."""
    s = unit.settings
    return seeds.of_fold(
        s.seed,
        unit.fold,
        same_init=s.folds.same_init,
        separate_draws=s.evaluation.draws == "separate",
        drawn_half=s.source.drawn,
    )


def score(inputs: Inputs, fit: Fit) -> Row:
    """Return the result columns of a finished training: the scores of its best checkpoint on the test fold."""
    s, unit_seeds, device = inputs.unit.settings, seeds_of(inputs.unit), inputs.device
    split, pixels = inputs.split, fit.data.images
    fit.load_best()
    test = torch.tensor(split.test, device=device)
    train = fit.data.train
    few = torch.randperm(len(train), generator=torch.Generator().manual_seed(unit_seeds["evaluation"]))[: len(test)]
    scores = fit.scores(test, train[few.to(device)], s.evaluation.batch_norm == "empty")
    scores["mean_image_per_pixel"] = mean_image_error(pixels, train, test)
    return (
        scores
        | {"collapsed": fit.collapsed(scores, s.final_method)}
        | _split_columns(split)
        | {
            "best_epoch": fit.best_epoch,
            "history": fit.history,
            "sampler_built_with": fit.sampler_text,
            "parameters": sum(p.numel() for p in fit.model.parameters() if p.requires_grad),
            "images_trained": fit.images_trained,
            "seeds": unit_seeds,
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "peak_memory": _peak_memory(device),
            "finished_at": datetime.datetime.now(datetime.UTC),
        }
    )


def _split_columns(split: Split) -> Row:
    return {
        "train_images": len(split.train),
        "selection_images": len(split.selection),
        "test_images": len(split.test),
        "split_hash": split.hash,
    }


def _peak_memory(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    bytes_per_count = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_count
