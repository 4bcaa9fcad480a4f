"""What becomes of trials when the driver itself raises an error."""

from types import SimpleNamespace

import pytest

from sweeps.backends.base import RunContext
from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune.callbacks import Callback
from sweeps.backends.ray_tune.suggestions import Suggestions
from sweeps.backends.stop import Stop
from sweeps.plan.unit import Outcome
from sweeps.plan.work_source import GridSource

HOOKS = ["on_trial_start", "on_trial_result", "on_trial_complete", "on_trial_recover", "on_trial_error"]


@pytest.fixture
def trial(plan):
    """Return a trial like Tune's, of a unit that is done."""
    kept = SimpleNamespace(metric_analysis={}, metric_n_steps={})
    last = {"images": 1, "outcome": Outcome.DONE}
    return SimpleNamespace(
        config={"unit": plan.units[0]}, last_result=last, run_metadata=kept, handle_error=lambda error: None
    )


@pytest.fixture
def callback(plan, ledger):
    context = RunContext(ledger, {})
    suggestions = Suggestions(GridSource(plan.units), [], context, Stop(), lambda unit: unit)
    return Callback(suggestions, Progress(plan, plan.units, terminal=False))


def call(callback, trial, hook):
    more = {"result": dict(trial.last_result)} if hook == "on_trial_result" else {}
    getattr(callback, hook)(iteration=0, trials=[], trial=trial, **more)


class Broken:
    """A part of the driver that raises an error whatever it is asked for."""

    def __getattr__(self, name):
        raise BrokenPipeError(name)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_error_in_a_hook_ends_the_sweep(callback, trial, ledger, hook):
    """Tune never sees the error, as it would fail the trial. The first error is kept."""
    callback.progress = callback.ledger = callback.deaths = Broken()
    call(callback, trial, hook)
    first = callback.suggestions.fatal_error
    assert isinstance(first, BrokenPipeError)
    call(callback, trial, hook)
    assert callback.suggestions.fatal_error is first
    assert callback.suggestions.suggest("a trial") == Suggestions.FINISHED
    assert ledger.units("failed") == frozenset()


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook != "on_trial_recover"])  # it does not use the screen
def test_a_broken_screen_fails_no_unit(callback, trial, ledger, hook):
    callback.progress = Broken()
    callback.deaths.record = lambda *arguments, **named: 1
    call(callback, trial, hook)
    assert isinstance(callback.suggestions.fatal_error, BrokenPipeError)
    assert ledger.units("failed") == frozenset()


def test_losses_reach_the_live_table_only(callback, trial):
    """Tune would keep them, with statistics of each."""
    callback.progress.terminal = True
    result = {"images": 5, "losses": {"latent": 0.25}}
    callback.on_trial_start(iteration=0, trials=[], trial=trial)
    callback.on_trial_result(iteration=0, trials=[], trial=trial, result=result)
    unit = trial.config["unit"]
    assert callback.progress.losses[unit.id][1] == {"latent": 0.25}
    assert result == {"images": 5}
