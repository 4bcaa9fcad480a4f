"""The live table fits the terminal's width and height, whatever runs."""

from functools import partial

import pytest
from rich.console import Console

from sweeps.backends import live_table
from sweeps.backends.progress import Progress
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome

NOTHING = (frozenset(), frozenset())
LONGEST_NAME = "n" * 64
ROWS_28 = """
name: many
data: {dataset: digits, limit: 300}
training: {epochs: 4, batch_size: 32}
grid:
  - {family: [vqvae, gaussian_vae], method: none, training.lr: [0.003, 0.001]}
  - {family: [vqvae, gaussian_vae], method: multi_decoder, sampler: [exact, uniform], soft_adapt: [false, true],
     training.lr: [0.003, 0.001]}
  - {family: [vqvae, gaussian_vae], method: single_decoder, sampler: uniform, exponent: [40, 60],
     training.lr: [0.003, 0.001]}
"""
ROWS_234 = f"""
name: {LONGEST_NAME}
data: {{dataset: digits, limit: 100}}
grid:
  - {{method: single_decoder, exponent: [1, 2, 3], seed: [{", ".join(map(str, range(78)))}]}}
"""
LOSSES = {"unconditioned": 0.1422, "conditioned": 0.1512, "latent": 0.0012}


def lines_of(progress, width, height):
    """Return the lines of the live table, as a terminal of this size shows them."""
    console = Console(width=width, height=height)
    with console.capture() as shown:
        console.print(live_table.draw(progress, width, height))
    return [line.rstrip() for line in shown.get().splitlines()]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (160, 50)])
def test_a_sweep_of_28_rows_fits(read_grid, width, height):
    """Running rows come first, each with its losses. The last line counts the rows that are not shown."""
    plan = Plan(read_grid(ROWS_28), *NOTHING)
    assert len(plan.rows) == 28
    progress = Progress(plan, plan.units, terminal=True)
    for row in plan.rows[:10]:
        progress.started(row[0])
        progress.finished(row[0], Outcome.DONE)
    for row in plan.rows[14:16]:
        progress.started(row[1])
        progress.trained(row[1], 0)
        progress.trained(row[1], row[1].images_to_train // 2, lambda: LOSSES)
        progress.losses[row[1].id] = (0.0, LOSSES)
    lines = lines_of(progress, width, height)
    text = " ".join(" ".join(lines).split())
    assert max(map(len, lines)) <= width and len(lines) < height
    assert "many: 10 of 140 units done, 2 running, 0 failed" in text
    assert "elapsed, about" in text and "images/s" in text
    labels = [row[0].label for row in plan.rows]
    assert text.index(labels[14].split(", training")[0]) < text.index(labels[0])  # running rows first
    running = text[text.index(labels[14].split(",")[0]) :]
    assert "fold 1 50% epoch 3/4 unconditioned 0.1422 conditioned 0.1512 latent 0.0012" in " ".join(running.split())
    if height == 50:
        assert all(label in text for label in labels)
    else:
        shown = sum(line.rstrip().endswith("○") for line in lines)
        assert lines[-1].startswith(f"and {28 - shown} more rows: ") and "waiting" in lines[-1]


def test_many_running_units_fit_80_columns(read_grid):
    """1,170 units of a sweep with the longest name: 1,000 failed, 128 run, fast and with days to go."""
    plan = Plan(read_grid(ROWS_234), *NOTHING)
    progress = Progress(plan, plan.units, terminal=True)
    for unit in plan.units[:1000]:
        progress.failed.add(unit.id)
    for unit in plan.units[1000:1128]:
        progress.started(unit)
    progress.started_at, progress.images = progress.began_at - 360_000.0, 123_456 * 360_000
    progress.images_left = 10 * progress.images
    lines = lines_of(progress, 80, 24)
    text = " ".join(lines)
    assert max(map(len, lines)) <= 80 and len(lines) <= 23
    assert text.startswith(f"{LONGEST_NAME}: 0 of 1170 units done, 128 running, 1000 failed"[:64])
    assert "128 running, 1000 failed" in text and "1000.0 h left" in text and "images/s" in text
    assert lines[-1].startswith("and ") and " running, " in lines[-1] and "200 with failures" in lines[-1]


def test_what_happens_before_the_first_unit(plan):
    progress = Progress(plan, plan.units, terminal=True)
    progress.prepare("starting Ray with 2 workers")
    assert lines_of(progress, 80, 24)[1] == "starting Ray with 2 workers, 0 s elapsed"
    progress.started(plan.units[0])
    assert lines_of(progress, 80, 24)[1] == "0 s elapsed"


def test_many_folds_are_counted(read_grid):
    plan = Plan(read_grid("name: a\ndata.limit: 300\nfolds.n_splits: 25\ngrid: [{}]"), *NOTHING)
    progress = Progress(plan, plan.units, terminal=True)
    progress.finished(plan.units[0], Outcome.DONE)
    assert lines_of(progress, 40, 24)[-1].split() == ["vqvae", "1", "none", "1/25"]


def test_losses_are_looked_at_once_a_second(plan):
    """A look waits for the GPU, and without a live table nobody reads the losses."""
    looks = []
    for terminal in (True, False):
        progress = Progress(plan, plan.units, terminal=terminal)
        progress.started(plan.units[0])
        for images in range(5):
            progress.trained(plan.units[0], images, partial(looks.append, images))
        assert len(looks) == 1
