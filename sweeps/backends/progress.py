"""What a running sweep shows: a live table on a terminal, plain lines elsewhere. Used in the driver only."""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from sweeps.backends import live_table
from sweeps.config.stages import STAGES
from sweeps.plan.identity import units_of
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome, Unit, UnitId
from sweeps.text import count_text, duration, error_line, one_line

LOSS_SECONDS = 1.0  # least time between two looks at a unit's losses, for which a GPU has to be waited for
QUIET, NORMAL, VERBOSE = -1, 0, 1


class Progress:
    """Counts the starts, epochs and ends of units, and shows them inside its `with` block. For one process and thread.

    A search hands out units that are in no plan. The first unit of such a configuration adds the configuration's units.

    Attributes:
        before_first_unit: called before the first unit starts, once its images have been read and checked.
        unknown: how many further units are expected, of configurations that nobody knows yet.
        doing: what happens before the first unit; empty afterwards.
        told: the failed units whose reason was printed.
    """

    def __init__(
        self,
        plan: Plan,
        missing: Sequence[Unit],
        terminal: bool | None = None,
        before_first_unit: Callable[[], None] = lambda: None,
        details: Callable[[Unit, Outcome], str] = lambda unit, outcome: "",
        on_change: Callable[[Mapping[Unit, float]], None] = lambda running: None,
        verbosity: int = NORMAL,
    ):
        """Set up counts of a plan's missing units.

        Args:
            terminal: whether there is a live table; None: if stdout is a terminal.
            details: returns the scores of a done unit, or why a unit failed.
            on_change: called when a unit starts, reports or ends, with the running units and the parts of them trained.
            verbosity: with `QUIET` only failures are printed, with `VERBOSE` starts too, and ends on a terminal too.
        """
        self.before_first_unit: Callable[[], None] | None = before_first_unit
        self.details, self.on_change, self.verbosity = details, on_change, verbosity
        self.plan, self.rows, self.known = plan, list(plan.rows), {unit.id for unit in plan.units}
        self.expected, self.unknown = len(missing), 0
        self.images_left = sum(unit.images_to_train for unit in missing)
        self.images_expected = self.images_left
        self.done = {unit.id for unit in plan.units} & plan.done
        self.failed: set[UnitId] = set()
        self.told: set[UnitId] = set()
        self.running: dict[UnitId, int | None] = {}  # images trained; None before the first report
        self.losses: dict[UnitId, tuple[float, Mapping[str, float]]] = {}  # with the time of the look
        self.units_running: dict[UnitId, Unit] = {}
        self.finished_units = self.images = 0
        self.began_at = self.started_at = time.monotonic()
        self.terminal = (sys.stdout.isatty() if terminal is None else terminal) and verbosity != QUIET
        self.doing, self.introduced = "", False
        self.live: Live | None = None
        self.stops: SimpleQueue[int | None] = SimpleQueue()  # the units running at a stop; None: the end
        self.speaking = threading.Thread(target=self._print_stop, daemon=True)

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
        self._changed()
        self.speaking.start()
        if self.terminal:
            self.live = Live(get_renderable=self.render, refresh_per_second=2, console=Console(), transient=True)
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.stops.put(None)
        self.speaking.join()
        if self.live is not None:
            self.live.stop()

    def say(self, lines: Sequence[str]) -> None:
        """Print lines above the live table; they stay on the screen."""
        if self.verbosity != QUIET:
            self._print(*lines)

    def _print(self, *lines: str) -> None:
        for line in map(one_line, lines):
            if self.live is not None:
                self.live.console.print(Text(line))
            else:
                print(line, flush=True)

    def prepare(self, what: str) -> None:
        """Show what happens before the first unit starts. Without a terminal, print one line, with the first of it."""
        self.doing = what
        if not self.introduced and not self.terminal:
            done = f", {len(self.done):,} done before" if self.done else ""
            self.say([f"{self.plan.grid.name}: {count_text(self.total, 'unit')} to train{done}; {what}"])
        self.introduced = True

    def started(self, unit: Unit) -> None:
        """Count a unit as running."""
        if self.before_first_unit is not None:
            self.before_first_unit()
            self.before_first_unit = None
        if not self.images and not self.running:
            self.started_at = time.monotonic()  # the time that Ray takes to start does not count as speed
        if unit.id not in self.known:
            self._add(unit)
        self.doing = ""
        self.running[unit.id], self.units_running[unit.id] = None, unit
        if self.verbosity == VERBOSE:
            self._print(f"started: {unit}")
        self._changed()

    def trained(self, unit: Unit, images: int, losses: Callable[[], Mapping[str, float]] = dict) -> None:
        """Count the images that a unit has trained so far, `images` in all, and look at its losses for the live table.

        The first report of a unit is where it starts: images before its checkpoint do not count as speed.
        """
        before = self.running.get(unit.id)
        self.images += 0 if before is None else images - before
        self.running[unit.id] = images
        if self.terminal and time.monotonic() - self.losses.get(unit.id, (0.0, {}))[0] > LOSS_SECONDS:
            self.losses[unit.id] = time.monotonic(), losses()
        self._changed()

    def finished(self, unit: Unit, outcome: Outcome) -> None:
        """Count a unit that ended. Print a line about it without a terminal, and if it failed."""
        for of_running in (self.running, self.units_running, self.losses):
            of_running.pop(unit.id, None)
        self._changed()
        if outcome is Outcome.STOPPED:
            return
        self.finished_units += 1
        self.images_left -= unit.images_to_train
        failed = outcome is Outcome.FAILED
        (self.failed if failed else self.done).add(unit.id)
        if not failed and (self.verbosity == QUIET or (self.terminal and self.verbosity == NORMAL)):
            return
        details = self.details(unit, outcome)
        details = details and (": " if failed else "  ") + details
        if failed and details:
            self.told.add(unit.id)
        left = self.images and self.finished_units < self.total and not self.terminal
        self._print(
            f"[{self.finished_units}/{self.total}] {outcome}: {unit}{details}"
            + (f"{';' if failed else ' '} {self.time_left()} left" if left else "")
        )

    def _changed(self) -> None:
        self.on_change({u: self.part_trained(u) for u in self.units_running.values()})

    def announce_stop(self) -> None:
        """Let another thread print what a stop saves.

        A signal's handler calls this. It may have interrupted a print or anything else that holds a lock; a
        SimpleQueue takes an item even then.
        """
        self.stops.put(len(self.running))

    def _print_stop(self) -> None:
        """Wait for a stop, and print what it saves; print nothing at the end without a stop."""
        n = self.stops.get()
        if n is not None:
            saving = f"saving {count_text(n, 'running unit')}; Ctrl-C again stops at once and saves nothing"
            self._print(f"stopping: {saving if n else 'no unit runs'}")

    def part_trained(self, unit: Unit) -> float:
        """Return how much of a running unit's training is done, from 0 to 1."""
        return (self.running.get(unit.id) or 0) / max(unit.images_to_train, 1)

    def epoch(self, unit: Unit) -> tuple[int, int]:
        """Return the running epoch of a unit, from 1, and how many epochs it has; (0, 0) if it trains nothing."""
        epochs = STAGES[unit.stage].epochs(unit.settings) if unit.images_to_train else 0
        return min(int(self.part_trained(unit) * epochs) + 1, epochs), epochs

    def elapsed(self) -> float:
        """Return the seconds since the command began to prepare the first unit."""
        return time.monotonic() - self.began_at

    def speed(self) -> float:
        """Return the images trained per second since the first unit started."""
        return self.images / max(time.monotonic() - self.started_at, 1e-9)

    def mark(self, unit: Unit) -> str:
        """Return the sign for done, failed, running or waiting; the signs differ without colour too."""
        if unit.id in self.done:
            return "[green]●[/]"
        if unit.id in self.running:
            return "[yellow]◐[/]"
        return "[red]x[/]" if unit.id in self.failed or unit.id in self.plan.failed else "[dim]○[/]"

    def seconds_left(self) -> float | None:
        """Estimate the seconds left, from the images per second since the start; None before the first epoch."""
        if not self.images:
            return None
        under_way = sum(images or 0 for images in list(self.running.values()))  # a copy: rich draws in another thread
        left = self.images_left - under_way
        if self.unknown and self.expected:  # a configuration that is still unknown takes as long as the known ones
            left += round(self.unknown * self.images_expected / self.expected)
        return left * (time.monotonic() - self.started_at) / self.images

    def time_left(self) -> str:
        """Return the time left as text; "?" before the first epoch."""
        seconds = self.seconds_left()
        return "?" if seconds is None else f"about {duration(seconds)}"

    def render(self) -> Group | Text:
        """Return the live table, or a line with the error that drawing it raised.

        An error here must not end the sweep: the table is drawn whenever a unit reports.
        """
        console = self.live.console if self.live is not None else Console()
        try:
            return live_table.draw(self, console.width, console.height)
        except Exception as error:
            return Text(f"{self.plan.grid.name}: no table: {type(error).__name__}: {one_line(error_line(error))}")
