"""The console script: shell completion, the version, defaults from the environment, the list of settings."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import mtvae
from mtvae_sweeps import name_clash
from sweeps.config.settings import FIELDS
from sweeps.report.__main__ import main as report_main
from sweeps.run.__main__ import main
from sweeps.run.completion import complete_grid, complete_setting
from sweeps.run.console import app as console

app, report_app = typer.Typer(), typer.Typer()
app.command()(main)
report_app.command()(report_main)


def invoke(of, *arguments, **environment):
    return CliRunner().invoke(of, list(arguments), env=environment)


@pytest.mark.parametrize("arguments", [["--version"], ["run", "--version"], ["report", "--version"]])
def test_every_command_has_a_version(arguments):
    result = invoke(console, *arguments)
    assert (result.exit_code, result.stdout) == (0, f"mtvae-sweeps {mtvae.__version__}\n")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mtvae-sweeps re", ["report"]),
        ("mtvae-sweeps run qu", ["quick"]),
        ("mtvae-sweeps run mi", ["mine.yaml", "mine/"]),
        ("mtvae-sweeps run quick --set training.l", ["training.lr="]),
        ("mtvae-sweeps run quick --work", ["--workers"]),
    ],
)
def test_bash_completes(words, expected, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine.yaml").touch()
    (tmp_path / "mine.txt").touch()
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_MTVAE_SWEEPS_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "mtvae_sweeps"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | asked,
    )
    assert (sorted(done.stdout.split()), done.stderr) == (expected, "")


def test_completion_of_paths(tmp_path):
    (tmp_path / "a" / "b.yaml").parent.mkdir()
    (tmp_path / "a" / "b.yaml").touch()
    assert complete_grid(f"{tmp_path}/a") == [f"{tmp_path}/a/"]
    assert complete_grid(f"{tmp_path}/a/") == [f"{tmp_path}/a/b.yaml"]
    assert complete_grid("/no/such/folder/x") == []
    assert complete_setting("") == [f"{path}=" for path in FIELDS]


def test_results_may_come_from_the_environment(tiny_file, tmp_path):
    """The option wins over the variable."""
    mine, other = str(tmp_path / "mine"), str(tmp_path / "other")
    shown = invoke(app, str(tiny_file), "--dry-run", MTVAE_SWEEPS_RESULTS=mine).stdout
    assert shown.startswith(f"sweep tiny in {mine}/tiny\n")
    shown = invoke(app, str(tiny_file), "--dry-run", "--results", other, MTVAE_SWEEPS_RESULTS=mine).stdout
    assert shown.startswith(f"sweep tiny in {other}/tiny\n")
    assert invoke(report_app, MTVAE_SWEEPS_RESULTS=mine).stderr == f"{mine}: no sweep here\n"


def test_workers_may_come_from_the_environment(tiny_file, tmp_path):
    """A command without workers ignores the variable, but not the option."""
    arguments = [str(tiny_file), "--dry-run", "--results", str(tmp_path)]
    shown = invoke(app, *arguments, MTVAE_SWEEPS_WORKERS="7").stdout
    assert "in the largest worker; 7 at a time\n" in shown
    one = [*arguments, "--only", "vqvae 1 none, fold 0"]
    assert invoke(app, *one, MTVAE_SWEEPS_WORKERS="7").exit_code == 0
    assert invoke(app, *one, "--workers", "7").exit_code == 2
    wrong = invoke(app, *arguments, MTVAE_SWEEPS_WORKERS="many")
    assert wrong.exit_code == 2 and "MTVAE_SWEEPS_WORKERS" in wrong.stderr


def test_settings_are_listed_without_a_grid():
    everything = invoke(app, "--settings")
    assert everything.exit_code == 0
    assert [line for line in everything.stdout.splitlines() if not line.startswith(" ")] == list(FIELDS)
    assert max(map(len, everything.stdout.splitlines())) <= 80
    assert invoke(app, "--settings", "training.lr").stdout.splitlines() == [
        "training.lr",
        "    a number above 0; default 0.001",
        "    AdamW's learning rate",
    ]


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("augment", "--settings augment: no such setting: images are not augmented\n"),
        ("nonsense", "--settings nonsense: no such setting\n"),
        ("trainig.lr", "--settings trainig.lr: no such setting; did you mean training.lr?\n"),
    ],
)
def test_a_pattern_without_a_setting(pattern, line):
    result = invoke(app, "--settings", pattern)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


def test_a_grid_is_needed_otherwise():
    result = invoke(app)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("GRID is missing: name a grid file, or a shipped one such as quick")


@pytest.mark.parametrize(
    ("installed", "clash"),
    [([], False), (["sweeps"], False), (["mtvae-sweeps"], False), (["mtvae-sweeps", "sweeps"], True)],
)
def test_a_clash_needs_two_owners(installed, clash):
    """A checkout that is not installed is no owner: nothing overwrites its files."""
    assert bool(name_clash(installed)) == clash


@pytest.mark.parametrize("arguments", ["run --settings", "run --help", "report --help", "run quick --dry-run"])
@pytest.mark.parametrize("lines", [0, 1])
def test_a_reader_that_wants_no_more_is_no_failure(arguments, lines, tmp_path):
    """The exit code 1 would mean that units failed."""
    line = f"{sys.executable} -m mtvae_sweeps {arguments} | head -{lines}"
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert (done.returncode, done.stderr) == (0, "")
