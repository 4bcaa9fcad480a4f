"""What a running sweep counts and prints."""

from rich.console import Console

from sweeps.backends.progress import Progress
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome

NOTHING = (frozenset(), frozenset())


def test_units_in_no_plan_are_added(read_grid, capsys):
    """A search hands out configurations that the plan lacks; six of their units were expected."""
    rows = Plan(read_grid("name: a\ndata.limit: 60\nfolds.n_splits: 3\ngrid: [{seed: [0, 1, 2]}]"), *NOTHING).rows
    plan = Plan(read_grid("name: a\ndata.limit: 60\nfolds.n_splits: 3\ngrid: [{}]"), *NOTHING)
    progress = Progress(plan, plan.units, terminal=False)
    progress.expect(9)
    assert (progress.total, progress.images_left) == (9, sum(unit.images_to_train for unit in plan.units))
    for unit in [*plan.units, *rows[1]]:
        progress.started(unit)
        progress.finished(unit, Outcome.DONE)
    assert capsys.readouterr().out.splitlines()[-1].startswith("[6/9] done: ")
    assert (progress.total, progress.images_left, len(progress.rows)) == (9, 0, 2)
    for unit in [*rows[2], *Plan(read_grid("name: a\ndata.limit: 60\ngrid: [{seed: 3}]"), *NOTHING).units[:1]]:
        progress.started(unit)
    assert progress.total == 9 + 5  # the last configuration was not expected
    console = Console(width=80)
    with console.capture() as shown:
        console.print(progress.render())
    assert "6 of 14 units done, 4 running, 0 failed" in shown.get()


def lines_of(plan, capsys, outcome, **arguments):
    """Return the lines that the start and the end of one unit print."""
    progress = Progress(plan, plan.units, details=lambda unit, outcome: f"why {outcome}", **arguments)
    with progress:
        progress.prepare("starting Ray with 2 workers")
        progress.prepare("reading the images of digits")
        progress.started(plan.units[0])
        progress.finished(plan.units[0], outcome)
    return capsys.readouterr().out.splitlines(), progress


def test_without_a_terminal_a_unit_is_one_line(plan, capsys):
    """A line at the start, then one for each unit that ended, with its scores or with the reason."""
    lines, progress = lines_of(plan, capsys, Outcome.DONE, terminal=False)
    assert lines == [
        "tiny: 6 units to train; starting Ray with 2 workers",
        f"[1/6] done: {plan.units[0]}  why done",
    ]
    lines, progress = lines_of(plan, capsys, Outcome.FAILED, terminal=False)
    assert lines[1:] == [f"[1/6] failed: {plan.units[0]}: why failed"]
    assert progress.told == {plan.units[0].id}


def test_verbosity_decides_what_is_printed(plan, capsys):
    """Quiet prints failures only; verbose prints starts too. A failure stays above a live table."""
    failure = f"[1/6] failed: {plan.units[0]}: why failed"
    assert lines_of(plan, capsys, Outcome.DONE, terminal=False, verbosity=-1)[0] == []
    assert lines_of(plan, capsys, Outcome.FAILED, terminal=True, verbosity=-1)[0] == [failure]
    assert f"started: {plan.units[0]}" in lines_of(plan, capsys, Outcome.DONE, terminal=False, verbosity=1)[0]


def test_a_stop_is_announced_from_a_handler(plan, capsys):
    """A signal's handler may not print, because it may have interrupted a print. So a thread does."""
    with Progress(plan, plan.units, terminal=False) as progress:
        progress.announce_stop()
    assert capsys.readouterr().out == "stopping: no unit runs\n"
    with Progress(plan, plan.units, terminal=False) as progress:
        progress.started(plan.units[0])
        progress.announce_stop()
    line = "stopping: saving 1 running unit; Ctrl-C again stops at once and saves nothing\n"
    assert capsys.readouterr().out == line
