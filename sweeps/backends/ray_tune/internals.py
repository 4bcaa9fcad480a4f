"""What reaches into Tune's private state. Each part says what is lost without it; `tests/backends/test_internals.py`
names the version of Ray for which this was measured."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler


def forget(trial: Any) -> None:
    """Drop what Tune counts of a trial that ended, and the 10 kB that describe it in a last file of all trials: a
    sweep's ledger says what is done."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    trial.get_json_state = lambda: ("{}", "{}")


class Placing(FIFOScheduler):
    """First come, first served, as Tune does without being told. Its own scheduler looks through all trials that there
    ever were, at every step, for one to start first."""

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None
