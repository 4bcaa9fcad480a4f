"""The command without its command line: plan, run or inspect a sweep, and return the exit code."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sweeps.config import grid
from sweeps.data.datasets import DataError
from sweeps.ledger import rows
from sweeps.ledger.confirmations import Confirmation, write_confirmations
from sweeps.ledger.ledger import COMPACTED, Ledger, open_ledger
from sweeps.ledger.storage import StorageError, leave_gone_folder
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.plan.unit import PlacementError
from sweeps.run import confirming, searching
from sweeps.run.dry_run import dry_run
from sweeps.run.ending import BAD_INPUT, DONE, conclude, said_at_end
from sweeps.run.machine import Machine
from sweeps.run.options import Options
from sweeps.run.search_text import is_open
from sweeps.run.status import read_status
from sweeps.run.train import DEFAULT_COMPONENTS, NOTHING_RAN, Components, Ran, current_plan, train, units_to_redo
from sweeps.screen import folded, terminal_width
from sweeps.search.asked import Archive
from sweeps.text import one_line


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
        if options.dry_run or options.probe:
            plan = current_plan(ledger, sweep, options, archive)
            plan = plan.retraining(units_to_redo(ledger, plan, options.redo))
            lines = _probed if options.probe else _planned
            print(*folded(lines(ledger, plan, options, archive, components), terminal_width()), sep="\n")
            return DONE
        if options.status:
            plan = _print_status(ledger, whole, options, of_search)
            conclude(plan, ledger, Ran(), archive, is_status=True)
            return DONE
        ran = NOTHING_RAN
        try:
            ran = train(ledger, sweep, options, components, archive, write_grid)
        except KeyboardInterrupt:  # a second Ctrl-C: work that is not saved yet is lost
            print("stopped at once", file=sys.stderr)
            ran = replace(ran, stopped=True)
        plan = current_plan(ledger, sweep, options, archive)
        if plan.count(plan.done) and not options.quiet:
            from sweeps.report.contents import ReportRequest, report

            shown = replace(whole, rows=searching.shown_rows(ledger, whole, of_search))
            kinds = ("table", "priors") if any(row.prior.kind for row in shown.rows) else ("table",)
            request = ReportRequest(kinds, width=terminal_width())
            print(report(options.results, sweep.name, request, rows.resolved(shown)))
    except grid.GridError as error:
        return complain(*error.problems)
    except (ChoiceError, DataError, PlacementError, StorageError) as error:
        return complain(str(error))
    if not options.quiet:
        print(*said_at_end(plan, ledger, ran, options.results), sep="\n")
    return conclude(plan, ledger, ran, archive if ran.stopped and not options.only else None)


def _write_confirmed(
    ledger: Ledger, sweep: grid.Grid, archive: Archive | None, confirmed: Sequence[Confirmation]
) -> None:
    """Write which configurations are confirmed, and the rows that a report shows."""
    write_confirmations(ledger.storage, confirmed)
    searching.write_grid(ledger, sweep, archive)


def _print_status(ledger: Ledger, sweep: grid.Grid, options: Options, archive: Archive | None) -> Plan:
    """Print the status of a sweep, and of the confirmations of its search. Return the plan that it shows."""
    width = terminal_width()
    plan, status = read_status(current_plan(ledger, sweep, options, archive), ledger)
    print(status.text(plan, archive, width))
    if archive is not None and (again := confirming.recorded(ledger, plan.grid.rows)):
        confirmed = current_plan(ledger, confirming.only_confirmed(sweep, again), options)
        print(*confirming.status_lines(ledger, confirmed, width), sep="\n")
    return plan


def _planned(
    ledger: Ledger, plan: Plan, options: Options, archive: Archive | None, components: Components
) -> list[str]:
    """Return the lines of a dry run."""
    machine = Machine.here() if options.address is None else None
    text = dry_run(plan, ledger, options.at_a_time, options.retry, archive, machine)
    return [*text.split("\n"), *_damage_lines(ledger)]


def _probed(ledger: Ledger, plan: Plan, options: Options, archive: Archive | None, components: Components) -> list[str]:
    """Return the lines of a probe, which trains some steps."""
    from sweeps.run.probe import probe, probe_lines

    lines = probe_lines(plan, probe(plan, options, components), options.at_a_time)
    lines += ["what the search will still suggest is in none of these numbers"] * (archive is not None)
    return list(map(one_line, lines))


def _damage_lines(ledger: Ledger) -> list[str]:
    """Return that a damaged compacted file's units do not count as done. (A unit's own file counts by its name.)"""
    if ledger.damaged_compacted:
        return [
            f"{ledger.storage.path(COMPACTED)}: damaged ({ledger.damaged_compacted}), so its units do not count as "
            f"done; a run keeps it as {COMPACTED}.damaged and trains them again"
        ]
    return []
