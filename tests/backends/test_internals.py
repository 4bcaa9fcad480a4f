"""Code that uses Tune's private state, checked against the version of Ray for which it was written."""

from types import SimpleNamespace

MEASURE_AGAIN = """
internals.py was measured with Ray 2.60. With another version, run benchmarks/driver_scale.py with and without each part
of it (its docstring has the numbers), and read in ray/tune/execution/tune_controller.py whether
_maybe_update_trial_queue still comes before _maybe_add_actors: then a free worker takes a new trial, and the start of
another worker is not cancelled. Then name the new version here.
"""


def test_ray_is_the_version_that_was_measured():
    from sweeps.backends.ray_tune.session import ray

    assert ray.__version__.split(".")[:2] == ["2", "60"], MEASURE_AGAIN


def test_tunes_own_scheduler_looks_at_all_trials():
    """If this fails, FirstPendingScheduler is no longer needed."""
    from ray.tune.schedulers import FIFOScheduler

    from sweeps.backends.ray_tune.internals import FirstPendingScheduler

    looked = []
    controller = SimpleNamespace(get_trials=lambda: looked.append("at all trials") or [])
    FirstPendingScheduler().choose_trial_to_run(controller)
    assert looked == []
    FIFOScheduler().choose_trial_to_run(controller)
    assert looked != []


def test_forgotten_trials_are_small_and_finish(ray_session, tmp_path, plan):
    """If the first assertion fails, Tune no longer keeps these statistics, and `forget` is no longer needed."""
    from ray import tune
    from stand_ins import report_name

    from sweeps.backends.ray_tune.internals import forget

    kept = []

    class Forgetting(tune.Callback):
        def on_trial_complete(self, iteration, trials, trial, **info):
            kept.append((dict(trial.run_metadata.metric_analysis), len("".join(trial.get_json_state()))))
            forget(trial)
            kept.append((dict(trial.run_metadata.metric_analysis), len("".join(trial.get_json_state()))))

    (unit, *_) = plan.units
    done = tune.Tuner(
        report_name,
        param_space={"unit": unit},
        run_config=tune.RunConfig(name="t", storage_path=str(tmp_path), verbose=0, callbacks=[Forgetting()]),
    ).fit()
    (before, described), (after, nothing) = kept
    assert before and described > 1000
    assert after == {} and nothing == 4
    assert done.num_errors == 0


def test_all_workers_start_at_once():
    """Earlier versions started one worker at a time for a searcher; `suggest` relies on this version."""
    from ray.tune.execution.tune_controller import _get_max_pending_trials
    from ray.tune.search import ConcurrencyLimiter, Searcher, SearchGenerator

    assert _get_max_pending_trials(SearchGenerator(ConcurrencyLimiter(Searcher(), max_concurrent=3))) == 3
