"""Stand-ins that tests hand to a back end instead of the real functions. Workers import them from here."""

import json
import os
import signal
import threading
import time

from sweeps.backends.base import train_unit
from sweeps.data.datasets import load
from sweeps.ledger.storage import Storage
from sweeps.plan.unit import Outcome


def die(unit, loaded, context, on_progress, should_stop):
    """Kill the worker at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_by(folder, pattern, unit, loaded, context, on_progress, should_stop):
    """Kill the worker by a pattern with a letter for each attempt.

    `p` (progress) kills it once it has saved its unit anew, `v` (in vain) kills it at once. Every attempt leaves a file
    in the folder; attempts after the pattern train.
    """
    attempt = len(list(folder.iterdir()))
    (folder / str(attempt)).touch()
    if attempt < len(pattern):
        if pattern[attempt] == "v":
            os.kill(os.getpid(), signal.SIGKILL)
        storage, name = context.ledger.storage, f"checkpoints/{unit.name}.pt"
        threading.Thread(target=_die_once_saved_anew, args=(storage, name, storage.stamp(name))).start()
    return train_unit(unit, loaded, context, on_progress, should_stop)


def _die_once_saved_anew(storage, name, before):
    while storage.stamp(name) == before:
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def train_on_half_a_gpu(unit, loaded, context, on_progress, should_stop):
    """Train as if the scheduler had given half a GPU."""
    return train_unit(unit.with_gpus(0.5), loaded, context, on_progress, should_stop)


def train_on_no_images(unit, loaded, context, on_progress, should_stop):
    """Train on no images at all, so that every unit fails."""
    return train_unit(unit, loaded._replace(images=loaded.images[:0]), context, on_progress, should_stop)


def report_name(config):
    """Report the outcome of a trial that trains nothing, and with it more than the driver wants."""
    from ray import tune

    tune.report({"images": 0, "outcome": Outcome.DONE, "unit": config["unit"].name})


def note_only(folder, failing, unit, loaded, context, on_progress, should_stop):
    """Train nothing, and leave a file `<name>.<attempt>` that holds the time and the number of images.

    Units whose names are in `failing` fail.
    """
    attempts = len(list(folder.glob(f"{unit.name}.*")))
    (folder / f"{unit.name}.{attempts}").write_text(f"{time.time()} {len(loaded.images)}")
    on_progress(unit.images_to_train)
    return Outcome.FAILED if unit.name in failing else Outcome.DONE


def run_until_stopped(folder, unit, loaded, context, on_progress, should_stop):
    """Leave a note as `note_only` does, and wait until a stop is asked for."""
    note_only(folder, (), unit, loaded, context, on_progress, should_stop)
    while not should_stop():
        time.sleep(0.02)
    return Outcome.STOPPED


def raise_this(error, *_):
    """Raise the error, whatever the other arguments are."""
    raise error


def load_noting(folder, source):
    """Load images, and leave a file for each call."""
    (folder / f"loaded.{time.time_ns()}").touch()
    return load(source)


def die_while_loading(source):
    """End the process that reads the images, as a memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)


def load_slowly(source):
    """Take a second to read the images."""
    time.sleep(1)
    return load(source)


class SeenByItsMakerAlone(Storage):
    """A folder that only the process that made this object sees."""

    def __init__(self, root):
        super().__init__(root)
        self.maker = os.getpid()

    def exists(self, name):
        return os.getpid() == self.maker and super().exists(name)


def note_folds(folder, unit, loaded, context, on_progress, should_stop):
    """Train nothing, and leave a file that holds the folds that came with the images."""
    folds = {f"{kind.n_splits} {kind.seed}": numbers.tolist() for kind, numbers in loaded.folds.items()}
    (folder / unit.name).write_text(json.dumps(folds))
    return Outcome.DONE
