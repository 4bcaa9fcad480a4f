"""Checkpoints of units that are not done, `checkpoints/<key>-fold<k>.pt`: a killed training resumes from its own."""

import platform
import time
from typing import Any

import torch
from pyarrow import NativeFile

from sweeps.ledger.storage import Storage, StorageError
from sweeps.plan.unit import Unit
from sweeps.stages.base import Trainable
from sweeps.text import error_line
from sweeps.worker.devices import out_of_memory

VERSION = 3  # of the file's content; 2 had an optimizer and a conditioned layer of our own
MAX_SAVING_SHARE = 0.05  # of the time; if saves are slow, the interval between them grows to keep to it


def device_kind(device: str) -> str:
    """Return the kind of device and torch's version: where both are the same, a training resumes to the same digits."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"cpu {platform.machine()}"
    return f"{name}, torch {torch.__version__}"


class _ErrorKeepingFile:
    """A file that keeps a reading error in `error`, and then seems to end: torch's reader would lose the error."""

    def __init__(self, file: NativeFile):
        self.file = file
        self.error: OSError | None = None
        self.seek, self.tell, self.readline = file.seek, file.tell, file.readline

    def read(self, n: int = -1) -> bytes:
        try:
            return bytes(self.file.read(n))
        except OSError as error:
            self.error = self.error or error
            return b""


def _load(file: NativeFile, device: str) -> dict[str, Any]:
    """Load a checkpoint piece by piece, as it may have hundreds of megabytes.

    Raises:
        OSError: the file cannot be read. This takes the place of what torch raises then.
        Exception: an error of torch's; the file is damaged.
    """
    reader = _ErrorKeepingFile(file)
    try:
        saved: dict[str, Any] = torch.load(reader, map_location=device, weights_only=True)  # type: ignore[arg-type]
        return saved
    finally:
        if reader.error is not None:
            raise reader.error


def _unusable(saved: dict[str, Any], unit: str, kind: str) -> str | None:
    """Return why a unit on this kind of device cannot resume from a checkpoint; None if it can."""
    if saved["version"] != VERSION:
        return f"was saved by another version of mtvae-sweeps (format {saved['version']}; this one reads {VERSION})"
    if (saved["unit"], saved["kind"]) != (unit, kind):
        return f"is of {saved['unit']} on {saved['kind']}, not of {unit} on {kind}"
    return None


class Checkpoint:
    """Saves a unit's training every `seconds`, and restores it.

    The file holds plain values and tensors, and is loaded without running code. `resumed` counts how often the unit
    resumed from a checkpoint; `earlier_seconds` is the time that it had taken before.
    """

    def __init__(self, storage: Storage, unit: Unit, device: str):
        self.storage, self.device, self.unit = storage, device, unit
        self.name = f"checkpoints/{unit.name}.pt"
        self.seconds = unit.settings.training.checkpoint_seconds
        self.resumed, self.earlier_seconds = 0, 0.0
        self.started_at = self.saved_at = time.monotonic()
        self.save_seconds = 0.0  # that the last save took

    def restore(self, fit: Trainable) -> str | None:
        """Restore `fit` to where the unit was saved.

        Returns:
            A line that says so, or why it was not possible: then `resumed` is 0, and `fit` may be half restored. None
            if there is no checkpoint.

        Raises:
            StorageError: the file cannot be read now, which does not mean that it is damaged.
            MemoryError, RuntimeError: it does not fit into the memory.
        """
        try:
            with self.storage.reading(self.name) as file:
                saved = _load(file, self.device)
            if why := _unusable(saved, self.unit.name, device_kind(self.device)):
                return f"starts over: {self.storage.path(self.name)} {why}"
            fit.resume(saved["state"])
            self.resumed, self.earlier_seconds = saved["resumed"] + 1, saved["seconds"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except StorageError:
            raise
        except Exception as error:  # for a damaged file torch raises errors of many classes
            if out_of_memory(error):
                raise
            return f"starts over: {self.storage.path(self.name)} is damaged ({error_line(error)[:200]})"
        return f"resumes in epoch {len(fit.history) + 1}, after {fit.images_trained:,} images"

    def elapsed(self) -> float:
        """Return the seconds that the unit has taken, including those before interruptions."""
        return self.earlier_seconds + time.monotonic() - self.started_at

    def save_if_due(self, fit: Trainable) -> None:
        """Save if `seconds` have passed since the last save, and its own time is a small enough share of them."""
        if time.monotonic() - self.saved_at >= max(self.seconds, self.save_seconds / MAX_SAVING_SHARE):
            self.save(fit)

    def save(self, fit: Trainable) -> None:
        began = time.monotonic()
        saved = {
            "version": VERSION,
            "unit": self.unit.name,
            "kind": device_kind(self.device),
            "resumed": self.resumed,
            "seconds": self.elapsed(),
            "state": fit.state(),
        }
        with self.storage.writing(self.name) as file:
            try:
                torch.save(saved, file)
            except RuntimeError as error:  # torch's, for a failed write; the system's error is its context
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began

    def remove(self) -> None:
        self.storage.remove(self.name)
