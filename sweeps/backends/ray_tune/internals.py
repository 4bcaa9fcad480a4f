"""All code that uses Tune's private state; `tests/backends/test_internals.py` pins the version of Ray.

Measured with Ray 2.60 at 1,170 units on 4 workers (benchmarks/driver_scale.py): without `forget` the driver grows by 21
kB a unit instead of 16; without `FirstPendingScheduler` a unit of the second half costs 9.1 ms of the driver's CPU
instead of 8.5, and more in a longer sweep. Several runs of Tune, of 400 units each, would need neither and keep the
driver from growing, but each run waits for its last unit, and the next one starts all workers anew.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from ray.tune.schedulers import FIFOScheduler


def forget(trial: Any) -> None:
    """Drop Tune's statistics of an ended trial, and the 10 kB that describe it in a file of all trials.

    Neither is needed: the ledger says what is done.
    """
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    trial.get_json_state = lambda: ("{}", "{}")


def record_error(trial: Any, record: Callable[[Exception | None], None]) -> None:
    """Call `record` with the error that ends a trial: Tune writes it to a file in one folder, and reads another."""
    handle = trial.handle_error

    def handle_error(error: Exception | None = None) -> None:
        record(error)
        with contextlib.suppress(OSError):  # nobody reads Tune's file, and its disk may be full
            handle(error)

    trial.handle_error = handle_error


class FirstPendingScheduler(FIFOScheduler):
    """Leaves the choice to Tune, which starts the first pending trial.

    Tune's own scheduler starts the same one, but looks through all trials of the sweep for it at every step.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        return None
