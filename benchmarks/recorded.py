"""Run a sweep with each training replaced by its recorded time; planner, ledger, Ray and driver are the real ones.

python benchmarks/recorded.py GRID RESULTS WORKERS

This folder must be on PYTHONPATH, so that the workers find it, and SECONDS_PER_RECORDED_SECOND in the environment. The
grid's rows are those of results/digits under any seeds. A unit sleeps for the recorded time of its counterpart there,
and writes the counterpart's results as its own, in a real file of a real size.
"""

import datetime
import os
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sweeps.backends.base import RunContext
from sweeps.data.datasets import Loaded
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import FAILED_SCHEMA, UNIT_SCHEMA, Row
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import key_of
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components

SWEEP = Path(__file__).parents[1] / "results" / "digits"
SEED, SCALE = 1, "SECONDS_PER_RECORDED_SECOND"
STARTED, WORKERS = "STARTED", "WORKERS"  # environment: a folder of a file per process that started, and how many will
START_SECONDS = 180  # after which a process waits no more for the others
PROGRESS_SECONDS = 0.25  # how often a unit reports its progress, and checks whether a stop was asked for
RESULTS = sorted(set(UNIT_SCHEMA.names) - set(FAILED_SCHEMA.names) - {"git_commit", "git_dirty", "versions"})


@cache
def recorded() -> dict[UnitId, Row]:
    """Return the records of the units of results/digits."""
    return {(row["key"], row["fold"]): row for row in Ledger(Storage(SWEEP)).read()[0]}


def like(unit: Unit) -> Row:
    """Return the recorded counterpart of a unit, which differs from it by its seed alone."""
    return recorded()[key_of(unit.settings.model_copy(update={"seed": SEED})), unit.fold]


def seconds(unit: Unit) -> float:
    """Return how many seconds a unit takes here."""
    taken: float = like(unit)["seconds"] * float(os.environ[SCALE])
    return taken


def _start_together() -> None:
    """Let the first unit of each process wait for those of the others, so that a sweep under way is measured.

    Ray starts a worker in about a second. If units are shorter than that, some workers might never start.
    """
    folder = Path(os.environ[STARTED])
    if not (folder / str(os.getpid())).exists():
        (folder / str(os.getpid())).touch()
        deadline = time.monotonic() + START_SECONDS
        while len(list(folder.iterdir())) < int(os.environ[WORKERS]) and time.monotonic() < deadline:
            time.sleep(0.1)


def recorded_unit(
    unit: Unit,
    loaded: Loaded,
    context: RunContext,
    on_progress: Callable[[int], None],
    should_stop: Callable[[], bool],
) -> Outcome:
    """Stand in for `backends.base.train_unit`, without torch. The record names the unit's process and its times."""
    _start_together()
    began, took = datetime.datetime.now(datetime.UTC), seconds(unit)
    if context.ledger.has(unit):
        return Outcome.DONE_BEFORE
    on_progress(0)
    end = time.monotonic() + took
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, PROGRESS_SECONDS))
        on_progress(int(unit.images_to_train * (1 - max(left - PROGRESS_SECONDS, 0) / took)))
        if should_stop():
            return Outcome.STOPPED
    context.ledger.write_log(unit, f"{unit}, replaced by its recorded time\ndone\n")
    now = datetime.datetime.now(datetime.UTC)
    results = {name: like(unit)[name] for name in RESULTS}
    results |= {"seconds": (now - began).total_seconds(), "finished_at": now, "device": f"process {os.getpid()}"}
    context.ledger.write(unit, results | context.provenance)
    return Outcome.DONE


def main(grid_file: str, results: str, workers: str) -> int:
    """Run the command. Return its exit code."""
    import recorded  # imported by its name, so that workers import it too

    options = Options(results, workers=int(workers))
    return command(grid_file, [], options, Components(run_unit=recorded.recorded_unit))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
