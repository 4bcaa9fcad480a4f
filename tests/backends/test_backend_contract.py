"""One contract for all back ends. Units write notes instead of training."""

import json
import threading
import time
from functools import partial

import pytest
from stand_ins import load_noting, note_folds, note_only, raise_this, run_until_stopped
from work_sources import Broken, Watched, chain

from sweeps.backends.base import RunContext, load_with_folds
from sweeps.backends.inline import Inline
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import DataError
from sweeps.data.splits import FoldDraw, fold_numbers
from sweeps.ledger.storage import StorageError
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import group_by_source
from sweeps.plan.unit import PlacementError, Unit
from sweeps.plan.work_source import Done, GridSource


class Batches:
    """A toy back end: it takes all units that the source hands out, and runs the last of them first."""

    def run(self, source, context, progress, stop):
        images = {}
        while not stop.requested:
            batch = []
            while isinstance(unit := source.next(), Unit):
                batch.append(unit)
            if not batch and isinstance(unit, Done):
                return
            time.sleep(0 if batch else 0.01)
            while batch and not stop.requested:
                unit = batch.pop()
                data = unit.settings.source
                if data not in images:
                    images[data] = load_with_folds(context.load, data, source.envelope().drawn(data))
                    progress.say(images[data].notes)
                progress.started(unit)
                on_progress = partial(progress.trained, unit)
                outcome = context.run_unit(unit, images[data], context, on_progress, lambda: stop.requested)
                progress.finished(unit, outcome)
                source.finished(unit, outcome, context.record(unit, outcome, source.envelope().columns))


def ray_tune():
    from sweeps.backends.ray_tune.driver import RayTune

    return RayTune(2)


@pytest.fixture(params=[Inline, Batches, ray_tune], ids=["Inline", "Batches", "RayTune"])
def backend(request):
    if request.param is ray_tune:
        request.getfixturevalue("ray_session")
    return request.param()


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def run(backend, plan, ledger, notes, capsys):
    """Return a function that runs a source, and returns the `Progress` that it updated."""

    def run(source, run_unit=None, stop=None, **context):
        run_unit = run_unit or partial(note_only, notes, ())
        units = source.envelope().units
        with Progress(plan, units, terminal=False) as progress:
            backend.run(source, RunContext(ledger, {}, run_unit=run_unit, **context), progress, stop or Stop())
        return progress

    return run


def ran(notes):
    """Return the names of the units in the order in which they ended, each as often as it ran."""
    files = [file for file in notes.iterdir() if not file.name.startswith("loaded")]
    return [file.stem for file in sorted(files, key=lambda file: float(file.read_text().split()[0]))]


class TestContract:
    def test_each_unit_runs_once_and_is_reported(self, run, plan, notes):
        source = Watched(plan.units)
        progress = run(source)
        names = sorted(unit.name for unit in plan.units)
        assert sorted(ran(notes)) == names
        assert sorted(source.heard) == [(name, "done", None) for name in names]
        assert progress.done == {unit.id for unit in plan.units}
        assert progress.running == {}

    def test_parents_run_before_their_children(self, run, plan, notes):
        units = chain(plan.units[:3]) + chain(plan.units[3:])
        run(Watched(list(reversed(units))))
        order = ran(notes)
        assert len(order) == len(units)
        for family in (units[:3], units[3:]):
            assert [name for name in order if name in {unit.name for unit in family}] == [u.name for u in family]

    def test_a_failure_blocks_its_children_alone(self, run, plan, notes):
        a, b, c, *others = chain(plan.units[:3]) + plan.units[3:]
        source = Watched([a, b, c, *others])
        progress = run(source, partial(note_only, notes, (a.name,)))
        assert sorted(ran(notes)) == sorted(unit.name for unit in (a, *others))
        assert source.blocked == [b, c]
        assert progress.failed == {a.id}
        assert sorted(source.heard) == sorted(
            [(a.name, "failed", None), *[(unit.name, "done", None) for unit in others]]
        )

    def test_each_source_is_loaded_once(self, run, read_grid, notes):
        """Units of two sources run one source after the other, each on its own images."""
        g = read_grid("name: a\nfolds.n_splits: 2\ngrid: [{data.limit: [50, 60]}]")
        units = group_by_source(Plan(g, frozenset(), frozenset()).missing())
        run(GridSource(units), load=partial(load_noting, notes))
        assert len(list(notes.glob("loaded.*"))) == 2
        assert [(notes / f"{unit.name}.0").read_text().split()[1] for unit in units] == ["50", "50", "60", "60"]

    def test_folds_are_drawn_with_the_images(self, run, read_grid, notes):
        """With two seeds and two numbers of folds over one source, each unit gets the folds of all four kinds."""
        g = read_grid("name: a\ndata.limit: 50\ngrid: [{seed: [0, 1], folds.n_splits: [2, 3]}]")
        units = Plan(g, frozenset(), frozenset()).missing()
        run(GridSource(units), partial(note_folds, notes))
        noted = [json.loads((notes / unit.name).read_text()) for unit in units]
        kinds = {f"{n} {seed}": fold_numbers(50, FoldDraw(n, True, seed)).tolist() for n in (2, 3) for seed in (0, 1)}
        assert noted == [kinds] * 10

    def test_a_stop_ends_it(self, run, plan, notes):
        """The running unit is told to stop, and no other starts."""
        stop, source = Stop(), Watched(plan.units)

        def stop_once_one_runs():
            while not list(notes.iterdir()):
                time.sleep(0.02)
            stop.request()

        thread = threading.Thread(target=stop_once_one_runs)
        thread.start()
        progress = run(source, partial(run_until_stopped, notes), stop)
        thread.join()
        assert 1 <= len(ran(notes)) <= 2
        assert {outcome for _, outcome, _ in source.heard} == {"stopped"}
        assert progress.done == progress.failed == set()

    def test_a_stop_before_the_start_runs_nothing(self, run, plan, notes):
        stop = Stop()
        stop.request()
        run(Watched(plan.units), stop=stop)
        assert ran(notes) == []

    def test_a_source_may_say_to_wait(self, run, plan, notes):
        run(Watched(plan.units[:1], waits=2))
        assert ran(notes) == [plan.units[0].name]

    def test_a_source_is_told_the_columns_it_wants(self, run, plan, ledger):
        from sweeps.backends.base import train_unit

        source = Watched(plan.units[:1], columns=("key", "unconditioned_per_pixel"))
        run(source, train_unit)
        (row,), _ = ledger.read()
        heard = {"key": row["key"], "unconditioned_per_pixel": row["unconditioned_per_pixel"]}
        assert source.heard == [(plan.units[0].name, "done", heard)]

    @pytest.mark.parametrize("kind", [StorageError, PlacementError])
    def test_what_ends_a_sweep_is_raised(self, run, plan, kind):
        with pytest.raises(kind, match="why"):
            run(Watched(plan.units), partial(raise_this, kind("why")))

    def test_an_error_of_the_source_is_raised(self, run, plan):
        with pytest.raises(StorageError, match="cannot read the suggestions"):
            run(Broken(plan.units))

    def test_missing_images_are_raised(self, run, plan, notes):
        with pytest.raises(DataError, match="why"):
            run(Watched(plan.units), load=partial(raise_this, DataError("why")))
        assert ran(notes) == []
