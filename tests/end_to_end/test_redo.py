"""`--redo` and `--only` select the named units, and no result is lost before a new one takes its place."""

import inspect
import shlex
import signal
import subprocess
import sys

import pytest
from records import rows_of
from stand_ins import train_on_no_images

from sweeps.backends.base import train_unit
from sweeps.config import grid
from sweeps.ledger import redo
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.storage import StorageError
from sweeps.plan.patterns import ChoiceError, matching, select, select_one
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome
from sweeps.run.command import command as run_command
from sweeps.run.options import Options
from sweeps.run.train import Components
from sweeps.worker import run_unit


@pytest.fixture
def ledger(tmp_path):
    return open_ledger(tmp_path / "results", "tiny")


@pytest.fixture
def command(tiny_file, tmp_path):
    """Return the command in this process, with its options as keywords."""

    def run(run_unit=train_unit, **options):
        return run_command(
            str(tiny_file),
            [],
            Options(str(tmp_path / "results"), **{"inline": True} | options),
            Components(run_unit=run_unit),
        )

    return run


def finish_times(ledger):
    return {(r["key"], r["fold"]): r["finished_at"] for r in ledger.read()[0]}


def stop_after(units):
    """Return a function that trains `units` units, and then asks for a stop instead of training."""
    begun = []

    def train(unit, *rest):
        begun.append(unit)
        if len(begun) <= units:
            return train_unit(unit, *rest)
        signal.raise_signal(signal.SIGINT)
        return Outcome.STOPPED

    return train


class TestNames:
    def test_a_unit_has_several_names(self, tiny):
        """The name of its files, its label, patterns and parts of both select a unit, a row or several rows."""
        units = Plan(tiny, frozenset(), frozenset()).units
        first = units[0]
        for pattern in (first.name, "vqvae 1 none, fold 0", f"{first.key[:5]}*-fold0", f"{first.key[:6]}*0"):
            assert matching(units, pattern) == [first]
        for pattern in (first.key, "vqvae 1 none", "1 none", first.key[:8]):
            assert matching(units, pattern) == units[:2]
        assert matching(units, "fold1") == matching(units, "*-fold1") == units[1::2]
        assert len(matching(units, "vqvae")) == 4
        assert matching(units, "*") == units
        assert matching(units, "") == matching(units, "vqvae 2") == []

    def test_a_full_name_selects_one_unit(self, read_grid):
        """A unit's full name selects fold 1, and not fold 10 or 11, which begin with it."""
        g = read_grid("name: a\ndata.limit: 60\nfolds.n_splits: 12\ngrid: [{}]")
        units = Plan(g, frozenset(), frozenset()).units
        assert select_one(units, units[1].name, "--only") == units[1]

    def test_no_unit_and_several_are_refused(self, tiny):
        """Each refusal is one line, which suggests a similar name, --status, or one of the units that match."""
        units = Plan(tiny, frozenset(), frozenset()).units
        with pytest.raises(ChoiceError, match=r"--only vqvae 1 non, fold 9: no such unit; did you mean vqvae 1 none"):
            select_one(units, "vqvae 1 non, fold 9", "--only")
        with pytest.raises(ChoiceError, match=r"--redo zzz: no such unit; --status shows the rows"):
            select(units, "zzz", "--redo")
        with pytest.raises(
            ChoiceError, match=r"--only vqvae: 4 units match, name one: vqvae 1 none, fold 0 \("
        ) as refused:
            select_one(units, "vqvae", "--only")
        assert "\n" not in str(refused.value)


