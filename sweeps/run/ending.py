"""What a command says at its end: what is done, what it saved, where the results are, and what comes next."""

import shlex
import sys
from pathlib import Path

from sweeps.analysis import scores
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.running import running_units
from sweeps.plan.plan import Plan
from sweeps.plan.work_source import GridSource
from sweeps.run.search_text import progress_text
from sweeps.run.train import Ran
from sweeps.screen import folded, terminal_width
from sweeps.search.asked import Archive
from sweeps.text import count_text, duration, one_line

SCRIPT = "mtvae-sweeps"
DEFAULT_RESULTS = "results"
DONE, FAILED, BAD_INPUT, STOPPED = 0, 1, 2, 75


def program(command: str = "run") -> str:
    """Return what the user typed before the arguments: the console script, or the module."""
    return f"{SCRIPT} {command}" if _is_script() else f"python -m sweeps.{command}"


def _is_script() -> bool:
    return Path(sys.argv[0]).stem.replace("_", "-") == SCRIPT


def said_at_end(plan: Plan, ledger: Ledger, ran: Ran, results: str) -> list[str]:
    """Return what is done, how long it took, where the results are, and the command that reports them."""
    done, total = plan.count(plan.done), len(plan.units)
    stopped = sum(plan.is_stopped(unit) and unit.id not in plan.done for unit in plan.units)
    counts = f"{done} of {total} done" + (f", {stopped} stopped by a race" if stopped else "")
    if ran.seconds:
        counts += f"; this run took {duration(ran.seconds)}"
    elif done + stopped == total:
        counts += ", nothing to do"
    lines = ["", *folded([counts], terminal_width()), f"results: {ledger.storage.root}"]
    if done:
        where = "" if results == DEFAULT_RESULTS else f" --results {shlex.quote(results)}"
        lines.append(f"next: {program('report')} {shlex.quote(plan.grid.name)}{where} --write")
    return list(map(one_line, lines))  # a path or a command that is copied must be in one piece


def conclude(plan: Plan, ledger: Ledger, ran: Ran, unfinished: Archive | None = None, is_status: bool = False) -> int:
    """Print which units are not done, with the command that trains them, and return the exit code.

    After a stop, failed units count as not complete: one may have been waiting for its retry.

    Args:
        unfinished: the suggestions of a search that did not come to its end in this run.
        is_status: whether the command was asked for the status, and another command may run the units.
    """
    failed, missing = plan.still_failed, plan.missing()
    blocked = GridSource(missing, plan.done).blocked
    for unit in failed:
        if unit.id not in ran.told:
            _complain(f"failed: {unit}: {scores.reason(ledger, unit)}; log: {ledger.log_path(unit)}")
    for unit in blocked:
        _complain(f"blocked: {unit}: a unit that it requires failed or is not part of this run")
    waiting = len(missing) - len(blocked)
    searched = "" if unfinished is None else progress_text(unfinished, plan, ledger)
    if waiting or (ran.stopped and failed) or searched:
        done = f"{plan.count(plan.done)} of {len(plan.units)} units done{searched}"
        if not is_status:
            done += _saved(plan, ledger)
        typed = [SCRIPT] if _is_script() else ["python", "-m", "sweeps.run"]  # the script's arguments begin with `run`
        arguments = [argument for argument in sys.argv[1:] if argument != "--status"]
        which = "the same command" if arguments == sys.argv[1:] else "the command without --status"
        if is_status and running_units(ledger.storage) is not None:
            _complain(f"{done}; another command runs the sweep")
        else:
            _complain(f"{done}; {which} resumes the sweep:", shlex.join([*typed, *arguments]))
        return STOPPED
    if failed:
        _complain(f"{len(failed)} of {len(plan.units)} units failed; --retry trains them again")
    if blocked:
        _complain(f"{len(blocked)} of {len(plan.units)} units are blocked")
    return FAILED if failed or blocked else DONE


def _complain(line: str, command: str = "") -> None:
    """Print a line to stderr. A command that does not fit beside it stands below it, in one piece to be copied."""
    line, command = one_line(line), one_line(command)
    width = terminal_width(sys.stderr)
    if width is None or len(line) + 1 + len(command) <= width:
        print(f"{line} {command}" if command else line, file=sys.stderr)
    else:
        print(*folded([line], width), *([command] if command else []), sep="\n", file=sys.stderr)


def _saved(plan: Plan, ledger: Ledger) -> str:
    """Return how many units that are not done have a checkpoint, as a part of a sentence."""
    checkpoints = set(ledger.storage.names("checkpoints"))
    n = sum(f"{unit.name}.pt" in checkpoints for unit in plan.units if unit.id not in plan.done)
    return f", {count_text(n, 'running unit')} saved" if n else ""
