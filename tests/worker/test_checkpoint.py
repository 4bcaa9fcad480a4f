"""A training that was interrupted ends with the digits of one that was not."""

import io
import itertools
import os
import pickle
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from disturbance import temporary_files, wait_for_a_new_checkpoint
from records import rows_of, rows_without_intervals
from stand_ins import raise_this

from sweeps.data.datasets import Loaded
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.ledger.storage import Storage, StorageError
from sweeps.plan.plan import Plan
from sweeps.worker import run_unit
from sweeps.worker.checkpoint import Checkpoint

EVERY_KIND = """
name: kinds
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 3, batch_size: 9, checkpoint_seconds: 0}
soft_adapt.every: 4
soft_adapt.accuracy_order: 3
grid:
  - {family: [vqvae, gaussian_vae, autoencoder], method: [none, conditioned, multi_decoder, single_decoder]}
  - {family: [vqvae, gaussian_vae], method: multi_decoder, soft_adapt: [true, original, normalised]}
  - {family: autoencoder, method: multi_decoder, soft_adapt: true, training.shuffle: false}
  - {family: gaussian_vae, method: multi_decoder, soft_adapt: true, schedule.switch_epoch: 1}
"""


@pytest.fixture
def kinds(read_grid):
    g = read_grid(EVERY_KIND)
    return [row[0] for row in Plan(g, frozenset(), frozenset()).rows]


@pytest.fixture
def ledgers(tmp_path):
    return lambda name: Ledger(Storage(tmp_path / name))


def run_interrupted(unit, images, ledger, every):
    """Run a unit that is stopped after each `every` steps until it is done. Return how often it resumed."""
    attempts, outcome = 0, "stopped"
    while outcome == "stopped":
        steps = itertools.count()  # `should_stop` is called once before the first step
        outcome = run_unit.run_unit(
            unit, Loaded(images), ledger, "cpu", {}, should_stop=lambda s=steps: next(s) >= every
        )
        attempts += 1
    assert outcome == "done"
    return attempts - 1


def test_stops_at_every_step_change_no_digit(kinds, ledgers, digits):
    """For every kind of training."""
    whole, pieces = ledgers("whole"), ledgers("pieces")
    for unit in kinds:
        assert run_unit.run_unit(unit, Loaded(digits), whole, "cpu", {}) == "done"
        assert run_interrupted(unit, digits, pieces, 1) == 9  # 27 images in batches of 9, three epochs
    assert rows_of(pieces) == rows_of(whole)
    assert {row["resumed"] for row in pieces.read()[0]} == {9}
    assert {row["resumed"] for row in whole.read()[0]} == {0}
    assert pieces.storage.names("checkpoints") == whole.storage.names("checkpoints") == []


def stopped(unit, images, ledger, steps=4):
    """Run a unit until it is stopped after so many steps. Return the name of its checkpoint."""
    count = itertools.count()
    assert (
        run_unit.run_unit(unit, Loaded(images), ledger, "cpu", {}, should_stop=lambda: next(count) > steps) == "stopped"
    )
    return f"checkpoints/{unit.name}.pt"


def tamper_truncated(saved):
    return saved[: len(saved) // 2]


def tamper_empty(saved):
    return b""


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/mtvae-sweeps-was-here",)


def tamper_pickle(saved):
    return pickle.dumps(Evil())


def tamper_torch_pickle(saved):
    buffer = io.BytesIO()
    torch.save({"version": 3, "state": Evil()}, buffer)
    return buffer.getvalue()


def tamper_missing_part(saved):
    values = torch.load(io.BytesIO(saved), weights_only=True)
    del values["state"]["sums"]  # the last part to be restored
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def tamper_other_torch(saved):
    return changed(saved, kind="cuda, torch 1.0")


def tamper_other_format(saved):
    return changed(saved, version=2)


def changed(saved, **values):
    buffer = io.BytesIO()
    torch.save(torch.load(io.BytesIO(saved), weights_only=True) | values, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (tamper_truncated, "is damaged"),
        (tamper_empty, "is damaged"),
        (tamper_pickle, "is damaged"),
        (tamper_torch_pickle, "is damaged"),
        (tamper_missing_part, "is damaged"),
        (tamper_other_torch, "-fold0 on cuda, torch 1.0, not of "),
        (tamper_other_format, "was saved by another version of mtvae-sweeps (format 2; this one reads 3)"),
    ],
)
def test_a_unit_with_an_unusable_checkpoint_starts_over(kinds, ledgers, digits, tamper, said):
    """Its log says so."""
    unit, whole, ledger = kinds[0], ledgers("whole"), ledgers("tampered")
    run_unit.run_unit(unit, Loaded(digits), whole, "cpu", {})
    name = stopped(unit, digits, ledger)
    ledger.storage.write(name, tamper(ledger.storage.read(name)))
    assert run_unit.run_unit(unit, Loaded(digits), ledger, "cpu", {}) == "done"
    log = ledger.storage.read(f"logs/{unit.name}.log").decode()
    assert "starts over: " in log
    assert said in log
    assert not os.path.exists("/tmp/mtvae-sweeps-was-here")
    assert rows_of(ledger) == rows_of(whole)
    assert ledger.read()[0][0]["resumed"] == 0