class TestOnly:
    def test_only_trains_one_unit(self, command, ledger, capsys):
        """`--only` trains one unit in this process; a second time there is nothing to train, and it ends with 0."""
        assert command(only="vqvae 1 none, fold 1", inline=False) == 0
        out = capsys.readouterr().out
        assert "[1/1] done: vqvae 1 none, fold 1" in out
        assert len(ledger.units()) == 1
        assert command(only="vqvae 1 none, fold 1", inline=False) == 0  # done: nothing to train
        assert "done:" not in capsys.readouterr().out
        assert len(ledger.keys()) == 3  # the ledger knows all rows of the grid

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"only": "vqvae"}, "4 units match"),
            ({"only": "nothing"}, "no such unit"),
            ({"only": "x", "workers": 2}, "leave out --workers and --address"),
            ({"only": "x", "address": "auto"}, "leave out --workers and --address"),
            ({"redo": "x", "status": True}, "leave out --redo and --only"),
            ({"redo": "nothing"}, "no such unit"),
            ({"redo": "gaussian_vae", "only": "vqvae 1 none, fold 0"}, "--redo gaussian_vae: no such unit"),
            ({"redo": "nothing", "dry_run": True}, "no such unit"),
        ],
    )
    def test_impossible_options_write_nothing(self, command, tmp_path, capsys, options, message):
        """Options that contradict each other or name no unit end with 2 and one line."""
        assert command(**options) == 2
        err = capsys.readouterr().err
        assert message in err
        assert len(err.splitlines()) == 1
        assert not (tmp_path / "results").exists()

    def test_a_failed_unit_waits_for_retry(self, command, ledger, tiny_file, capsys):
        """`--only` names a failed unit and ends with 1; only `--retry` trains it."""
        unit = Plan(grid.load(str(tiny_file), []), frozenset(), frozenset()).units[0]
        ledger.write_failed(unit, "no luck")
        assert command(only=unit.name) == 1
        assert "1 of 1 units failed; --retry" in capsys.readouterr().err
        assert command(only=unit.name, retry=True) == 0
        assert ledger.units() == {unit.id}

    @pytest.mark.slow
    def test_only_runs_under_the_debugger(self, tiny_file, tmp_path):
        """A breakpoint inside `run_unit` is reached under pdb."""
        arguments = [str(tiny_file), "--only", "vqvae 1 none, fold 0", "--results", str(tmp_path)]
        lines, start = inspect.getsourcelines(run_unit.run_unit)
        at = start + next(i for i, line in enumerate(lines) if "if should_stop()" in line)
        steps = [f"b {run_unit.__file__}:{at}", "c", "p 'here', unit.fold", "q"]
        commands = [part for step in steps for part in ("-c", step)]
        done = subprocess.run(
            [sys.executable, "-m", "pdb", *commands, "-m", "sweeps.run", *arguments], capture_output=True, text=True
        )
        assert "('here', 0)" in done.stdout, shlex.join(arguments) + done.stdout + done.stderr


