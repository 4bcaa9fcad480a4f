"""The live table, as a terminal of 80 columns shows it."""

from rich.console import Console

from sweeps.backends.progress import Progress
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome

NOTHING = (frozenset(), frozenset())
LONGEST_NAME = "n" * 64
GRID = f"""
name: {LONGEST_NAME}
data: {{dataset: digits, limit: 100}}
grid:
  - {{method: single_decoder, exponent: [1, 2, 3], seed: [{", ".join(map(str, range(78)))}]}}
"""


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


def test_the_head_fits_80_columns(read_grid, monkeypatch):
    """1,170 units of a sweep with the longest name: 1,000 failed, 128 under way, fast and with days to go."""
    plan = Plan(read_grid(GRID), frozenset(), frozenset())
    assert len(plan.units) == 1170
    progress = Progress(plan, plan.units, terminal=True)
    monkeypatch.setattr("sweeps.backends.progress.time.monotonic", lambda: 360_000.0)
    for unit in plan.units[:1000]:
        progress.finished(unit, Outcome.FAILED)
    for unit in plan.units[1000:1128]:
        progress.started(unit)
    progress.started_at, progress.images = 0.0, 123_456 * 360_000
    progress.images_left = 10 * progress.images
    console = Console(width=80)
    with console.capture() as shown:
        console.print(progress.render())
    time_left, counts, columns, *_ = shown.get().splitlines()
    assert time_left.rstrip() == f"{LONGEST_NAME}: 1000.0 h left"
    assert counts.rstrip() == "0 of 1170 units done, 128 running, 1000 failed; 123,456 images/s"
    assert columns.split() == ["configuration", "folds", "running"]
