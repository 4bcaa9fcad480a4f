"""A sweep whose output is not or cannot be read runs to its end, with the right exit code."""

import os
import subprocess
import sys
import threading

import pytest

from sweeps import output
from sweeps.backends.progress import Progress
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.unit import Outcome
from sweeps.run.command import command
from sweeps.run.options import Options

RUN, REPORT = (f"{sys.executable} -m {module}" for module in ("sweeps.run", "sweeps.report"))


SMALL = """
name: small
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
grid: [{family: gaussian_vae, configuration: 1}]
"""


@pytest.fixture
def small_file(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    return tmp_path / "small.yaml"


def shell(line, **environment):
    """Run a line in bash, with pipefail."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, env=os.environ | environment
    )


@pytest.mark.parametrize(
    ("into", "stderr"),
    [
        ("| head -1", ""),
        (">/dev/full", "not all output could be written: No space left on device\n"),
        (">&- 2>&-", ""),
    ],
)
def test_a_sweep_ends_whatever_becomes_of_its_output(small_file, tmp_path, into, stderr):
    done = shell(f"{RUN} {small_file} --inline --results {tmp_path} {into}")
    assert (done.returncode, done.stderr) == (0, stderr)
    assert len(open_ledger(tmp_path, "small").units()) == 2
    assert len(done.stdout.splitlines()) == (1 if "head" in into else 0)


def test_a_lost_table_leaves_the_exit_code(small_file, tmp_path):
    """The exit code of a run is 1 if units failed; that of a status is 0."""
    assert shell(f"{RUN} {small_file} --status --results {tmp_path} >/dev/full").returncode == 0
    broken = "--inline --set training.batch_size=8 --set training.lr=1e+30 --set training.epochs=30"
    done = shell(f"{RUN} {small_file} {broken} --results {tmp_path} | head -0")
    assert done.returncode == 1
    assert "--retry trains them again" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_ascii_terminal_shows_other_characters(small_file, tmp_path):
    done = shell(f"{RUN} {small_file} --inline --results {tmp_path}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert " +/- " in done.stdout


@pytest.fixture
def results(small_file, tmp_path, capsys):
    assert command(str(small_file), [], Options(str(tmp_path), inline=True)) == 0
    return tmp_path


def test_a_report_says_what_could_not_be_written(results):
    lost = "not all output could be written: No space left on device\n"
    for arguments, code, stderr in [
        ("| head -1", 0, ""),
        ("--format csv | head -0", 0, ""),
        (">/dev/full", 2, lost),
        (">&-", 0, ""),
        ("--format json >/dev/full 2>&-", 2, ""),
        (f"--export {results}/x.csv >/dev/full", 2, lost),
    ]:
        done = shell(f"{REPORT} small --results {results} {arguments}")
        assert (done.returncode, done.stderr) == (code, stderr), arguments
    assert (results / "x.csv").exists()
    done = shell(f"{REPORT} nothing --results {results} 2>&-")
    assert (done.returncode, done.stdout) == (2, "")  # not on stdout instead


def test_a_full_pipe_is_waited_for(monkeypatch):
    """Some programs start a command with a pipe that does not block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    stream = output._guarded(writing, sys.__stdout__)
    got = bytearray()

    def read():
        while part := os.read(reading, 2**16):
            got.extend(part)

    reader = threading.Thread(target=read)
    threading.Timer(0.3, reader.start).start()
    stream.write("x" * 2**20)
    stream.flush()
    os.close(writing)
    reader.join(10)
    assert len(got) == 2**20


def test_characters_that_an_encoding_lacks_are_replaced(tmp_path):
    code = "from sweeps import output; output.guard(); print('1 ± 2 ● ü \\udcff')"
    for encoding, expected in [
        ("ascii", b"1 +/- 2 * \\xfc \\udcff\n"),
        ("latin-1", b"1 \xb1 2 * \xfc \\udcff\n"),
        ("utf-8", "1 ± 2 ● ü \\udcff\n".encode()),
    ]:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONIOENCODING": encoding}
        )
        assert (done.stdout, done.stderr) == (expected, b"")


def test_a_closed_stream_keeps_its_number(tmp_path):
    """The next opened file would else get the number, and what a library prints would go into that file."""
    code = f"from sweeps import output; output.guard(); print(open({str(tmp_path / 'f')!r}, 'w').fileno() > 2)"
    assert shell(f'{sys.executable} -c "{code}" <&- 2>&-').stdout == "True\n"


def test_a_table_that_cannot_be_drawn_decides_nothing(plan, monkeypatch, capsys):
    def mark(self, unit):
        raise RuntimeError("no\nmark")

    monkeypatch.setattr(Progress, "mark", mark)
    with Progress(plan, plan.units, terminal=True) as progress:
        progress.started(plan.units[0])
        progress.say(["a line"])
        progress.finished(plan.units[0], Outcome.DONE)
        assert str(progress.render()) == "tiny: no table: RuntimeError: no mark"
    out = capsys.readouterr().out
    assert "a line" in out
