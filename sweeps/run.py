"""`python -m sweeps.run GRID`: plan, run or look at a sweep. The same command again continues it.

Exit codes: 0 every unit is done, 1 some failed, 2 bad input or results that cannot be written, 75 stopped before
complete.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from sweeps import describe
from sweeps.backends.base import Job
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop, ignore_signals
from sweeps.config import grid
from sweeps.data.datasets import DataError, check_files
from sweeps.ledger import redo
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.ledger.storage import StorageError
from sweeps.plan.patterns import ChoiceError, one, some
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import longest_first, parse, shard
from sweeps.plan.unit import PlacementError, Unit
from sweeps.text import one_line

DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 75
MOST_PER_GPU = 100


def complain(*lines: str) -> int:
    """Says what is wrong with the input."""
    for line in lines:
        print(one_line(line), file=sys.stderr)
    return BAD_INPUT


@dataclass(frozen=True)
class Options:
    """What the command line says besides the grid."""

    results: str = "results"
    workers: int | None = None
    inline: bool = False
    address: str | None = None
    dry_run: bool = False
    status: bool = False
    retry: bool = False
    tensorboard: str | None = None
    redo: str | None = None
    only: str | None = None
    shard: str | None = None
    wait: float = 0.0
    per_gpu: str | None = None

    @property
    def in_process(self) -> bool:
        return self.inline or self.only is not None

    @property
    def at_a_time(self) -> int:
        """Units that train at a time."""
        return 1 if self.in_process else self.workers or len(os.sched_getaffinity(0))

    def check(self) -> None:
        """Raises ChoiceError where options do not go together."""
        self.units_per_gpu()
        if self.status and (self.redo or self.only):
            raise ChoiceError("--status shows every row and trains none: leave out --redo and --only")
        if self.only and self.shard:
            raise ChoiceError("--only is one unit, --shard a part of all: leave out one of them")
        if self.only and (self.workers or self.address):
            raise ChoiceError("--only trains in this process: leave out --workers and --address")
        if self.per_gpu and self.in_process:
            raise ChoiceError("--per-gpu shares a GPU among workers: leave out --inline and --only")

    def units_per_gpu(self) -> int | Literal["auto"] | None:
        """Raises ChoiceError for what is neither a number nor auto."""
        if self.per_gpu is None or self.per_gpu == "auto":
            return self.per_gpu  # type: ignore[return-value]
        if self.per_gpu.isascii() and self.per_gpu.isdigit() and 1 <= int(self.per_gpu) <= MOST_PER_GPU:
            return int(self.per_gpu)
        raise ChoiceError(f"--per-gpu is {self.per_gpu!r}, not a number from 1 to {MOST_PER_GPU} or auto")


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


def main(
    grid_file: Annotated[str, typer.Argument(metavar="GRID", help="a grid file, or the name of a shipped one")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="change a setting, everywhere")
    ] = None,
    results: Annotated[str, typer.Option(metavar="DIR", help="folder of all results")] = "results",
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="units at a time [default: the CPU cores]")
    ] = None,
    inline: Annotated[bool, typer.Option("--inline", help="in this process, one after another, without Ray")] = False,
    address: Annotated[
        str | None, typer.Option(metavar="A", help="a running Ray cluster (auto, HOST:PORT); default: a local one")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would run, and what it costs")] = False,
    status: Annotated[bool, typer.Option("--status", help="say how far each row is")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="train failed units again")] = False,
    redo: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="train done units again: a name, a part of one, or with *")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="UNIT", help="just this unit, in this process: a name, as for --redo")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="the I-th of N parts, for N jobs that share the folder"),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="for a node that fits, where the cluster has none yet")
    ] = 0.0,
    per_gpu: Annotated[
        str | None,
        typer.Option(metavar="N", help="train on GPUs, N units on each; auto: as many as its memory holds"),
    ] = None,
    tensorboard: Annotated[
        str | None, typer.Option(metavar="DIR", help="write every epoch as TensorBoard event files while it runs")
    ] = None,
) -> None:
    """Trains every configuration of a grid on every fold, and prints the table.

    The same command again trains only what is not done. A unit goes by its files' name (<key>-fold<k>) or by its words
    as --status prints them, with or without ", fold <k>". Exit codes: 0 every unit is done, 1 some failed, 2 bad input
    or results that cannot be written, 75 stopped before complete.
    """
    options = Options(
        results, workers, inline, address, dry_run, status, retry, tensorboard, redo, only, shard, wait, per_gpu
    )
    code = command(grid_file, overrides or [], options)
    ignore_signals()  # one that comes while the interpreter ends would take the exit code's place
    raise typer.Exit(code)


def command(grid_file: str, overrides: Sequence[str], options: Options) -> int:
    """`main`, with the exit code as its value."""
    try:
        options.check()
        sweep = grid.load(grid_file, overrides)
        ledger = open_ledger(options.results, sweep.name)
        if options.dry_run:
            plan = look(ledger, sweep, options)
            plan = plan.again(to_mark(ledger, plan, options.redo))
            print(describe.dry_run(plan, ledger, options.at_a_time, options.retry))
            return DONE
        stopped = False
        if not options.status:
            try:
                stopped = train(ledger, sweep, options)
            except KeyboardInterrupt:  # a second one: what was not saved by then is lost
                print("stopped at once", file=sys.stderr)
                stopped = True
        plan = look(ledger, sweep, options)
        if options.status:
            print(describe.status(plan))
        elif plan.count(plan.done):
            from sweeps.report import report
            from sweeps.sheets import Asked

            print(report(options.results, sweep.name, Asked()))
    except grid.GridError as error:
        return complain(*error.problems)
    except (ChoiceError, DataError, PlacementError, StorageError) as error:
        return complain(str(error))
    return conclude(plan, ledger, stopped)


def conclude(plan: Plan, ledger: Ledger, stopped: bool) -> int:
    """Counts the units, says what is not done, and picks the exit code. After a stop, a failed unit may be one that was
    to be tried again."""
    failed, missing = plan.still_failed, plan.missing()
    for unit in failed:
        print(f"failed: {unit}: {ledger.log_path(unit)}", file=sys.stderr)
    if missing or (stopped and failed):
        print(
            f"{len(plan.units) - len(missing) - len(failed)} of {len(plan.units)} units done; "
            f"the same command goes on: python -m sweeps.run {shlex.join(sys.argv[1:])}",
            file=sys.stderr,
        )
        return STOPPED
    if failed:
        print(f"{len(failed)} of {len(plan.units)} units failed; --retry trains them again", file=sys.stderr)
        return FAILED
    return DONE


if __name__ == "__main__":
    typer.run(main)
