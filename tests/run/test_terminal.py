"""What the command prints of a sweep: at its end, of its status, quietly, and when it is stopped."""

import json
import re
import signal

import pytest

from sweeps.backends.base import train_unit
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.running import RunningFile, running_units
from sweeps.ledger.temporary import temporary_name
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components

SCORES = r"  unconditioned \d+\.\d+  (conditioned \d+\.\d+  )?latent loss \d+\.\d+"


@pytest.fixture
def run(tiny_file, tmp_path, capsys):
    """Return a function of options that returns the exit code and what was printed."""

    def run(components=Components(), overrides=(), **options):  # noqa: B008 - frozen
        options = Options(str(tmp_path / "results"), **{"inline": True} | options)
        code = command(str(tiny_file), list(overrides), options, components)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path / "results", "tiny")


@pytest.fixture
def keep_handlers():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_end_names_results_and_next_command(run, tmp_path, ledger):
    """A complete sweep says that there is nothing to do."""
    where = tmp_path / "results"
    code, out, err = run()
    assert (code, err) == (0, "")
    counts, place, following = out.splitlines()[-3:]
    assert counts.startswith("6 of 6 done; this run took ")
    assert place == f"results: {where / 'tiny'}"
    assert following == f"next: python -m sweeps.report tiny --results {where} --write"
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.splitlines()[-3] == "6 of 6 done, nothing to do"


def test_a_unit_is_a_line_with_scores(run):
    _, out, _ = run()
    start, *lines = out.splitlines()[:7]
    assert start == "tiny: 6 units to train; reading the images of digits"
    for i, line in enumerate(lines, 1):
        assert line.startswith(f"[{i}/6] done: ")
        assert re.search(rf"-fold\d\){SCORES}(  about \d+ (s|min) left)?$", line), line


def test_quiet_prints_nothing_of_success(run):
    assert run(quiet=True) == (0, "", "")
    code, out, err = run(quiet=True, overrides=["training.lr=1e+30", "training.epochs=30"])
    assert code == 1
    assert out and all("] failed: " in line for line in out.splitlines())
    assert err.splitlines()[-1].endswith("--retry trains them again")


def test_options_that_exclude_each_other(run):
    for options in (
        {"quiet": True, "verbose": True},
        *({"status": True, o: True} for o in ("retry", "dry_run", "probe")),
    ):
        code, out, err = run(**options)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "leave out" in err


def test_a_status_shows_scores_and_what_runs(run, ledger):
    """Scores are means over the done folds and stand two spaces after the label."""
    run(overrides=["training.epochs=1"])
    units = ledger.storage.names("units")
    ledger.storage.remove(f"units/{units[0]}")
    lost = units[0].removesuffix(".parquet")
    running = RunningFile(ledger.storage)
    running.note({lost: 0.25})
    code, out, err = run(overrides=["training.epochs=1"], status=True)
    head, *lines = out.splitlines()
    assert (code, head) == (0, "sweep tiny: 5 of 6 units done, 1 running")
    assert all(re.match(rf"[0-9a-f]{{12}}  \d/2  [^ ].*?{SCORES}", line) for line in lines)
    (line,) = [line for line in lines if line.startswith(lost.partition("-")[0])]
    assert line.endswith(f"  running: fold {lost[-1]} 25%")
    assert err == "5 of 6 units done; another command runs the sweep\n"  # and no command that would do nothing
    running.remove()
    assert "the same command resumes the sweep" in run(overrides=["training.epochs=1"], status=True)[2]


def test_a_status_agrees_with_the_report_on_damage(run, ledger, tmp_path):
    run()
    name = ledger.storage.names("units")[0]
    ledger.storage.write(f"units/{name}", b"PAR1")
    code, out, err = run(status=True)
    assert code == 0
    assert "sweep tiny: 5 of 6 units done" in out
    (line,) = [line for line in out.splitlines() if line.startswith("not read: ")]
    assert line in report(str(tmp_path / "results"), "tiny", ReportRequest()).splitlines()
    assert "resumes the sweep" in err
    assert run()[1].count("] done: ") == 1
    code, out, err = run(status=True)
    assert "6 of 6 units done" in out and "not read" not in out and err == ""


def test_a_start_is_noted_at_once(ledger):
    """The parts that are trained are noted every few seconds only."""
    running, names = RunningFile(ledger.storage), ["0123456789ab-fold0", "0123456789ab-fold1"]
    for parts, noted in [((), 0), ((0.0,), 0), ((0.0, 0.0), 0), ((0.5, 0.5), 0), ((0.5,), 0.5)]:
        running.note(dict(zip(names, parts, strict=False)))
        assert running_units(ledger.storage) == {("0123456789ab", i): noted for i in range(len(parts))}
    running.remove()
    assert running_units(ledger.storage) is None


def test_a_killed_command_runs_nothing(ledger):
    """Its file is left behind, and the process that wrote it is gone. Another program's file is ignored too."""
    name = temporary_name("running")
    host = name.removeprefix("running.").rpartition("-")[0].rpartition("-")[0]
    content = json.dumps({"at": 2e9, "units": {"0123456789ab-fold0": 0.5}}).encode()
    ledger.storage.write(f"running.{host}-999999999-ab.tmp", content)
    ledger.storage.write("running.elsewhere-1-ab.tmp", b"[1]")
    assert running_units(ledger.storage) is None
    ledger.storage.write("running.elsewhere-2-ab.tmp", content)
    assert running_units(ledger.storage) == {("0123456789ab", 0): 0.5}


def test_a_stop_says_what_it_saved(run, ledger, keep_handlers):
    """Ctrl-C in the first unit: its checkpoint is counted as saved, and the same command resumes."""

    def stop_after_a_step(unit, loaded, context, on_progress, should_stop):
        def interrupt(images, losses):
            if images:
                signal.raise_signal(signal.SIGINT)

        return train_unit(unit, loaded, context, interrupt, should_stop)

    code, out, err = run(Components(run_unit=stop_after_a_step))
    assert code == 75
    assert "stopping: saving 1 running unit; Ctrl-C again stops at once and saves nothing\n" in out
    assert "0 of 6 done; this run took " in out
    assert "0 of 6 units done, 1 running unit saved; the same command resumes the sweep: " in err
    assert ledger.storage.names("checkpoints") != []


@pytest.mark.parametrize("width", [30, 60, 80])
def test_status_and_end_fit_the_terminal(run, ledger, monkeypatch, width):
    for module in ("command", "ending"):
        monkeypatch.setattr(f"sweeps.run.{module}.terminal_width", lambda stream=None: width)
    run()
    for options in ({}, {"status": True}, {"dry_run": True}):
        _, out, _ = run(**options)
        lines = [line for line in out.splitlines() if not line.startswith(("results: ", "next: "))]
        assert max(map(len, lines)) <= width
    ledger.storage.remove(f"units/{ledger.storage.names('units')[0]}")
    monkeypatch.setattr("sys.argv", ["sweeps.run", "a_grid.yaml", "--status", "--set", "training.epochs=3"])
    text, command_line = run(status=True)[2].rsplit("\n", 2)[:2]
    assert max(map(len, text.split("\n"))) <= width
    assert command_line == "python -m sweeps.run a_grid.yaml --set training.epochs=3"
