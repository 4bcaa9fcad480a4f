"""Curves for TensorBoard: a folder per unit, with one event per epoch that holds every column of the unit's history.

tensorboardX is imported where it is used, since it imports torch.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from sweeps.config.labels import Labels
from sweeps.config.settings import SETTING_INFO, column
from sweeps.ledger import rows, unit_file
from sweeps.ledger.ledger import Damage, Ledger
from sweeps.ledger.schema import OWN_SIZES, Row, settings_row, with_own_sizes
from sweeps.ledger.storage import StorageError, whole_path
from sweeps.ledger.temporary import temporary_name
from sweeps.plan.identity import LABEL_ORDER
from sweeps.plan.unit import Unit

EVENTS = "events.out.tfevents."
_RUN = re.compile(r".*(?P<unit>[0-9a-f]{12}-fold\d{1,4})")
LONGEST_PART, LONGEST_NAME = 60, 200
"""Most characters of one setting and of a unit's whole folder name. The ends are kept, as a path's end says most."""

PARAMETERS = ["fold", *[column(path) for path, about in SETTING_INFO.items() if about.in_key]]
"""The columns of TensorBoard's table of hyperparameters. Settings that say where files are do not belong there."""


def prepare_folder(folder: str | Path) -> str:
    """Make `folder`, try to write to it, and return its absolute path. A run calls this before it trains anything.

    Raises:
        StorageError: the folder cannot be written, or is a URI.
    """
    path = _local_folder(folder)
    with _errors_named(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / temporary_name("probe")
        probe.touch()
        probe.unlink()
    return str(path)


def write_all(ledger: Ledger, folder: str | Path) -> tuple[int, Damage]:
    """Write the curves of all done units, and replace the event files that `folder` already has for them.

    Every event gets the time at which its unit was done.

    Args:
        folder: a path on this machine.

    Returns: how many units were written, and the unit files that could not be read.

    Raises:
        StorageError: `folder` cannot be written, or is a URI.
    """
    root = _local_folder(folder)
    settings = [column(path) for path in LABEL_ORDER]
    units, damaged = ledger.table("units", ["key", "fold", *settings, OWN_SIZES, "history", "finished_at"])
    labels = Labels(_label_rows(ledger, units.select(["key", *settings, OWN_SIZES])), settings)
    existing = _run_folders(root)
    for i in range(len(units)):
        row = with_own_sizes(units.slice(i, 1).to_pylist()[0])
        run = _run_folder(root, existing, labels.label(row), f"{row['key']}-fold{row['fold']}")
        with _errors_named(run):
            run.mkdir(parents=True, exist_ok=True)
            _replace(run, row)
    return len(units), damaged


def _label_rows(ledger: Ledger, units: pa.Table) -> list[Row]:
    """Return the rows among which labels distinguish: those of the latest grid, or those of the units."""
    listed, _ = rows.read(ledger.storage)
    if listed is not None:
        return list(map(with_own_sizes, listed))
    return list(map(with_own_sizes, unit_file.first_of_each_key(units).to_pylist()))


def _replace(run: Path, row: Row) -> None:
    """Write a whole run as one file, and remove the run's other event files."""
    at = row["finished_at"].timestamp() if row["finished_at"] else 0.0
    new = run / f"{EVENTS}{int(at):010}.ledger"
    temporary = run / temporary_name("ledger")
    try:
        with closing(EventFile(temporary)) as log:
            log.write_head(row, 1, at)
            for epoch in row["history"] or []:
                log.epoch(epoch, at)
        temporary.replace(new)
    finally:
        temporary.unlink(missing_ok=True)
    for file in run.glob(f"{EVENTS}*"):
        if file != new:
            file.unlink()


class Live:
    """The curves of a unit in progress, on disk after every epoch.

    A resumed unit gets a further file. That file begins with the event by which TensorBoard drops what it has from this
    step on, because a killed run may have written epochs beyond its checkpoint.
    """

    def __init__(self, folder: str | Path, unit: Unit):
        """Open a new event file in the unit's folder.

        Args:
            folder: the folder of all runs, a path on this machine.

        Raises:
            StorageError: the folder cannot be written, or is a URI.
        """
        self.row = with_own_sizes(settings_row(unit))
        root = _local_folder(folder)
        self.run = _run_folder(root, _run_folders(root), unit.label, unit.name)
        with _errors_named(self.run):
            self.run.mkdir(parents=True, exist_ok=True)
            self.log = EventFile(self.run / _next_name(self.run))
        self.has_head = False

    def epoch(self, history_row: Row) -> None:
        """Add an epoch's record of the training's history. Raise StorageError if it cannot be written."""
        with _errors_named(self.run):
            if not self.has_head:
                self.log.write_head(self.row, int(history_row["epoch"]), time.time())
                self.has_head = True
            self.log.epoch(history_row, time.time())
            self.log.flush()

    def close(self) -> None:
        with _errors_named(self.run):
            self.log.close()


class EventFile:
    """An event file that is written in the caller's thread. Times are seconds since 1970; scalars become float32.

    It uses tensorboardX's record writer, because SummaryWriter (2.6.5) hands events through a queue to a thread, and
    so loses what users need. Measured with 20 scalars an epoch:

    - `flush` does not wait for the queue: after it, 151 of 180 epochs were not in the file at all.
    - An OSError of the thread ends it. Where `flush` met the full disk too, it raised, and two tracebacks followed the
      error line. Else the training waited for ever for room in the queue; with an unbounded queue the process did not
      exit. Where the disk had room again by then, nothing was raised, and 180 of 200 scalars were lost.
    - It names files by the clock, so a file cannot be written under a temporary name (`_replace`) or after a clock
      that was set back (`_next_name`), and a process keeps 80 kB of each training.
    """

    def __init__(self, path: Path):
        from tensorboardX.record_writer import RecordWriter

        self.file = RecordWriter(str(path))

    def write_head(self, row: Row, first_epoch: int, at: float) -> None:
        """Write the unit's settings, and the event that drops epochs from `first_epoch` on in earlier files."""
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.summary import hparams

        # `hparams` also returns a summary of the experiment, which would let the first run decide which settings are
        # shown. Without it TensorBoard collects the settings of all runs.
        own_sizes = [name for name in row if name.startswith("model.") and name not in PARAMETERS]
        _, settings, _ = hparams({name: _hparam(row.get(name)) for name in (*PARAMETERS, *own_sizes)}, {})
        self._write(at, 0, file_version="brain.Event:2")
        self._write(at, first_epoch, session_log=SessionLog(status=SessionLog.START))
        self._write(at, 0, summary=settings)

    def epoch(self, history_row: Row, at: float) -> None:
        """Write one epoch's scalars, without columns that are null."""
        from tensorboardX.proto.summary_pb2 import Summary

        named = {name: value for name, value in history_row.items() if name != "epoch" and value is not None}
        values = [Summary.Value(tag=tag(name), simple_value=value) for name, value in named.items()]
        self._write(at, int(history_row["epoch"]), summary=Summary(value=values))

    def flush(self) -> None:
        """Write what is buffered to the disk."""
        self.file.flush()

    def _write(self, at: float, step: int, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self.file.write(Event(wall_time=at, step=step, **what).SerializeToString())

    def close(self) -> None:
        """Close the file. If its last events cannot be written, close it all the same and raise OSError."""
        try:
            self.flush()
        finally:
            self.file.close()


def tag(column: str) -> str:
    """Return the tag of a history column: train_latent becomes train/latent, so that TensorBoard groups them."""
    return column.replace("_", "/", 1)


def run_name(label: str, unit_name: str) -> str:
    """Return the name of a unit's folder, with neither spaces nor slashes, whatever the ledger holds.

    It ends in the unit's name, so that it is unique even where the label is shortened.
    """
    parts = [
        re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-")[-LONGEST_PART:] for part in [*label.split(", "), unit_name]
    ]
    return "-".join(part for part in parts if part)[-LONGEST_NAME:].lstrip("-.")


def _run_folders(root: Path) -> dict[str, str]:
    """Return the names of the existing folders by the unit's name in which they end."""
    try:
        matches = [_RUN.fullmatch(name) for name in os.listdir(root)]
    except OSError:  # not there yet, or no folder; then making a folder in it raises
        return {}
    return {m["unit"]: m[0] for m in matches if m}


def _run_folder(root: Path, existing: Mapping[str, str], label: str, unit_name: str) -> Path:
    """Return a unit's folder. A folder with an earlier label is renamed, since labels get longer as a sweep grows."""
    folder = root / run_name(label, unit_name)
    with _errors_named(folder):
        if unit_name in existing and not folder.exists():
            (root / existing[unit_name]).rename(folder)
    return folder


def _hparam(value: Any) -> Any:
    return str(value) if isinstance(value, list) else value


def _local_folder(folder: str | Path) -> Path:
    """Return a folder's absolute path.

    Raises:
        StorageError: as `whole_path`, and for a URI, because tensorboardX would make a folder of that name or upload
            the whole file at every flush.
    """
    if "://" in str(folder):
        raise StorageError(f"cannot write {folder}: event files need a folder on this machine")
    return Path(whole_path(folder))


def _next_name(run: Path) -> str:
    """Return a name that sorts after all others even if the clock was set back. TensorBoard reads files by name."""
    stamps = [int(m[1]) for file in run.glob(f"{EVENTS}*") if (m := re.match(r".*tfevents\.(\d{10})\b", file.name))]
    return f"{EVENTS}{max([int(time.time()), *[stamp + 1 for stamp in stamps]])}.{os.getpid()}.live"


@contextmanager
def _errors_named(run: Path) -> Iterator[None]:
    """Turn the system's errors into a StorageError that names the folder."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {run}: {error.strerror or error}") from error
