"""Draws the live table of a running sweep so that it fits the height and width of the terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeps.config.stages import TRAINING
from sweeps.plan.unit import Unit
from sweeps.text import count_text, duration, one_line

if TYPE_CHECKING:
    from sweeps.backends.progress import Progress

MOST_MARKS = 20  # of a configuration; with more units it shows how many are done
SPARE_LINES = 1  # below the table, for the cursor
GAP = 2  # columns between two columns
STATES = ("running", "complete", "with failures", "begun", "waiting")


def draw(progress: "Progress", width: int, height: int) -> Group:
    """Return the live table: two lines of counts, the running rows, then other rows as far as they fit.

    A line summarises the rows that do not fit. Every line is at most `width` wide, because each column folds its text.
    """
    head = _head(progress)
    room = height - SPARE_LINES - sum(_lines(line, width) for line in head)
    running = [row for row in progress.rows if any(unit.id in progress.running for unit in row)]
    rest = [row for row in progress.rows if not any(unit.id in progress.running for unit in row)]
    blocks = [_block(progress, row) for row in (*running, *rest)]
    marks_width = max((marks.cell_len for _, marks in blocks), default=1)
    label_width = max(width - marks_width - GAP, 1)
    shown = _fitting(blocks, label_width, room)
    longest = max((cell_len(line) for text, _ in blocks for line in text.plain.split("\n")), default=1)
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
    table.add_column(overflow="fold", width=min(label_width, longest))
    table.add_column(no_wrap=True, width=marks_width)
    for text, (_, marks) in zip(shown, blocks, strict=False):
        table.add_row(text, marks)
    parts: list[RenderableType] = [*head]
    parts += [table] if shown else []
    hidden = [*running, *rest][len(shown) :]
    parts += [_summary(progress, hidden, bool(shown))] if hidden else []
    return Group(*parts)


def _head(progress: "Progress") -> list[Text]:
    """Return the counts, and below them the times or what happens before the first unit."""
    name, counts = progress.plan.grid.name, f"{len(progress.done)} of {len(progress.known) + progress.unknown}"
    first = f"{name}: {counts} units done, {len(progress.running)} running, {len(progress.failed)} failed"
    times = [f"{duration(progress.elapsed())} elapsed"]
    if progress.doing:
        times.insert(0, progress.doing)
    elif progress.images:
        times += [f"{progress.time_left()} left", f"{progress.speed():,.0f} images/s"]
    return [Text(one_line(first)), Text(one_line(", ".join(times)))]


def _block(progress: "Progress", row: Sequence[Unit]) -> tuple[Text, Text]:
    """Return a row's label, with a line below it for each running unit, and the marks of its units."""
    text = Text(one_line(row[0].label))
    for unit in row:
        if unit.id in progress.running:
            text.append(f"\n  {_running_text(progress, unit)}", "dim")
    if len(row) > MOST_MARKS:
        done = sum(unit.id in progress.done for unit in row)
        return text, Text(f"{done}/{len(row)}")
    return text, Text.from_markup("".join(progress.mark(unit) for unit in row))


def _running_text(progress: "Progress", unit: Unit) -> str:
    """Return a running unit's fold, how much of it is trained, and its losses, two spaces apart."""
    parts = [f"fold {unit.fold}" if unit.stage == TRAINING else f"{unit.stage} {unit.fold}"]
    epoch, epochs = progress.epoch(unit)
    if epochs:
        parts += [f"{progress.part_trained(unit):.0%}", f"epoch {epoch}/{epochs}"]
    _, losses = progress.losses.get(unit.id, (0.0, {}))
    parts += [f"{name} {value:.4g}" for name, value in losses.items()]
    return one_line("  ".join(parts))


def _fitting(blocks: Sequence[tuple[Text, Text]], width: int, room: int) -> list[Text]:
    """Return the texts of the first rows that fit, with one line less than the room if some rows do not."""
    lines = [_lines(text, width) for text, _ in blocks]
    if sum(lines) <= room:
        return [text for text, _ in blocks]
    shown, used = [], 0
    for (text, _), n in zip(blocks, lines, strict=True):
        if used + n > room - 1:
            break
        shown.append(text)
        used += n
    return shown


def _lines(text: Text, width: int) -> int:
    """Return how many lines a text takes in a column of this width."""
    return len(text.wrap(_CONSOLE, width, overflow="fold"))


_CONSOLE = Console()
"""What `Text.wrap` takes its defaults from; nothing is printed to it."""


def _summary(progress: "Progress", rows: Sequence[Sequence[Unit]], more: bool) -> Text:
    """Return on one line how many rows are not shown, by their state."""
    counts = Counter(_state(progress, row) for row in rows)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    of = "and " + count_text(len(rows), "more row") if more else count_text(len(rows), "row")
    text = f"{of}: {', '.join(parts)}"
    return Text(text, "dim", no_wrap=True, overflow="ellipsis")


def _state(progress: "Progress", row: Sequence[Unit]) -> str:
    ids = {unit.id for unit in row}
    if ids & progress.running.keys():
        return "running"
    if ids <= progress.done:
        return "complete"
    if ids & (progress.failed | progress.plan.failed) - progress.done:
        return "with failures"
    return "begun" if ids & progress.done else "waiting"
