"""A unit from start to Parquet: where the sweep meets the model core. Runs in a worker, or in this process."""

import datetime
import platform
import resource
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from typing import Any, Literal

import torch

from mtvae.conditioning import ConditionSampler
from mtvae.evaluation import Scores, evaluate, mean_image_error
from mtvae.model import build
from mtvae.runtime.allocator import keep_freed_memory
from mtvae.runtime.cuda_graph import cuda_graph
from mtvae.runtime.determinism import repeatable
from mtvae.training import Diverged, Fit, TrainingSet
from sweeps.data import seeds
from sweeps.data.datasets import fingerprint, test_half_count
from sweeps.data.readers import Images
from sweeps.data.splits import Split, split
from sweeps.ledger import kept_models
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import Row
from sweeps.ledger.storage import StorageError
from sweeps.ledger.tensorboard import Live
from sweeps.plan.unit import PlacementError, Unit
from sweeps.text import number_text, said
from sweeps.worker.checkpoint import Checkpoint

Outcome = Literal["done", "failed", "done before", "stopped", "crowded"]
OnProgress = Callable[[int], None]
"""Called before the first and after every step with the images that the unit has trained so far."""


NO_MEMORY = "can't allocate memory"  # in the RuntimeError of torch's allocator for the CPU


class _Stopped(Exception):
    """The unit was saved and is to end here."""


def run_unit(
    unit: Unit,
    images: Images,
    ledger: Ledger,
    device: str,
    provenance: Row,
    on_progress: OnProgress = lambda images: None,
    should_stop: Callable[[], bool] = lambda: False,
    tensorboard: str | None = None,
    notes: Sequence[str] = (),
) -> Outcome:
    """Trains, scores and records one unit, from its checkpoint if it has one. What goes wrong with it becomes a failed
    row, and others go on. A unit that shares its GPU and runs out of its memory is not failed but "crowded": with more
    room it can go on from its checkpoint.

    Args:
        images: uint8 (N,C,H,W), as `data.load` reads the unit's source.
        notes: what there is to say of the images, for the log.
        device: "cpu" or "cuda".
        provenance: the columns of `sweeps.provenance`.
        should_stop: asked after every step; when it says so, the unit is saved and ends as "stopped".
        tensorboard: a folder of this machine for event files, None for none.

    Raises:
        StorageError: the results, or the event files, cannot be written.
    """
    keep_freed_memory()
    if should_stop():
        return "stopped"
    if ledger.has(unit):  # a fresh look: another driver may have done it since the plan was made
        return "done before"
    checkpoint = Checkpoint(ledger.storage, unit, device)
    log = [f"{unit}, on {device}", *notes]
    try:
        with repeatable(unit.settings.training.deterministic):
            results = _results(unit, images, ledger, device, checkpoint, log, on_progress, should_stop, tensorboard)
    except _Stopped:
        return "stopped"
    except StorageError:  # the folder's failure, not this unit's
        raise
    except Exception as error:
        ledger.write_log(unit, "\n".join([*log, traceback.format_exc()]))
        if isinstance(error, torch.OutOfMemoryError) and 0 < unit.settings.resources.gpus < 1:
            return "crowded"
        ledger.write_failed(unit, _reason(error))
        checkpoint.remove()
        return "failed"
    results |= {"seconds": checkpoint.elapsed(), "resumed": checkpoint.resumed, "data_hash": fingerprint(images)}
    ledger.write_log(unit, "\n".join([*log, "done", ""]))
    ledger.write(unit, results | provenance)
    checkpoint.remove()
    return "done"


