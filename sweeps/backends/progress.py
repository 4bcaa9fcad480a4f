"""What a running sweep shows: a live table on a terminal, plain lines elsewhere. Used in the driver only."""

import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sweeps.config.stages import TRAINING
from sweeps.plan.identity import units_of
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome, Unit
from sweeps.text import error_line, one_line

MAX_ROWS = 30  # of the live table; if a sweep has more, the table shows only rows with a running unit


def duration(seconds: float) -> str:
    """Return seconds as text in s, min or h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Progress:
    """Counts the starts, epochs and ends of units, and shows them inside its `with` block. For one process and thread.

    A search hands out units that are in no plan. The first unit of such a configuration adds the configuration's units.

    Attributes:
        before_first_unit: called before the first unit starts, once its images have been read and checked.
        unknown: how many further units are expected, of configurations that nobody knows yet.
    """

    def __init__(
        self,
        plan: Plan,
        missing: Sequence[Unit],
        terminal: bool | None = None,
        before_first_unit: Callable[[], None] = lambda: None,
    ):
        self.before_first_unit: Callable[[], None] | None = before_first_unit
        self.plan, self.rows, self.known = plan, list(plan.rows), {unit.id for unit in plan.units}
        self.expected, self.unknown = len(missing), 0
        self.images_left = sum(unit.images_to_train for unit in missing)
        self.images_expected = self.images_left
        self.done = {unit.id for unit in plan.units} & plan.done
        self.failed: set[tuple[str, int]] = set()
        self.running: dict[tuple[str, int], int | None] = {}  # images trained; None before the first report
        self.finished_units = self.images = 0
        self.started_at = time.monotonic()
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self.live: Live | None = None

    @property
    def total(self) -> int:
        """How many units are trained in this run, as far as is known."""
        return self.expected + self.unknown

    def expect(self, units: int) -> None:
        """Take note of how many units the work source will hand out, as far as it knows."""
        self.unknown = max(0, units - self.expected)

    def _add(self, unit: Unit) -> None:
        """Add the configuration of a unit that is in no plan, unless it is known by now."""
        row = units_of(unit.settings, label=unit.label)
        new = row if unit.id in {other.id for other in row} else [unit]
        self.rows.append(new)
        self.known.update(other.id for other in new)
        self.expected += len(new)
        self.unknown = max(0, self.unknown - len(new))
        images = sum(other.images_to_train for other in new)
        self.images_left += images
        self.images_expected += images

    def __enter__(self) -> Self:
        if self.terminal:
            self.live = Live(get_renderable=self.render, refresh_per_second=2, console=Console(), transient=False)
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.live is not None:
            self.live.stop()

    def say(self, lines: Sequence[str]) -> None:
        """Print lines above the live table; they stay on the screen."""
        for line in map(one_line, lines):
            if self.live is not None:
                self.live.console.print(Text(line))
            else:
                print(line, flush=True)

    def started(self, unit: Unit) -> None:
        """Count a unit as running."""
        if self.before_first_unit is not None:
            self.before_first_unit()
            self.before_first_unit = None
        if not self.images and not self.running:
            self.started_at = time.monotonic()  # the time that Ray takes to start does not count
        if unit.id not in self.known:
            self._add(unit)
        self.running[unit.id] = None

    def trained(self, unit: Unit, images: int) -> None:
        """Count the images that a unit has trained so far, `images` in all.

        The first report of a unit is where it starts: images before its checkpoint do not count as speed.
        """
        before = self.running.get(unit.id)
        self.images += 0 if before is None else images - before
        self.running[unit.id] = images

    def finished(self, unit: Unit, outcome: Outcome) -> None:
        """Count a unit that ended; without a terminal, print a line about it."""
        self.running.pop(unit.id, None)
        if outcome is Outcome.STOPPED:
            return
        self.finished_units += 1
        self.images_left -= unit.images_to_train
        (self.failed if outcome is Outcome.FAILED else self.done).add(unit.id)
        if not self.terminal:
            left = f", about {self.time_left()} left" if self.images and self.finished_units < self.total else ""
            print(f"[{self.finished_units}/{self.total}] {outcome}: {unit}{left}", flush=True)

    def time_left(self) -> str:
        """Return the time left as text, from the images per second since the start; "?" before the first epoch."""
        under_way = sum(images or 0 for images in list(self.running.values()))  # a copy: rich draws in another thread
        if not self.images:
            return "?"
        left = self.images_left - under_way
        if self.unknown and self.expected:  # a configuration that is still unknown takes as long as the known ones
            left += round(self.unknown * self.images_expected / self.expected)
        return duration(left * (time.monotonic() - self.started_at) / self.images)

    def render(self) -> Group | Text:
        """Return the live table, or a line with the error that drawing it raised.

        An error here must not end the sweep: the table is drawn whenever a unit reports.
        """
        try:
            return self.table()
        except Exception as error:
            return Text(f"{self.plan.grid.name}: no table: {type(error).__name__}: {one_line(error_line(error))}")

    def table(self) -> Group:
        """Return the live table: two lines that fit 80 columns, then a line per configuration with a mark per fold."""
        speed = self.images / max(time.monotonic() - self.started_at, 1e-9)
        title = (
            f"{self.plan.grid.name}: {self.time_left()} left\n"
            f"{len(self.done)} of {len(self.known) + self.unknown} units done, {len(self.running)} running, "
            f"{len(self.failed)} failed; {speed:,.0f} images/s"
        )
        table = Table(box=None, pad_edge=False)
        table.add_column("configuration", overflow="fold")
        table.add_column("folds", no_wrap=True)
        table.add_column("running")
        rows = [row for row in self.rows if any(unit.id in self.running for unit in row)]
        for row in self.rows if len(self.rows) <= MAX_ROWS else rows[:MAX_ROWS]:
            marks = "".join(self.mark(unit) for unit in row)
            table.add_row(escape(row[0].label), marks, ", ".join(filter(None, map(self.part_trained, row))))
        return Group(Text(title), table)

    def mark(self, unit: Unit) -> str:
        """Return the sign for done, failed, running or waiting; the signs differ without colour too."""
        if unit.id in self.done:
            return "[green]●[/]"
        if unit.id in self.running:
            return "[yellow]◐[/]"
        return "[red]x[/]" if unit.id in self.failed | self.plan.failed else "[dim]○[/]"

    def part_trained(self, unit: Unit) -> str:
        """Return a running unit's fold and how much of it is trained, as text; empty if the unit is not running."""
        if unit.id not in self.running:
            return ""
        what = f"fold {unit.fold}" if unit.stage == TRAINING else f"{unit.stage} {unit.fold}"
        if not unit.images_to_train:  # a stage that trains nothing
            return what
        return f"{what} {(self.running[unit.id] or 0) / unit.images_to_train:.0%}"
