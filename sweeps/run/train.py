"""Train what is missing of a sweep."""

import os

from sweeps.backends.base import Job
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.config import grid
from sweeps.data.datasets import check_files
from sweeps.ledger import redo
from sweeps.ledger.ledger import Ledger
from sweeps.plan.patterns import one, some
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import longest_first, parse, shard
from sweeps.plan.unit import Unit
from sweeps.run.options import Options


def look(ledger: Ledger, sweep: grid.Grid, options: Options) -> Plan:
    """The plan as the ledger stands now. Raises ChoiceError where `--only` does not name one unit."""
    plan = Plan(sweep, ledger.units(), ledger.units("failed"))
    if options.shard is not None:
        return plan.of(shard(plan.units, *parse(options.shard)))
    return plan if options.only is None else plan.of([one(plan.units, options.only, "--only")])


def to_mark(ledger: Ledger, plan: Plan, pattern: str | None) -> list[Unit]:
    """The done units that `--redo` asks for; none where the same command was stopped and goes on with their rest.

    Raises:
        ChoiceError: it names no unit of the plan.
    """
    if pattern is None:
        return []
    units = some(plan.units, pattern, "--redo")
    return [] if redo.goes_on(ledger.storage, units, pattern) else [unit for unit in units if unit.id in plan.done]


def train(ledger: Ledger, sweep: grid.Grid, options: Options) -> bool:
    """Trains what is missing. Returns when it ended, for whatever reason short of bad input: whether it was stopped."""
    from sweeps.ledger.provenance import provenance
    from sweeps.ledger.tensorboard import prepared

    plan = look(ledger, sweep, options)
    again = to_mark(ledger, plan, options.redo)
    _check_data(plan.again(again), options.retry)  # bad input is told before anything is touched
    tensorboard = None if options.tensorboard is None else prepared(options.tensorboard)
    for name, why in ledger.set_aside_damaged():
        print(f"{ledger.storage.path(name)}: damaged ({why}); kept as {name}.damaged, trained again")
    for folder in ("units", "failed", "logs", "checkpoints", "models", redo.FOLDER, ""):
        ledger.storage.sweep_temporary(folder)
    if again:
        redo.mark(ledger.storage, again, options.redo or "")
    plan = look(ledger, sweep, options)
    missing = _check_data(plan, options.retry)
    if not missing:
        ledger.write_grid(sweep)
        return False
    job = Job(longest_first(missing), ledger, provenance(), tensorboard)
    stop = Stop()
    stop.listen()
    with Progress(plan, missing, on_first=lambda: ledger.write_grid(sweep)) as progress:
        if options.in_process:
            from sweeps.backends.inline import run_units

            run_units(job, progress, stop)
        else:
            if options.address is None:  # Ray's word for a machine alone: its ports open on loopback, not everywhere
                os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
            from sweeps.backends.ray_tune import driver

            driver.run_units(
                job, progress, stop, options.at_a_time, options.address, options.wait, options.units_per_gpu()
            )
    return stop.requested


def _check_data(plan: Plan, retry: bool) -> list[Unit]:
    """The missing units, whose images are there."""
    missing = plan.missing(retry)
    for data in dict.fromkeys(unit.settings.data for unit in missing):
        check_files(data)
    return missing
