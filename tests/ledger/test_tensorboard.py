"""Event files where the disk is full or the clock is wrong. What they hold is tested in tests/test_frames.py."""

import resource
import threading
from contextlib import contextmanager

import pytest

from sweeps.ledger import tensorboard
from sweeps.ledger.storage import StorageError

EPOCHS = [{"epoch": n, **{f"train_term{i}": float(n + i) for i in range(20)}} for n in range(1, 51)]


@contextmanager
def largest_file(n_bytes):
    """Let no file of this process grow beyond n bytes: the system refuses to write as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_ends_a_training(plan, tmp_path):
    """The epoch that does not fit raises one line, and so does closing the file."""
    live = tensorboard.Live(tmp_path, plan.units[0])
    line = f"cannot write {live.run}: File too large"
    with largest_file(4000):
        with pytest.raises(StorageError, match=line):
            for epoch in EPOCHS:
                live.epoch(epoch)
        assert epoch["epoch"] > 1
        with pytest.raises(StorageError, match=line):
            live.close()
    assert live.log.file._writer.closed


def test_a_full_disk_keeps_the_files_before(plan, ledger, tmp_path):
    """A report that does not fit raises one line, keeps the earlier curves, and leaves no partial file."""
    history = [{"epoch": n, "train_unconditioned": 1.0, "selection_total": 2.0} for n in range(1, 101)]
    ledger.write(plan.units[0], {"history": history})
    assert tensorboard.write_all(ledger, tmp_path / "tb") == (1, [])
    (run,) = (tmp_path / "tb").iterdir()
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    assert len(before) == 1
    with largest_file(4000), pytest.raises(StorageError, match=f"cannot write {run}: File too large"):
        tensorboard.write_all(ledger, tmp_path / "tb")
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


def test_no_thread_writes(plan, tmp_path):
    before = threading.enumerate()
    live = tensorboard.Live(tmp_path, plan.units[0])
    live.epoch(EPOCHS[0])
    assert threading.enumerate() == before
    live.close()


def test_a_resumed_unit_writes_the_last_file(plan, tmp_path, monkeypatch):
    """TensorBoard reads files in the order of their names, which a clock that was set back must not change."""
    names = []
    for now in (2_000_000_000.0, 1_900_000_000.0, 1_900_000_000.0):
        monkeypatch.setattr(tensorboard.time, "time", lambda now=now: now)
        live = tensorboard.Live(tmp_path, plan.units[0])
        live.epoch(EPOCHS[0])
        live.close()
        (name,) = {file.name for file in live.run.iterdir()} - set(names)
        names.append(name)
    assert names == sorted(names)