def _results(
    unit: Unit,
    images: Images,
    ledger: Ledger,
    device: str,
    checkpoint: Checkpoint,
    log: list[str],
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
    tensorboard: str | None,
) -> Row:
    """Trains and scores: the result columns. Appends to the log; keeps the model where it is to be kept."""
    fit, parts, pixels = prepare(unit, images, device)
    restored = checkpoint.restore(fit)
    if restored:
        log.append(restored)
        if not checkpoint.resumed:
            fit, parts, pixels = prepare(unit, images, device)
    on_progress(fit.images_trained)

    def after_step() -> None:
        on_progress(fit.images_trained)
        if should_stop():
            checkpoint.save(fit)
            raise _Stopped
        checkpoint.save_if_due(fit)

    with nullcontext() if tensorboard is None else closing(Live(tensorboard, unit)) as live:
        if live is not None:
            for row in fit.history:  # of a unit that goes on: its newest file holds the whole of it
                live.epoch(row)
        while not fit.finished:
            fit.epoch(after_step)
            log.append(", ".join(f"{k} {v:.6g}" for k, v in fit.history[-1].items()))
            if live is not None:
                live.epoch(fit.history[-1])
        results = _score(unit, fit, parts, pixels, device)
        if kept_models.is_kept(unit):
            kept_models.save(ledger.storage, unit, fit.model)
    return results


def _reason(error: Exception) -> str:
    """One line for people."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or NO_MEMORY in str(error):
        return f"out of memory: {said(error)[:200]}"
    if isinstance(error, Diverged):
        return str(error)
    return f"{type(error).__name__}: {said(error)[:300]}"


def prepare(unit: Unit, images: Images, device: str) -> tuple[Fit, Split, torch.Tensor]:
    """A training before its first step, its split, and the images (N,C,H,W) on its device."""
    if device == "cuda":
        torch.cuda.empty_cache()  # what this process's unit before held: others share the GPU
        torch.cuda.reset_peak_memory_stats()
    s = unit.settings
    half = test_half_count(s.source)
    parts = split(len(images) - half, s.folds, s.seed, unit.fold, half)
    with warnings.catch_warnings():  # that they cannot be written to; nobody does
        warnings.simplefilter("ignore", UserWarning)
        pixels = torch.as_tensor(images, device=device)  # on the CPU the very bytes that workers share
    data = TrainingSet(pixels, torch.tensor(parts.train, device=device), torch.tensor(parts.selection, device=device))
    named = _seeds(unit)
    model = build(s.architecture, torch.Generator().manual_seed(named["init"]), device)
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, s.architecture.side)
    record = cuda_graph if device == "cuda" and s.training.cuda_graph else None
    fit = Fit(model, data, s.loss, s.training, sampler, named, s.evaluation.latent, s.soft_adapt, record)
    return fit, parts, pixels


def _seeds(unit: Unit) -> dict[str, int]:
    return seeds.of_fold(unit.settings.seed, unit.fold, unit.settings.folds.same_init)


def _score(unit: Unit, fit: Fit, parts: Split, pixels: torch.Tensor, device: str) -> Row:
    """The result columns of a finished training: the picked weights on the tabulated fold."""
    s, named = unit.settings, _seeds(unit)
    fit.load_best()
    test = torch.tensor(parts.test, device=device)
    scores = evaluate(fit.model, pixels[test], s.loss, fit.sampler, named["evaluation"], s.evaluation.latent)
    return (
        _score_columns(scores, mean_image_error(pixels, fit.data.train, test), s.method)
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


def _score_columns(scores: Scores, mean_image: float, method: str) -> Row:
    columns: dict[str, Any] = asdict(scores)
    # What `conditioned` makes of the zero condition was never trained: it is judged by what was.
    error = scores.conditioned_per_pixel if method == "conditioned" else scores.unconditioned_per_pixel
    assert error is not None
    return columns | {"mean_image_per_pixel": mean_image, "collapsed": error > mean_image / 2}


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


def pick_device(gpus: float) -> str:
    """The device of a unit that was given a share `gpus` of a GPU; "cpu" where it was given none.

    Raises:
        PlacementError: a share was given, but torch sees no GPU.
    """
    if gpus <= 0:
        return "cpu"
    if not torch.cuda.is_available():
        raise PlacementError(f"resources.gpus is {number_text(gpus)}, but torch sees no GPU on {platform.node()}")
    return "cuda"