def test_memory_that_runs_out_is_no_damage(kinds, ledgers, digits, monkeypatch):
    """The checkpoint stays, and the unit resumes once there is enough memory, as on a GPU that others share."""
    ledger = ledgers("full")
    name = stopped(kinds[0], digits, ledger)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", lambda *_, **__: raise_this(torch.OutOfMemoryError("CUDA out of memory")))
        assert run_unit.run_unit(kinds[0], Loaded(digits), ledger, "cpu", {}) == "failed"
    assert ledger.storage.exists(name)
    assert run_unit.run_unit(kinds[0], Loaded(digits), ledger, "cpu", {}) == "done"
    assert ledger.read()[0][0]["resumed"] == 1


def test_another_units_checkpoint_is_not_taken(kinds, ledgers, digits):
    ledger = ledgers("swapped")
    name = stopped(kinds[0], digits, ledger)
    ledger.storage.rename(name, f"checkpoints/{kinds[1].name}.pt")
    assert run_unit.run_unit(kinds[1], Loaded(digits), ledger, "cpu", {}) == "done"
    assert "starts over" in ledger.storage.read(f"logs/{kinds[1].name}.log").decode()


def test_a_full_disk_keeps_the_last_checkpoint(kinds, ledgers, digits):
    """The unit is not failed: the error is the results folder's, with the system's message and not torch's."""
    ledger = ledgers("full")
    name = stopped(kinds[0], digits, ledger)
    before = ledger.storage.read(name)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(StorageError, match=f"cannot write .*{name}: File too large"):
            run_unit.run_unit(kinds[0], Loaded(digits), ledger, "cpu", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ledger.storage.read(name) == before
    assert ledger.storage.names("checkpoints") == [f"{kinds[0].name}.pt"]
    assert run_unit.run_unit(kinds[0], Loaded(digits), ledger, "cpu", {}) == "done"
    assert ledger.read()[0][0]["resumed"] == 1


def test_slow_saves_are_made_less_often(kinds, ledgers, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("sweeps.worker.checkpoint.time.monotonic", lambda: now[0])
    saves = []
    checkpoint = Checkpoint(ledgers("a").storage, kinds[0], "cpu")
    checkpoint.seconds = 10.0

    def save(fit):
        saves.append(now[0])
        now[0] += 2.0  # a save takes two seconds
        checkpoint.saved_at, checkpoint.save_seconds = now[0], 2.0

    monkeypatch.setattr(checkpoint, "save", save)
    while now[0] < 200:
        checkpoint.save_if_due(None)
        now[0] += 1.0
    assert saves == [10, 52, 94, 136, 178]  # then every 40 s, of which 2 go into saving


@pytest.mark.slow
@pytest.mark.parametrize("placement", [["--inline"], ["--workers", "2"]], ids=" ".join)
def test_a_sweep_killed_repeatedly_ends_with_undisturbed_rows(tiny_file, tmp_path, placement):
    """The driver gets SIGKILL, SIGTERM and SIGINT in the middle of units; the same command then finishes them."""
    command = [sys.executable, "-m", "sweeps.run", str(tiny_file), "--set", "training.epochs=200"]
    command += ["--set", "training.checkpoint_seconds=0.2"]
    subprocess.run([*command, "--inline", "--results", str(tmp_path / "whole")], check=True, capture_output=True)
    hurt, whole = open_ledger(tmp_path / "hurt", "tiny"), open_ledger(tmp_path / "whole", "tiny")
    command += [*placement, "--results", str(tmp_path / "hurt")]
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for_a_new_checkpoint(process, tmp_path / "hurt" / "tiny" / "checkpoints")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == (-number if number == signal.SIGKILL else 75), (out, err)
        time.sleep(2)  # workers that lost their driver end within a second
    assert len(hurt.units()) < 6
    last = subprocess.run(command, capture_output=True, text=True)
    assert (last.returncode, last.stderr) == (0, "")
    assert rows_without_intervals(hurt) == rows_without_intervals(whole)
    assert max(row["resumed"] for row in hurt.read()[0]) >= 2
    assert temporary_files(hurt) == []
