"""Run one unit, from its start to its Parquet file, in a worker or in the driver's process."""

import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass

import torch

from mtvae.config import FAMILIES
from mtvae.config.registry import import_attribute
from mtvae.loop import Diverged
from mtvae.own_model import OwnModelError
from mtvae.runtime.determinism import reproducible
from sweeps.config.stages import STAGES
from sweeps.data.datasets import Loaded
from sweeps.data.hashes import fingerprint
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.provenance import machine
from sweeps.ledger.schema import Row
from sweeps.ledger.storage import StorageError
from sweeps.ledger.tensorboard import Live
from sweeps.plan.unit import OnProgress, Outcome, Unit
from sweeps.stages.base import Inputs, NotFinite, Run, T, Trainable, finite
from sweeps.text import error_line
from sweeps.worker.checkpoint import Checkpoint
from sweeps.worker.devices import out_of_memory


class _Stopped(Exception):
    """Ends a unit that was saved because of a stop."""


def run_unit(
    unit: Unit,
    loaded: Loaded,
    ledger: Ledger,
    device: str,
    provenance: Row,
    on_progress: OnProgress = lambda images, losses=dict: None,
    should_stop: Callable[[], bool] = lambda: False,
    tensorboard: str | None = None,
) -> Outcome:
    """Carry out the stage of one unit, from its checkpoint if there is one, and record the unit.

    An error of the unit makes it a failed unit, and does not affect others. A unit that shares its GPU and runs out of
    memory is not failed but "crowded": with a larger share it can resume from its checkpoint.

    Args:
        loaded: the images of the unit's source, as `sweeps.data.datasets.load` reads them; its notes enter the log.
            Folds and a hash of the pixels that it lacks are computed here.
        device: "cpu" or "cuda".
        provenance: the columns of `sweeps.ledger.provenance`.
        should_stop: called after every step; if it returns True, the unit is saved and ends as "stopped".
        tensorboard: a folder on this machine for event files; None writes none.

    Raises:
        StorageError: the results, or the event files, cannot be written.
    """
    if should_stop():
        return Outcome.STOPPED
    if ledger.has(unit):  # another driver may have done it since the plan was made
        return Outcome.DONE_BEFORE
    checkpoint = Checkpoint(ledger.storage, unit, device)
    log = [f"{unit}, on {device}", *loaded.notes]
    inputs = Inputs(unit, loaded.images, device, ledger.storage, log, loaded.folds, loaded.labels, loaded.classes)
    try:
        run: Run = import_attribute(STAGES[unit.stage].run)
        with reproducible(unit.settings.training.deterministic), _event_files(tensorboard, unit) as live:
            results = finite(run(inputs, _Train(checkpoint, log, on_progress, should_stop, live)))
    except _Stopped:
        return Outcome.STOPPED
    except StorageError:  # an error of the results folder, not of this unit
        raise
    except Exception as error:
        ledger.write_log(unit, "\n".join([*log, traceback.format_exc()]))
        if isinstance(error, torch.OutOfMemoryError) and 0 < unit.settings.resources.gpus < 1:
            return Outcome.CROWDED
        ledger.write_failed(unit, _reason(error))
        if not out_of_memory(error):  # else the checkpoint is sound, and `--retry` resumes from it
            checkpoint.remove()
        return Outcome.FAILED
    results |= {"seconds": checkpoint.elapsed(), "resumed": checkpoint.resumed}
    results["family_source"] = FAMILIES[unit.settings.family].source or None
    results |= {"data_hash": loaded.data_hash or fingerprint(loaded.images), "files_hash": loaded.files_hash}
    ledger.write_log(unit, "\n".join([*log, "done", ""]))
    ledger.write(unit, results | provenance | machine())
    checkpoint.remove()
    return Outcome.DONE


@dataclass(frozen=True)
class _Train:
    """The training loop for a stage (`sweeps.stages.base.Train`): it saves, reports and stops between steps."""

    checkpoint: Checkpoint
    log: list[str]
    on_progress: OnProgress
    should_stop: Callable[[], bool]
    live: Live | None

    def __call__(self, make: Callable[[], T]) -> T:
        trained = make()
        restored = self.checkpoint.restore(trained)
        if restored:
            self.log.append(restored)
            if not self.checkpoint.resumed:
                trained = make()
        self._report(trained)
        if self.live is not None:
            for record in trained.history:  # not empty if the unit resumes: the new event file gets every epoch
                self.live.epoch(record)
        while not trained.finished:
            trained.epoch(lambda: self._after_step(trained))
            self.log.append(", ".join(f"{k} {v:.6g}" for k, v in trained.history[-1].items()))
            if self.live is not None:
                self.live.epoch(trained.history[-1])
        return trained

    def _report(self, trained: Trainable) -> None:
        self.on_progress(trained.images_trained, getattr(trained, "losses", dict))  # a plug-in's may have none

    def _after_step(self, trained: Trainable) -> None:
        self._report(trained)
        if self.should_stop():
            self.checkpoint.save(trained)
            raise _Stopped
        self.checkpoint.save_if_due(trained)


def _event_files(folder: str | None, unit: Unit) -> AbstractContextManager[Live | None]:
    """Open the unit's event files; None without a folder."""
    return nullcontext() if folder is None else closing(Live(folder, unit))


def _reason(error: Exception) -> str:
    """Return why a unit failed, as one line."""
    if out_of_memory(error):
        return f"out of memory: {error_line(error)[:200]}"
    if isinstance(error, Diverged | NotFinite | OwnModelError):
        return str(error)
    return f"{type(error).__name__}: {error_line(error)[:300]}"
