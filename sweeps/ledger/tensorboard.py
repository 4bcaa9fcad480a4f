"""Curves for TensorBoard: a folder per unit, and in it an event per epoch with every column of the unit's history.

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
from sweeps.config.settings import ABOUT, column
from sweeps.ledger import rows, unit_file
from sweeps.ledger.ledger import Damage, Ledger
from sweeps.ledger.schema import Row, settings_row
from sweeps.ledger.storage import StorageError, temporary_name, whole_path
from sweeps.plan.identity import NAMING
from sweeps.plan.unit import Unit

EVENTS = "events.out.tfevents."
_RUN = re.compile(r".*(?P<unit>[0-9a-f]{12}-fold\d{1,4})")
LONGEST_PART, LONGEST_NAME = 60, 200
"""Characters that one setting, and all, may take in the name of a unit's folder. The end of a path says most."""

PARAMETERS = ["fold", *[column(path) for path, about in ABOUT.items() if about.counts]]
"""What TensorBoard's table of hyperparameters shows: nothing of where files are."""


def prepare_folder(folder: str | Path) -> str:
    """`folder` as an absolute path, made, and tried by writing to it: for a run to ask before it trains anything.

    Raises:
        StorageError: it cannot be written, or is a URI.
    """
    path = _local_folder(folder)
    with _errors_named(path):
        path.mkdir(parents=True, exist_ok=True)
        probe = path / temporary_name("probe")
        probe.touch()
        probe.unlink()
    return str(path)


def write_all(ledger: Ledger, folder: str | Path) -> tuple[int, Damage]:
    """Writes the curves of all done units, every event at the time at which the unit was done. Event files of such a
    unit that `folder` already has are replaced.

    Args:
        folder: a path on this machine.

    Returns: how many units were written, and the unit files that could not be read.

    Raises:
        StorageError: `folder` cannot be written, or is a URI.
    """
    root = _local_folder(folder)
    settings = [column(path) for path in NAMING]
    units, damaged = ledger.table("units", ["key", "fold", *settings, "history", "finished_at"])
    labels, there = Labels(_label_rows(ledger, units.select(["key", *settings])), settings), _run_folders(root)
    for i in range(len(units)):
        (row,) = units.slice(i, 1).to_pylist()
        run = _run_folder(root, there, labels.label(row), f"{row['key']}-fold{row['fold']}")
        with _errors_named(run):
            run.mkdir(parents=True, exist_ok=True)
            _replace(run, row)
    return len(units), damaged


def _label_rows(ledger: Ledger, units: pa.Table) -> list[Row]:
    """The rows that labels tell apart: the latest grid's, or those of the units."""
    listed, _ = rows.read(ledger.storage)
    if listed is not None:
        return listed
    return list(unit_file.first_of_each_key(units).to_pylist())


def _replace(run: Path, row: Row) -> None:
    """A whole run in one file, which takes the place of the others."""
    at = row["finished_at"].timestamp() if row["finished_at"] else 0.0
    new = run / f"{EVENTS}{int(at):010}.ledger"
    temporary = run / temporary_name("ledger")
    try:
        with closing(EventFile(temporary)) as log:
            log.begin(row, 1, at)
            for epoch in row["history"] or []:
                log.epoch(epoch, at)
        temporary.replace(new)
    finally:
        temporary.unlink(missing_ok=True)
    for file in run.glob(f"{EVENTS}*"):
        if file != new:
            file.unlink()


