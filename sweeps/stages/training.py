"""The training stage: a model is trained on a fold, and its best weights are scored on the tabulated images."""

import datetime
import resource
import sys
import warnings

import torch

from mtvae.conditioning import ConditionSampler
from mtvae.config import METHODS
from mtvae.evaluation import Scores, evaluate, mean_image_error, training_error, with_empty_statistics
from mtvae.model import build
from mtvae.runtime.cuda_graph import cuda_graph
from mtvae.training import Fit, TrainingSet
from sweeps.data import seeds
from sweeps.data.splits import Split
from sweeps.ledger.schema import Row
from sweeps.plan.unit import Unit
from sweeps.stages.base import Inputs, Train, finite


def run(inputs: Inputs, train: Train) -> Row:
    """Train, score and keep a model: the result columns of a unit."""
    fit = train(lambda: prepare(inputs))
    results = finite(score(inputs, fit))  # before its model is kept
    inputs.keep(fit.model)
    return results


def prepare(inputs: Inputs) -> Fit:
    """A training before its first step. Its images are on the device."""
    device, parts = inputs.device, inputs.split
    if device == "cuda":
        torch.cuda.empty_cache()  # what this process's unit before held: others share the GPU
        torch.cuda.reset_peak_memory_stats()
    s = inputs.unit.settings
    with warnings.catch_warnings():  # that they cannot be written to; nobody does
        warnings.simplefilter("ignore", UserWarning)
        pixels = torch.as_tensor(inputs.images, device=device)  # on the CPU the very bytes that workers share
    data = TrainingSet(pixels, torch.tensor(parts.train, device=device), torch.tensor(parts.selection, device=device))
    named = seeds_of(inputs.unit)
    model = build(s.architecture, torch.Generator().manual_seed(named["init"]), device)
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, s.architecture.side)
    record = cuda_graph if device == "cuda" and s.training.cuda_graph else None
    return Fit(model, data, s.loss, s.training, sampler, named, s.evaluation.latent, s.soft_adapt, record)


def seeds_of(unit: Unit) -> dict[str, int]:
    """The seeds of a unit's draws, by name."""
    s = unit.settings
    return seeds.of_fold(s.seed, unit.fold, s.folds.same_init, s.evaluation.draws == "separate")


def score(inputs: Inputs, fit: Fit) -> Row:
    """The result columns of a finished training: the picked weights on the tabulated fold."""
    s, named, device = inputs.unit.settings, seeds_of(inputs.unit), inputs.device
    parts, pixels = inputs.split, fit.data.images
    fit.load_best()
    test = torch.tensor(parts.test, device=device)
    train, latent = fit.data.train, s.evaluation.latent
    decoder = None
    if s.evaluation.batch_norm == "empty":
        decoder = with_empty_statistics(fit.model, pixels, train, named, latent)
    scores = evaluate(fit.model, pixels[test], s.loss, fit.sampler, named, latent, decoder)
    trained_on = train[
        torch.randperm(len(train), generator=torch.Generator().manual_seed(named["evaluation"])).to(device)
    ]
    scores |= training_error(fit.model, pixels[trained_on[: len(test)]], named, latent, decoder)
    return (
        score_columns(scores, mean_image_error(pixels, fit.data.train, test), s.method)
        | _split_columns(parts)
        | {
            "best_epoch": fit.best_epoch,
            "history": fit.history,
            "sampler_built_with": None if fit.sampler is None else fit.sampler.describe(),
            "parameters": sum(p.numel() for p in fit.model.parameters()),
            "images_trained": fit.images_trained,
            "seeds": named,
            "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
            "peak_memory": _peak_memory(device),
            "finished_at": datetime.datetime.now(datetime.UTC),
        }
    )


def score_columns(scores: Scores, mean_image: float, method: str) -> Row:
    """The scores, and whether the output that the method is judged by is hardly better than the mean image."""
    error = scores[f"{METHODS[method].judged_by.name}_per_pixel"]
    return scores | {"mean_image_per_pixel": mean_image, "collapsed": error > mean_image / 2}


def _split_columns(parts: Split) -> Row:
    return {
        "train_images": len(parts.train),
        "selection_images": len(parts.selection),
        "test_images": len(parts.test),
        "split_hash": parts.hash,
    }


def _peak_memory(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    kilobyte = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte
