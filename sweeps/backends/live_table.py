"""Draws the live table of a running sweep so that it fits the height and width of the terminal."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console, Group
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

    A line summarises the rows that do not fit. Every line is at most `width` wide, because long texts are folded.
    """
    lines = [line for text in _head(progress) for line in _folded(text, width)]
    room = height - SPARE_LINES - len(lines)
    runs = [any(unit.id in progress.running for unit in row) for row in progress.rows]
    rows = [row for row, running in zip(progress.rows, runs, strict=True) if running]
    rows += [row for row, running in zip(progress.rows, runs, strict=True) if not running]
    candidates = rows[: max(room, 1)]  # each takes a line at least
    marks = [_marks(progress, row) for row in candidates]
    most = max(width - max((text.cell_len for text in marks), default=1) - GAP, 1)
    label_width = min(most, max((cell_len(one_line(row[0].label)) for row in candidates), default=1))
    blocks = [_block(progress, row, text, label_width, width) for row, text in zip(candidates, marks, strict=True)]
    shown = _fitting(blocks, room, len(candidates) == len(rows))
    lines += [line for block in blocks[:shown] for line in block]
    if rows[shown:]:
        lines.append(_summary(progress, rows[shown:], shown > 0))
    return Group(*lines)


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


def _marks(progress: "Progress", row: Sequence[Unit]) -> Text:
    """Return the marks of a row's units, or how many of them are done if they are many."""
    if len(row) > MOST_MARKS:
        return Text(f"{sum(unit.id in progress.done for unit in row)}/{len(row)}")
    return Text.from_markup("".join(progress.mark(unit) for unit in row))


def _block(progress: "Progress", row: Sequence[Unit], marks: Text, label_width: int, width: int) -> list[Text]:
    """Return the lines of a row: its label with the marks beside it, and below it those of each running unit."""
    first, *more = _folded(Text(one_line(row[0].label)), label_width)
    first.pad_right(label_width + GAP - first.cell_len)
    lines = [first.append_text(marks), *more]
    for unit in row:
        if unit.id in progress.running:
            lines += _running_lines(progress, unit, width)
    return lines


def _running_lines(progress: "Progress", unit: Unit, width: int) -> list[Text]:
    """Return a running unit's fold, how much of it is trained, and its losses, two spaces apart."""
    parts = [f"fold {unit.fold}" if unit.stage == TRAINING else f"{unit.stage} {unit.fold}"]
    epoch, epochs = progress.epoch(unit)
    if epochs:
        parts += [f"{progress.part_trained(unit):.0%}", f"epoch {epoch}/{epochs}"]
    _, losses = progress.losses.get(unit.id, (0.0, {}))
    parts += [one_line(f"{name} {value:.4g}") for name, value in losses.items()]
    found: list[str] = []
    for part in parts:
        if found and cell_len(found[-1]) + GAP + cell_len(part) <= width - 2 * GAP:
            found[-1] += " " * GAP + part
        else:
            found.append(part)
    lines = [line for text in found for line in _folded(Text(text, "dim"), max(width - 2 * GAP, 1))]
    return [Text(" " * (GAP if i == 0 else 2 * GAP)).append_text(line) for i, line in enumerate(lines)]


def _fitting(blocks: Sequence[Sequence[Text]], room: int, are_all: bool) -> int:
    """Return how many of the first rows fit, with one line less than the room if some rows do not."""
    if are_all and sum(map(len, blocks)) <= room:
        return len(blocks)
    used = list(accumulate(map(len, blocks)))
    return sum(lines <= room - 1 for lines in used)


def _folded(text: Text, width: int) -> list[Text]:
    """Return the lines of a text in a column of this width."""
    return list(text.wrap(_CONSOLE, width, overflow="fold")) or [text]


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
    if ids & progress.failed or (ids & progress.plan.failed) - progress.done:
        return "with failures"
    return "begun" if ids & progress.done else "waiting"