class TestRedo:
    def test_redo_trains_only_the_named_units(self, command, ledger, capsys):
        """The named units are trained again to the same digits, as often as the command is given; others stay."""
        command()
        before, rows = finish_times(ledger), rows_of(ledger)
        capsys.readouterr()
        assert command(redo="vqvae 1 none", dry_run=True) == 0
        assert "6 units: 4 done, 0 failed, 2 to train" in capsys.readouterr().out
        assert finish_times(ledger) == before
        assert command(redo="vqvae 1 none") == 0
        assert capsys.readouterr().out.count("] done: vqvae 1 none") == 2
        changed = {id_ for id_, at in finish_times(ledger).items() if at != before[id_]}
        assert len(changed) == 2
        assert rows_of(ledger) == rows
        assert ledger.storage.names("redo") == []
        assert command(redo="vqvae 1 none") == 0  # the first redo is complete, so this begins another
        assert capsys.readouterr().out.count("] done: ") == 2
        assert command() == 0
        assert "] done: " not in capsys.readouterr().out

    def test_a_stopped_redo_resumes(self, command, ledger, capsys):
        """After a stop the same command trains the rest, and no result is lost meanwhile."""
        command()
        before = finish_times(ledger)
        capsys.readouterr()
        assert command(stop_after(1), redo="*fold*") == 75
        captured = capsys.readouterr()
        assert captured.out.count("] done: ") == 1
        assert "1 of 6 units done; the same command resumes the sweep" in captured.err
        assert len(ledger.storage.names("units")) == 6  # no result was touched
        assert len(finish_times(ledger)) == len(ledger.units()) == 1
        assert command(redo="*fold*", dry_run=True) == 0
        assert "6 units: 1 done, 0 failed, 5 to train" in capsys.readouterr().out
        assert command(redo="*fold*") == 0
        assert capsys.readouterr().out.count("] done: ") == 5
        assert not set(before.items()) & set(finish_times(ledger).items())

    def test_a_run_completes_a_stopped_redo(self, command, ledger, capsys):
        """A wider pattern adds its units to a stopped redo, and a run without `--redo` trains all of them."""
        command()
        assert command(stop_after(0), redo="vqvae 1 none, fold 0") == 75
        assert command(stop_after(0), redo="vqvae 1 none") == 75
        assert len(ledger.storage.names("redo")) == 2
        capsys.readouterr()
        assert command() == 0
        assert capsys.readouterr().out.count("] done: ") == 2

    def test_removing_marks_brings_old_results_back(self, command, ledger):
        """Without the files of `redo/`, the old results count again."""
        command()
        before = finish_times(ledger)
        command(stop_after(0), redo="vqvae")
        assert len(ledger.units()) == 2
        for name in ledger.storage.names("redo"):
            ledger.storage.remove(f"redo/{name}")
        assert finish_times(ledger) == before
        assert command() == 0

    def test_redo_of_a_compacted_unit(self, command, ledger, capsys):
        """The new result is a file of its own, which is read instead of the compacted one."""
        command()
        compact(ledger)
        before = finish_times(ledger)
        capsys.readouterr()
        assert command(redo="vqvae 1 none, fold 0", only="vqvae 1 none, fold 0") == 0
        assert capsys.readouterr().out.count("] done: ") == 1
        assert len(ledger.storage.names("units")) == 1
        changed = {id_ for id_, at in finish_times(ledger).items() if at != before[id_]}
        assert len(changed) == 1
        assert len(ledger.units()) == 6

    def test_compaction_during_a_redo_keeps_old_results(self, command, ledger, capsys):
        """After the ledger was compacted, removing the marks still brings the old results back."""
        command()
        before = finish_times(ledger)
        command(stop_after(0), redo="vqvae")
        compact(ledger)
        assert len(ledger.units()) == 2
        for name in ledger.storage.names("redo"):
            ledger.storage.remove(f"redo/{name}")
        assert finish_times(ledger) == before

    def test_redo_ignores_old_checkpoints_and_failures(self, command, ledger, tiny_file):
        """A redone unit starts from the beginning, and an earlier failure of it is removed."""
        command()
        unit = Plan(grid.load(str(tiny_file), []), frozenset(), frozenset()).units[0]
        ledger.storage.write(f"checkpoints/{unit.name}.pt", b"left by a kill")
        ledger.write_failed(unit, "another driver's")
        assert command(redo=unit.name) == 0
        assert ledger.units("failed") == frozenset()
        assert "starts over" not in ledger.storage.read(f"logs/{unit.name}.log").decode()
        (row,) = [r for r in ledger.read()[0] if (r["key"], r["fold"]) == unit.id]
        assert row["resumed"] == 0

    def test_a_failed_redo_keeps_the_old_file(self, command, ledger, capsys):
        """The unit counts as failed until `--retry`, and its old file stays on disk."""
        command()
        name = "vqvae 1 none, fold 0"
        assert command(train_on_no_images, redo=name) == 1
        assert len(ledger.storage.names("units")) == 6
        assert "1/2" in capsys.readouterr().out  # the table shows the missing fold
        assert command(redo=name) == 1  # a failed unit is not redone
        assert command(redo=name, retry=True) == 0
        assert len(ledger.units()) == 6
        assert ledger.units("failed") == frozenset()

    def test_a_kill_during_marking_omits_no_unit(self, command, ledger, monkeypatch, capsys):
        """After an error at the second mark, the same command marks and trains all units."""
        command()
        capsys.readouterr()
        real = type(ledger.storage).write

        def write(self, name, data):
            if name.startswith("redo/") and name != redo.MARKING and self.names("redo") != ["asking"]:
                raise StorageError("the second mark")
            real(self, name, data)

        with monkeypatch.context() as patch:
            patch.setattr(type(ledger.storage), "write", write)
            assert command(redo="*") == 2
        assert len(ledger.storage.names("redo")) == 2
        assert command(redo="*") == 0
        assert capsys.readouterr().out.count("] done: ") == 6
