"""The command without its command line: plan, run or inspect a sweep, and return the exit code."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from sweeps.config import grid
from sweeps.data.datasets import DataError
from sweeps.ledger import rows
from sweeps.ledger.confirmations import Confirmation, write_confirmations
from sweeps.ledger.ledger import COMPACTED, Ledger, open_ledger
from sweeps.ledger.storage import StorageError, leave_gone_folder
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.plan.unit import PlacementError
from sweeps.plan.work_source import GridSource
from sweeps.run import confirming, searching
from sweeps.run.dry_run import dry_run
from sweeps.run.options import Options
from sweeps.run.search_text import is_open, progress_text
from sweeps.run.status import status
from sweeps.run.train import DEFAULT_COMPONENTS, Components, current_plan, train, units_to_redo
from sweeps.search.asked import Archive
from sweeps.text import one_line

SCRIPT = "mtvae-sweeps"
DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 75


def complain(*lines: str) -> int:
    """Print what is wrong with the input, and return the exit code for that."""
    for line in lines:
        print(one_line(line), file=sys.stderr)
    return BAD_INPUT


def command(
    grid_file: str, overrides: Sequence[str], options: Options, components: Components = DEFAULT_COMPONENTS
) -> int:
    """Plan, run or inspect a sweep as the options ask, and return the exit code."""
    try:
        options.check()
        sweep = grid.load(grid_file, overrides)
        searching.check(sweep, options)
        leave_gone_folder(options.results, options.tensorboard, options.export_study, *searching.roots(sweep))
        ledger = open_ledger(options.results, sweep.name)
        archive = searching.open_archive(ledger, sweep)
        if options.export_study is not None and archive is not None:
            plan = current_plan(ledger, sweep, options, archive)
            print(searching.export_study(ledger, sweep, plan, archive, options.export_study))
            return DONE
        whole, of_search = sweep, archive
        write_grid = None
        if options.confirm is not None and archive is not None:
            confirmations = confirming.choose(ledger, sweep, archive, options.confirm)
            if is_open(archive, ledger):
                print("the search is not at its end: the best so far are confirmed", file=sys.stderr)
            rows_now = archive.with_suggestions(sweep).rows
            sweep, archive = confirming.only_confirmed(sweep, confirming.confirmed_rows(confirmations, rows_now)), None
            write_grid = partial(_write_confirmed, ledger, whole, of_search, confirmations)
        if options.dry_run:
            plan = current_plan(ledger, sweep, options, archive)
            plan = plan.retraining(units_to_redo(ledger, plan, options.redo))
            print(dry_run(plan, ledger, options.at_a_time, options.retry, archive))
            _print_damage(ledger)
            return DONE
        stopped = False
        if not options.status:
            try:
                stopped = train(ledger, sweep, options, components, archive, write_grid)
            except KeyboardInterrupt:  # a second Ctrl-C: work that is not saved yet is lost
                print("stopped at once", file=sys.stderr)
                stopped = True
        plan = current_plan(ledger, sweep, options, archive)
        if options.status:
            print(_status(ledger, whole, options, of_search))
            _print_damage(ledger)
        elif plan.count(plan.done):
            from sweeps.report.contents import ReportRequest, report

            shown = replace(whole, rows=searching.shown_rows(ledger, whole, of_search))
            print(report(options.results, sweep.name, ReportRequest(), rows.resolved(shown)))
    except grid.GridError as error:
        return complain(*error.problems)
    except (ChoiceError, DataError, PlacementError, StorageError) as error:
        return complain(str(error))
    return conclude(plan, ledger, stopped, archive if (stopped and not options.only) or options.status else None)


def _write_confirmed(
    ledger: Ledger, sweep: grid.Grid, archive: Archive | None, confirmed: Sequence[Confirmation]
) -> None:
    """Write which configurations are confirmed, and the rows that a report shows."""
    write_confirmations(ledger.storage, confirmed)
    searching.write_grid(ledger, sweep, archive)


def _status(ledger: Ledger, sweep: grid.Grid, options: Options, archive: Archive | None) -> str:
    """Return the status of a sweep, and of the confirmations of its search."""
    plan = current_plan(ledger, sweep, options, archive)
    lines = [status(plan, archive)]
    if archive is not None and (again := confirming.recorded(ledger, plan.grid.rows)):
        lines += confirming.status_lines(current_plan(ledger, confirming.only_confirmed(sweep, again), options))
    return "\n".join(lines)


def _print_damage(ledger: Ledger) -> None:
    """Print that a damaged compacted file's units do not count as done. (A unit's own file counts by its name.)"""
    if ledger.damaged_compacted:
        print(
            f"{ledger.storage.path(COMPACTED)}: damaged ({ledger.damaged_compacted}), so its units do not count as "
            f"done; a run keeps it as {COMPACTED}.damaged and trains them again"
        )


def program() -> str:
    """Return what the user typed before the arguments: the console script, or the module."""
    return SCRIPT if Path(sys.argv[0]).stem.replace("_", "-") == SCRIPT else "python -m sweeps.run"


def conclude(plan: Plan, ledger: Ledger, stopped: bool, unfinished: Archive | None = None) -> int:
    """Print which units are not done, and return the exit code.

    After a stop, failed units count as not complete: one may have been waiting for its retry.

    Args:
        unfinished: the suggestions of a search that did not come to its end in this run.
    """
    failed, missing = plan.still_failed, plan.missing()
    blocked = GridSource(missing, plan.done).blocked
    for unit in failed:
        print(f"failed: {unit}: {ledger.log_path(unit)}", file=sys.stderr)
    for unit in blocked:
        print(f"blocked: {unit}: a unit that it requires failed or is not part of this run", file=sys.stderr)
    waiting = len(missing) - len(blocked)
    searched = "" if unfinished is None else progress_text(unfinished, plan, ledger)
    if waiting or (stopped and failed) or searched:
        arguments = [argument for argument in sys.argv[1:] if argument != "--status"]
        which = "the same command" if arguments == sys.argv[1:] else "the command without --status"
        print(
            f"{plan.count(plan.done)} of {len(plan.units)} units done{searched}; "
            f"{which} resumes the sweep: {program()} {shlex.join(arguments)}",
            file=sys.stderr,
        )
        return STOPPED
    if failed:
        print(f"{len(failed)} of {len(plan.units)} units failed; --retry trains them again", file=sys.stderr)
    if blocked:
        print(f"{len(blocked)} of {len(plan.units)} units are blocked", file=sys.stderr)
    if failed or blocked:
        return FAILED
    return DONE
