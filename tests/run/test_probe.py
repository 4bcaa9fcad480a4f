"""How long a sweep will take, estimated from a few steps of each shape."""

import time

import pytest

from sweeps.config import grid, yaml_reader
from sweeps.plan.plan import Plan
from sweeps.plan.timings import Times, Timing, shape_of, units_to_time
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.probe import estimate, probe, probe_lines
from sweeps.run.train import Components

TEN = Timing(Times(1.0, 0.1, 0.5), Times(2.0, 0.2, 1.0), False)


def plan_of(text):
    return Plan(grid.read(yaml_reader.parse(text), "test.yaml"), frozenset(), frozenset())


def test_a_unit_is_its_steps_and_epochs(plan):
    """30 images for training in batches of 16 are 2 steps; 2 epochs."""
    unit = plan.units[0]
    steps = -(-unit.images_to_train // 2 // 16)
    assert Times(1.0, 0.1, 0.5).of(unit) == pytest.approx(1.0 + 2 * (steps * 0.1 + 0.5))


def test_shapes_differ_in_what_takes_time():
    text = "name: a\ndata.limit: 60\nfolds.n_splits: 2\ngrid: [{%s}]"
    same = plan_of(
        text % "method: single_decoder, exponent: [40, 60], training.lr: [0.1, 0.2], training.epochs: [1, 9]"
    )
    assert len({shape_of(unit) for unit in same.units}) == 1
    others = "training.batch_size: [8, 16], method: [none, multi_decoder]"
    assert len({shape_of(unit) for unit in plan_of(text % others).units}) == 4


def test_workers_are_kept_busy_while_timing(plan):
    """One shape on four workers is timed four times at once, because workers slow each other down."""
    assert len(units_to_time(plan.units, 1)) == 3
    assert [unit.fold for unit in units_to_time(plan.units, 6)] == [0, 1] * 3


def test_hours_are_shared_among_workers(plan):
    noted = {shape_of(unit): [TEN] for unit in plan.units[:4]}
    found = estimate(plan.units, noted, ("not timed: a reason",))
    assert (found.unknown, len(found.shapes)) == (2, 2)
    lines = probe_lines(plan, found, 2)
    assert f"hours: {found.cpu / 2 / 3600:.3f} for 4 units, 2 at a time ({found.cpu:,.0f} CPU seconds)" in lines
    assert f"other processes take cores now: {found.clock / 2 / 3600:.3f} hours if that stays so" in lines
    assert "not timed: a reason" in lines and lines[-1] == "hours unknown for 2 units"
    assert probe_lines(plan, estimate([], {}), 2)[-1] == "hours: nothing to train"


def test_a_finished_sweep_starts_no_worker(plan):
    """Ray cannot start for no unit, so the back end is not asked."""

    class Started:
        def run(self, source, context, progress, stop):
            raise AssertionError("a back end was started")

    finished = plan.replaced(done=frozenset(unit.id for unit in plan.units))
    found = probe(finished, Options("unused"), Components(backend=Started()))
    assert probe_lines(finished, found, 2)[-1] == "hours: nothing to train"


def test_a_failing_shape_is_named(tiny_file, tmp_path, capsys):
    """The others are timed, and nothing is recorded."""
    text = tiny_file.read_text() + "  - {family: gaussian_vae, method: none, training.lr: 1.0e+30}\n"
    tiny_file.write_text(text.replace("method: [none, single_decoder]", "method: none"))
    assert command(str(tiny_file), [], Options(str(tmp_path / "results"), inline=True, probe=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep tiny: 2 shapes of 6 units"
    assert any(line.startswith("not timed: gaussian_vae 1 none") and "not finite" in line for line in lines)
    assert lines[-1] == "hours unknown for 2 units"
    assert not (tmp_path / "results").exists()


def test_later_stages_are_timed(tmp_path, capsys):
    """Before there is a model; nothing is recorded."""
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: s\ndata: {dataset: digits, limit: 80}\nfolds: {n_splits: 2}\ntraining: {epochs: 2, batch_size: 16}\n"
        "prior: {layers: 2, width: 4, epochs: 2}\ngrid: [{family: vqvae, prior.kind: [markov, pixelcnn]}]\n"
    )
    assert command(str(file), [], Options(str(tmp_path / "results"), inline=True, probe=True)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sweep s: 5 shapes of 10 units"
    assert sum(line.endswith("pixelcnn, prior") for line in lines) == 1 and "unknown" not in lines[-1]
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_probe_is_right_within_a_half(tmp_path, capsys):
    """The processor's seconds of the sweep that follows at once, in this process, are within a factor of 1.5."""
    file = tmp_path / "sweep.yaml"
    file.write_text(
        "name: s\ndata: {dataset: digits, limit: 600}\nfolds: {n_splits: 2}\ntraining: {epochs: 10, batch_size: 32}\n"
        "prior: {layers: 5, width: 32, epochs: 10}\ngrid:\n"
        "  - {family: [vqvae, gaussian_vae], method: [none, multi_decoder]}\n"
        "  - {family: vqvae, prior.kind: [markov, pixelcnn]}\n"
    )
    options = {"results": str(tmp_path), "inline": True}
    assert command(str(file), [], Options(**options, probe=True)) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("hours: ")]
    estimated = float(line.rpartition("(")[2].removesuffix(" CPU seconds)").replace(",", ""))
    before = time.process_time()
    assert command(str(file), [], Options(**options)) == 0
    measured = time.process_time() - before
    assert 1 / 1.5 < estimated / measured < 1.5, (estimated, measured)
