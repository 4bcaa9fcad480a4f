"""A unit under way: `checkpoints/<key>-fold<k>.pt`, so that a killed training goes on instead of starting again."""

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

VERSION = 3  # of what the file holds; 2 had an optimizer and a conditioned layer of our own
SHARE = 0.05  # of the time may go into saving: the interval is stretched to keep to it


def kind_of(device: str) -> str:
    """On what a training's digits go on as they began: the kind of device and torch's version."""
    name = torch.cuda.get_device_name() if device == "cuda" else f"cpu {platform.machine()}"
    return f"{name}, torch {torch.__version__}"


class _Watched:
    """A file for torch's reader, which loses an error of reading: it sees the file's end, and `error` holds it."""

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
    """Load a checkpoint piece by piece: the whole may be hundreds of megabytes. Raises OSError of the file first."""
    watched = _Watched(file)
    try:
        saved: dict[str, Any] = torch.load(watched, map_location=device, weights_only=True)  # type: ignore[arg-type]
        return saved
    finally:
        if watched.error is not None:
            raise watched.error


def _unusable(saved: dict[str, Any], unit: str, kind: str) -> str | None:
    """Why a unit on this kind of device cannot resume from what was saved; None if it can."""
    if saved["version"] != VERSION:
        return f"was saved by another version of mtvae-sweeps (format {saved['version']}; this one reads {VERSION})"
    if (saved["unit"], saved["kind"]) != (unit, kind):
        return f"is of {saved['unit']} on {saved['kind']}, not of {unit} on {kind}"
    return None


class Checkpoint:
    """Saves a unit's training every `seconds`, and brings it back.

    The file holds plain values and tensors, and is loaded without running code. `resumed` counts how often the unit
    went on from one; `earlier_seconds` is what it had taken until then.
    """

    def __init__(self, storage: Storage, unit: Unit, device: str):
        self.storage, self.device, self.unit = storage, device, unit
        self.name = f"checkpoints/{unit.name}.pt"
        self.seconds = unit.settings.training.checkpoint_seconds
        self.resumed, self.earlier_seconds = 0, 0.0
        self.started_at = self.saved_at = time.monotonic()
        self.cost = 0.0  # seconds that the last save took

    def restore(self, fit: Trainable) -> str | None:
        """Brings `fit` to where the unit was.

        Returns:
            A line that says so, or why not: then `resumed` is 0, and `fit` may be half restored. None: no checkpoint.

        Raises:
            StorageError: the file cannot be read now, which is no damage of it.
            MemoryError, RuntimeError: it does not fit into the memory.
        """
        try:
            with self.storage.reading(self.name) as file:
                saved = _load(file, self.device)
            if why := _unusable(saved, self.unit.name, kind_of(self.device)):
                return f"starts again: {self.storage.path(self.name)} {why}"
            fit.resume(saved["state"])
            self.resumed, self.earlier_seconds = saved["resumed"] + 1, saved["seconds"]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except StorageError:
            raise
        except Exception as error:  # what a damaged file makes torch raise has no common kind
            if out_of_memory(error):
                raise
            return f"starts again: {self.storage.path(self.name)} is damaged ({error_line(error)[:200]})"
        return f"goes on in epoch {len(fit.history) + 1}, after {fit.images_trained:,} images"

    def elapsed(self) -> float:
        """Seconds that the unit has taken, those before its interruptions too."""
        return self.earlier_seconds + time.monotonic() - self.started_at

    def save_if_due(self, fit: Trainable) -> None:
        """Saves when `seconds` have passed, and the last save is a small enough share of the time since."""
        if time.monotonic() - self.saved_at >= max(self.seconds, self.cost / SHARE):
            self.save(fit)

    def save(self, fit: Trainable) -> None:
        began = time.monotonic()
        saved = {
            "version": VERSION,
            "unit": self.unit.name,
            "kind": kind_of(self.device),
            "resumed": self.resumed,
            "seconds": self.elapsed(),
            "state": fit.state(),
        }
        with self.storage.writing(self.name) as file:
            try:
                torch.save(saved, file)
            except RuntimeError as error:  # torch's word for a write that failed; the system's own comes with it
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - began

    def remove(self) -> None:
        self.storage.remove(self.name)
