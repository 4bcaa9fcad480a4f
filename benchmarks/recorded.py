"""`sweeps.run` with each training replaced by its recorded time: planner, ledger, Ray and driver are the real ones.

python benchmarks/recorded.py GRID RESULTS WORKERS, with this folder on PYTHONPATH, so that the workers find it, and
SECONDS_PER_RECORDED_SECOND in the environment. The grid's rows are those of results/digits under any seeds. A unit
sleeps for the time that its like took there, and writes that one's results as its own: a real file of a real size.
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
TOLD_SECONDS = 0.25  # how often a unit tells how far it is, and looks whether a stop was asked for
RESULTS = sorted(set(UNIT_SCHEMA.names) - set(FAILED_SCHEMA.names) - {"git_commit", "git_dirty", "versions"})


@cache
def recorded() -> dict[UnitId, Row]:
    """The units of results/digits: their results and curves."""
    return {(row["key"], row["fold"]): row for row in Ledger(Storage(SWEEP)).read()[0]}


def like(unit: Unit) -> Row:
    """The recorded unit that differs by its seed alone."""
    return recorded()[key_of(unit.settings.model_copy(update={"seed": SEED})), unit.fold]


def seconds(unit: Unit) -> float:
    """That a unit takes here."""
    taken: float = like(unit)["seconds"] * float(os.environ[SCALE])
    return taken


def _start_together() -> None:
    """The first unit of each process waits for those of the others: what is measured is a sweep under way. Ray starts a
    worker in about a second, and never all of them where units are shorter than that."""
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
    """As `backends.base.train_unit`, without torch. The row says which process it was in, when it began and ended."""
    _start_together()
    began, took = datetime.datetime.now(datetime.UTC), seconds(unit)
    if context.ledger.has(unit):
        return "done before"
    on_progress(0)
    end = time.monotonic() + took
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, TOLD_SECONDS))
        on_progress(int(unit.images_to_train * (1 - max(left - TOLD_SECONDS, 0) / took)))
        if should_stop():
            return "stopped"
    context.ledger.write_log(unit, f"{unit}, replaced by its recorded time\ndone\n")
    now = datetime.datetime.now(datetime.UTC)
    results = {name: like(unit)[name] for name in RESULTS}
    results |= {"seconds": (now - began).total_seconds(), "finished_at": now, "device": f"process {os.getpid()}"}
    context.ledger.write(unit, results | context.provenance)
    return "done"


def main(grid_file: str, results: str, workers: str) -> int:
    """Run the command. Return its exit code."""
    import recorded  # by its name, so that workers import it too

    options = Options(results, workers=int(workers))
    return command(grid_file, [], options, Components(run_unit=recorded.recorded_unit))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