class Live:
    """The curves of a unit under way, on disk after every epoch.

    A unit that goes on from a checkpoint gets a further file. It begins with TensorBoard's word for "forget what you
    have from this step on": the killed run may have written epochs beyond its checkpoint.
    """

    def __init__(self, folder: str | Path, unit: Unit):
        """Args:
            folder: of all runs, a path on this machine.

        Raises:
            StorageError: it cannot be written, or is a URI.
        """
        self.row = settings_row(unit)
        root = _local_folder(folder)
        self.run = _run_folder(root, _run_folders(root), unit.label, unit.name)
        with _errors_named(self.run):
            self.run.mkdir(parents=True, exist_ok=True)
            self.log = EventFile(self.run / _next_name(self.run))
        self.begun = False

    def epoch(self, history_row: Row) -> None:
        """Adds an epoch as `Fit.history` has it. Raises StorageError as the start does."""
        with _errors_named(self.run):
            if not self.begun:
                self.log.begin(self.row, int(history_row["epoch"]), time.time())
                self.begun = True
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

    def begin(self, row: Row, first_epoch: int, at: float) -> None:
        """The head: what is known of the unit, and that no epoch from `first_epoch` on counts that was there before."""
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.summary import hparams

        # Without the summary of the whole experiment TensorBoard makes one from every run's settings. With it, the
        # first run's would decide which settings there are.
        _, settings, _ = hparams({name: _hparam(row.get(name)) for name in PARAMETERS}, {})
        self._write(at, 0, file_version="brain.Event:2")
        self._write(at, first_epoch, session_log=SessionLog(status=SessionLog.START))
        self._write(at, 0, summary=settings)

    def epoch(self, history_row: Row, at: float) -> None:
        """One epoch's scalars; columns that are null are left out."""
        from tensorboardX.proto.summary_pb2 import Summary

        named = {name: value for name, value in history_row.items() if name != "epoch" and value is not None}
        values = [Summary.Value(tag=tag(name), simple_value=value) for name, value in named.items()]
        self._write(at, int(history_row["epoch"]), summary=Summary(value=values))

    def flush(self) -> None:
        """To the disk."""
        self.file.flush()

    def _write(self, at: float, step: int, **what: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self.file.write(Event(wall_time=at, step=step, **what).SerializeToString())

    def close(self) -> None:
        """Close the file also where its last events cannot be written, which raises OSError."""
        try:
            self.flush()
        finally:
            self.file.close()


def tag(column: str) -> str:
    """Of a column of the history: train_latent is train/latent, and so on, so that TensorBoard groups them."""
    return column.replace("_", "/", 1)


def run_name(label: str, unit_name: str) -> str:
    """Return the name of a unit's folder: a plain name without spaces or slashes, whatever the ledger says. The unit's
    name makes it one unit's alone, also where the label is shortened."""
    parts = [
        re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-")[-LONGEST_PART:] for part in [*label.split(", "), unit_name]
    ]
    return "-".join(part for part in parts if part)[-LONGEST_NAME:].lstrip("-.")


def _run_folders(root: Path) -> dict[str, str]:
    """The folders that are there, by the unit whose name they end in."""
    try:
        matches = [_RUN.fullmatch(name) for name in os.listdir(root)]
    except OSError:  # it is not there yet, or it is no folder, which making one in it will say
        return {}
    return {m["unit"]: m[0] for m in matches if m}


def _run_folder(root: Path, there: Mapping[str, str], label: str, unit_name: str) -> Path:
    """Return a unit's folder. One that bears an earlier label of the unit is renamed: labels grow when a sweep does."""
    folder = root / run_name(label, unit_name)
    with _errors_named(folder):
        if unit_name in there and not folder.exists():
            (root / there[unit_name]).rename(folder)
    return folder


def _hparam(value: Any) -> Any:
    return str(value) if isinstance(value, list) else value


def _local_folder(folder: str | Path) -> Path:
    """Raises StorageError as `whole_path`, and for a URI: tensorboardX would make a folder of that name here, or upload
    every flush."""
    if "://" in str(folder):
        raise StorageError(f"cannot write {folder}: event files need a folder on this machine")
    return Path(whole_path(folder))


def _next_name(run: Path) -> str:
    """A file after all others, whatever the clock says: TensorBoard reads them in the order of their names."""
    stamps = [int(m[1]) for file in run.glob(f"{EVENTS}*") if (m := re.match(r".*tfevents\.(\d{10})\b", file.name))]
    return f"{EVENTS}{max([int(time.time()), *[stamp + 1 for stamp in stamps]])}.{os.getpid()}.live"


@contextmanager
def _errors_named(run: Path) -> Iterator[None]:
    """Turns what the system says into one line that names the folder."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {run}: {error.strerror or error}") from error
