"""A plugged-in stage, written in one file, runs through the commands: keys, plan, kept models, table."""

import json

import pytest
import toy_stage
from rich.console import Console

from sweeps.backends.progress import Progress
from sweeps.config import grid
from sweeps.config.stages import STAGES
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.patterns import matching
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import shard
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components

GRID = """
name: probed
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 1, batch_size: 16}
grid:
  - {family: autoencoder, keep_models: all}
  - {family: autoencoder, configuration: 2}
"""


@pytest.fixture(autouse=True)
def probe():
    """Declare the stage `probe` as long as a test lasts, and return its module."""
    with STAGES.temporarily(toy_stage.STAGE):
        yield toy_stage


@pytest.fixture
def sweep(tmp_path):
    """Return the command on this grid and a folder of results, with its options as keywords."""
    (tmp_path / "probed.yaml").write_text(GRID)
    return lambda **options: command(
        str(tmp_path / "probed.yaml"), [], Options(str(tmp_path / "results"), **{"inline": True} | options)
    )


def table(tmp_path):
    """Return the records of the table, by configuration."""
    rows = json.loads(report(str(tmp_path / "results"), "probed", ReportRequest(format="json")))[0]["rows"]
    return {row["configuration"]: row for row in rows}


def test_a_later_stage_reaches_the_table(sweep, tmp_path, capsys):
    assert sweep() == 0
    shown = capsys.readouterr().out
    assert "positive share" in shown
    line = next(line for line in shown.splitlines() if "probe, fold 1" in line)  # its label and key are copied below
    assert sweep(only=line.split("done: ")[1].split(", about")[0]) == 0
    assert len(open_ledger(tmp_path / "results", "probed").units()) == 6  # two folds of two trainings and one probe
    rows = table(tmp_path)
    assert 0 < rows[1]["positive_share_mean"] < 1 and rows[1]["folds"] == 2
    assert rows[2]["positive_share_mean"] is None
    assert sweep(status=True) == 0
    assert "6 of 6 units done" in capsys.readouterr().out


def test_a_stage_added_to_a_finished_sweep(sweep, tmp_path, probe, capsys):
    """Only the units of the new stage are run; the trainings stay done."""
    with STAGES.temporarily(probe.NOTHING):
        assert sweep() == 0
    ledger = open_ledger(tmp_path / "results", "probed")
    stamps = {name: ledger.storage.stamp(f"units/{name}") for name in ledger.storage.names("units")}
    assert len(stamps) == 4
    capsys.readouterr()
    assert sweep() == 0
    assert "[2/2] done" in capsys.readouterr().out
    assert {name: ledger.storage.stamp(f"units/{name}") for name in stamps} == stamps
    assert len(ledger.units()) == 6


def test_a_failed_training_blocks_its_probe(sweep, tmp_path, capsys):
    """The command says that the probe is blocked and ends with 1; the probe of the other fold is done."""
    from sweeps.backends.base import train_unit

    def fail_one(unit, loaded, context, on_progress, should_stop):
        def fail(images, losses):
            if unit.stage == "training" and unit.settings.configuration == 1 and unit.fold == 0:
                raise ValueError("made to fail")

        return train_unit(unit, loaded, context, fail, should_stop)

    options = Options(str(tmp_path / "results"), inline=True)
    assert command(str(tmp_path / "probed.yaml"), [], options, Components(run_unit=fail_one)) == 1
    error = capsys.readouterr().err
    assert "1 of 6 units failed" in error and "1 of 6 units are blocked" in error
    sweep(status=True)
    status = capsys.readouterr().out
    assert "1/2 (1 failed)" in status and "1/2 (1 blocked)" in status
    assert open_ledger(tmp_path / "results", "probed").units() >= {
        unit.id for unit in plan(tmp_path).units if unit.fold == 1
    }
    assert sweep(retry=True) == 0
    assert table(tmp_path)[1]["positive_share_mean"] is not None


def test_a_failed_probe_fails_its_row(sweep, tmp_path, capsys):
    """A probe without its kept model fails with one line that names the stage; the training's numbers stay."""
    assert sweep() == 0
    ledger = open_ledger(tmp_path / "results", "probed")
    probes = [unit for unit in plan(tmp_path).units if unit.stage == "probe"]
    ledger.storage.remove(f"models/{probes[0].requires[0][0]}-fold0.safetensors")
    capsys.readouterr()
    assert sweep(redo=probes[0].name) == 1
    shown = capsys.readouterr().out
    assert "probe: FileNotFoundError" in shown and "2/2 (1 failed)" in shown


@pytest.mark.parametrize("with_fold", [False, True])
def test_a_copied_label_names_its_stage(sweep, tmp_path, capsys, with_fold):
    """The status prints the label of a later stage, which --redo takes with or without the fold, and in part."""
    assert sweep() == 0
    capsys.readouterr()
    assert sweep(status=True) == 0
    label = next(line.split("  ")[2] for line in capsys.readouterr().out.splitlines() if ", probe" in line)
    own = [unit for unit in plan(tmp_path).units if unit.stage == "probe"]
    assert matching(plan(tmp_path).units, f"{label}, fold 1" if with_fold else label) == own[int(with_fold) :]
    assert matching(plan(tmp_path).units, "probe") == own
    assert matching(plan(tmp_path).units, label.removesuffix(", probe")) != own


def test_a_models_redo_marks_its_probe(sweep, tmp_path, capsys):
    assert sweep() == 0
    (training, *_) = plan(tmp_path).units
    capsys.readouterr()
    assert sweep(redo=training.name) == 0
    assert "[2/2] done" in capsys.readouterr().out


def test_a_probe_is_in_its_models_shard(tmp_path, sweep):
    units = plan(tmp_path).units
    for part in [shard(units, i, 3) for i in (1, 2, 3)]:
        ids = {unit.id for unit in part}
        assert all(parent in ids for unit in part for parent in unit.requires)


def test_a_probes_key_is_its_own(tmp_path, sweep, probe):
    """The two probes share a key that no training has, and the trainings' keys are the same without the probe."""
    units = plan(tmp_path).units
    probes = [unit for unit in units if unit.stage == "probe"]
    assert {unit.requires for unit in probes} == {(unit.id,) for unit in units[:2]}
    assert len({unit.key for unit in units}) == 3
    with STAGES.temporarily(probe.NOTHING):
        assert {unit.key for unit in plan(tmp_path).units} == {units[0].key, units[-1].key}


def test_the_live_table_shows_a_running_probe(tmp_path, sweep):
    """A probe trains no images, so the table shows its fold without a percentage."""
    made = plan(tmp_path)
    progress = Progress(made, made.units, terminal=True)
    for unit in made.units:
        progress.started(unit)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(progress.render())
    lines = [line.strip() for line in shown.get().splitlines()]
    assert {"fold 1  0%  epoch 1/1", "probe 0", "probe 1"} <= set(lines)


def plan(tmp_path):
    return Plan(grid.load(str(tmp_path / "probed.yaml")), frozenset(), frozenset())
