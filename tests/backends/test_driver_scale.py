"""The driver of a large sweep: the order in which it hands out units, and how little it keeps of each."""

from stand_ins import report_name

from sweeps.backends.base import RunContext
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.config import grid
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import flops, longest_first
from sweeps.plan.work_source import GridSource


def test_units_go_by_fold_then_longest_first():
    units = Plan(grid.load("grid_vqvae.yaml"), frozenset(), frozenset()).units
    ordered = longest_first(units)
    assert sorted(unit.name for unit in ordered) == sorted(unit.name for unit in units)
    assert ordered != units
    assert [(unit.fold, -flops(unit)) for unit in ordered] == sorted((unit.fold, -flops(unit)) for unit in units)


def test_units_go_out_in_order_and_leave_little(plan, ledger, ray_session, tmp_path, capsys):
    """A worker is sent its own unit only; of its reports Tune keeps only what `KEPT_IN_RESULTS` names."""
    from sweeps.backends.ray_tune import callbacks, driver
    from sweeps.backends.ray_tune.suggestions import Suggestions

    kept = []

    class Watched(callbacks.Callback):
        def on_experiment_end(self, trials, **info):
            kept.extend(trials)

    units, stop = list(reversed(plan.units)), Stop()
    suggestions = Suggestions(GridSource(units), (), RunContext(ledger, {}), stop, lambda unit: unit)
    with Progress(plan, units, terminal=False) as progress:
        stopper = callbacks.Stopper(stop, progress, suggestions)
        driver.run_trials(report_name, suggestions, Watched(suggestions, progress), stopper, 2, tmp_path)
    assert [trial.config["unit"] for trial in kept] == units
    assert all(mine.config["unit"] is unit for mine, unit in zip(kept, units, strict=True))
    assert progress.done == {unit.id for unit in units}
    assert progress.failed == set()
    for trial in kept:
        assert trial.last_result.keys() <= callbacks.KEPT_IN_RESULTS | {"trial_id", "experiment_tag"}
        assert not trial.run_metadata.metric_analysis and not trial.run_metadata.metric_n_steps
        assert trial.get_json_state() == ("{}", "{}")
