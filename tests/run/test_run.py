"""The command as users see it: what it prints, its exit codes, and the files it writes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sweeps.backends.base import train_unit
from sweeps.backends.stop import Stop
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.temporary import temporary_name
from sweeps.run.command import command as run_command
from sweeps.run.options import Options
from sweeps.run.train import Components

LONG = "  - {family: gaussian_vae, method: multi_decoder, soft_adapt: true, training.lr: [1.234567e-6, 1.2345674e-6]}\n"
SWEEPS = [sys.executable, "-m", "sweeps.run"]


def command(file, results, *arguments):
    """Run the command in this process, inline, with flags and overrides."""
    flags = {a[2:].replace("-", "_"): True for a in arguments if a.startswith("--")}
    overrides = [a for a in arguments if not a.startswith("--")]
    return run_command(str(file), overrides, Options(str(results), inline=True, **flags))


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def test_a_widened_grid_trains_only_new_units(tiny_file, results, capsys):
    assert command(tiny_file, results) == 0
    first = capsys.readouterr()
    assert first.err == ""
    assert first.out.count("done:") == 6
    assert "2/2" in first.out
    assert command(tiny_file, results) == 0
    assert "done:" not in capsys.readouterr().out
    tiny_file.write_text(tiny_file.read_text() + "  - {family: gaussian_vae, method: none}\n")
    assert command(tiny_file, results) == 0
    assert capsys.readouterr().out.count("done: gaussian_vae 1 none") == 2
    ledger = open_ledger(results, "tiny")
    assert len(ledger.units()) == 8
    assert ledger.storage.names("") == ["grid-1.yaml", "grid.yaml", "rows.parquet"]


def test_dry_run_says_the_cost_without_data(tmp_path, results, capsys):
    """It writes nothing."""
    file = tmp_path / "mnist.yaml"
    file.write_text("name: m\ndata: {dataset: mnist, root: /nowhere}\ngrid: [{method: [none, multi_decoder]}]")
    assert command(file, results, "--dry-run") == 0
    out = capsys.readouterr().out
    for expected in (
        "2 configurations",
        "10 units: 0 done, 0 failed, 10 to train",
        "43,200,000 images to train",
        "111,249 parameters",
        "memory: about",
        "disk: about",
        "hours unknown",
        "training.lr: 0.001",
        "data.limit: null",
        "loss.w2: 1 where it applies",
    ):
        assert expected in out
    assert not results.exists()


def test_dry_run_knows_hours_of_measured_configurations(tiny_file, results, capsys):
    command(tiny_file, results)
    capsys.readouterr()
    tiny_file.write_text(tiny_file.read_text() + "  - {family: gaussian_vae, method: none}\n")
    command(tiny_file, results, "--dry-run")
    assert "hours unknown" in capsys.readouterr().out
    unit = open_ledger(results, "tiny").storage
    unit.remove(f"units/{unit.names('units')[0]}")
    command(tiny_file, results, "--dry-run")
    assert "for 1 units on 1 workers; hours unknown for 2 units" in capsys.readouterr().out


def test_status_counts_units_and_exits_0(tiny_file, results, capsys):
    assert command(tiny_file, results, "--status") == 0
    assert not results.exists()
    command(tiny_file, results)
    assert command(tiny_file, results, "--status") == 0
    assert "sweep tiny: 6 of 6 units done" in capsys.readouterr().out


def test_status_is_one_line_a_row(tiny_file, results):
    """Without a terminal no line is folded, whatever COLUMNS says."""
    tiny_file.write_text(tiny_file.read_text().replace("60}", "60, root: /a/very/long/path}") + LONG)
    where = ["--status", "--results", str(results)]
    done = subprocess.run(
        [*SWEEPS, str(tiny_file), *where], capture_output=True, text=True, env=os.environ | {"COLUMNS": "20"}
    )
    assert done.returncode == 0
    head, *lines = done.stdout.splitlines()
    assert head == "sweep tiny: 0 of 10 units done"
    columns = [line.split("  ") for line in lines]
    assert [len(key) for key, _, _ in columns] == [12] * 5
    assert {done for _, done, _ in columns} == {"0/2"}
    assert columns[0][2] == "vqvae 1 none, training.lr 0.001"
    assert columns[4][2] == "gaussian_vae 1 multi_decoder, uniform, SoftAdapt, training.lr 1.2345674e-06"


def test_bad_input_is_told_before_anything_is_written(tmp_path, results, capsys):
    file = tmp_path / "bad.yaml"
    file.write_text("name: b\nsed: 1\ngrid: [{method: none, exponent: 3}]")
    assert command(file, results, "training.epochs=x") == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 3
    assert captured.out == ""
    assert not results.exists()


def test_missing_data_is_told_before_anything_is_written(tmp_path, results, capsys):
    file = tmp_path / "mnist.yaml"
    file.write_text(f"name: m\ndata: {{dataset: mnist, root: {tmp_path}}}\ngrid: [{{}}]")
    assert command(file, results) == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "mnist: no MNIST/raw/train-images-idx3-ubyte, MNIST/raw/train-labels-idx1-ubyte, " in err
    assert f"in {tmp_path}; put the published files there, or set data.root (now {tmp_path})" in err
    assert not results.exists()


def test_failed_units_are_retried_only_on_request(tiny_file, results, capsys):
    broken = ["training.lr=1e+30", "training.epochs=30"]
    assert command(tiny_file, results, *broken) == 1
    captured = capsys.readouterr()
    failed = len(open_ledger(results, "tiny").units("failed"))
    assert failed >= 4
    lines = [line for line in captured.out.splitlines() if "] failed: " in line]
    assert len(lines) == failed and all("a loss is not finite in epoch" in line and "log: " in line for line in lines)
    assert "failed: " not in captured.err  # each is named once
    assert "--retry trains them again" in captured.err
    assert command(tiny_file, results, *broken) == 1
    again = capsys.readouterr()
    assert "] failed: " not in again.out  # not trained again by itself
    assert again.err.count("failed: ") == failed and again.err.count("a loss is not finite") == failed
    assert command(tiny_file, results, *broken, "--retry") == 1
    assert capsys.readouterr().out.count("] failed: ") == failed


def test_a_stopped_retry_is_stopped_not_failed(tiny_file, results, capsys, monkeypatch):
    broken = ["training.lr=1e+30", "training.epochs=30"]
    assert command(tiny_file, results, *broken) == 1
    monkeypatch.setattr(Stop, "requested", True)
    assert command(tiny_file, results, *broken, "--retry") == 75
    assert "the same command resumes the sweep" in capsys.readouterr().err


def test_a_damaged_unit_is_trained_again(tiny_file, results, capsys):
    """Its file is named and kept beside."""
    command(tiny_file, results)
    storage = open_ledger(results, "tiny").storage
    name = storage.names("units")[0]
    storage.write(f"units/{name}", b"PAR1")
    capsys.readouterr()
    assert command(tiny_file, results) == 0
    out = capsys.readouterr().out
    assert f"units/{name}: damaged" in out
    assert out.count("done:") == 1
    assert f"{name}.damaged" in storage.names("units")


def test_an_unwritable_results_folder_is_one_line(tiny_file, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert command(tiny_file, tmp_path / "file") == 2
    assert "cannot write" in capsys.readouterr().err


def test_mnist_on_real_files(shared_data, tmp_path, results, capsys):
    file = tmp_path / "mnist.yaml"
    file.write_text(f"""
        name: m
        data: {{dataset: mnist, root: {shared_data}, limit: 300}}
        folds: {{n_splits: 2}}
        training: {{epochs: 1}}
        grid: [{{method: single_decoder}}]
    """)
    assert command(file, results) == 0
    rows, _ = open_ledger(results, "m").read()
    assert {row["condition_pixels"] > 5 for row in rows} == {True}


def test_the_command_line_itself(tmp_path):
    """Help, a wrong option, a wrong value and a missing grid print no traceback."""
    for arguments, code, expected in [
        (["--help"], 0, "Exit codes"),
        (["grid_quick.yaml", "--worker", "2"], 2, "No such option"),
        (["grid_quick.yaml", "--workers", "0"], 2, "Invalid value"),
        (["nowhere.yaml"], 2, "no such file"),
    ]:
        done = subprocess.run([*SWEEPS, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == code
        assert expected in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_inline_run_says_how_to_resume(tiny_file, results, number):
    arguments = [str(tiny_file), "--inline", "--results", str(results), "--set", "training.epochs=100000"]
    process = subprocess.Popen(
        [*SWEEPS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ.copy()
    )
    deadline = time.monotonic() + 60
    while not (results / "tiny" / "grid.yaml").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)  # into the training
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 75
    assert "0 of 6 units done, 1 running unit saved; the same command resumes the sweep: python -m sweeps.run" in err
    assert "Traceback" not in err


def test_a_finished_run_leaves_no_temporary_file(tiny_file, results):
    """A worker that died while it wrote a checkpoint left its temporary file behind."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    name = temporary_name("checkpoints/a-fold0.pt").replace(f"-{os.getpid()}-", f"-{dead.pid}-")

    def run_unit(unit, loaded, context, on_progress, should_stop):
        context.ledger.storage.write(name, b"half")
        return train_unit(unit, loaded, context, on_progress, should_stop)

    assert run_command(str(tiny_file), [], Options(str(results), inline=True), Components(run_unit=run_unit)) == 0
    assert open_ledger(results, "tiny").storage.names("checkpoints") == []
