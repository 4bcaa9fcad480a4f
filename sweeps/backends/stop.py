"""A stop that was asked for: by Ctrl-C, by a batch system's SIGTERM, by a terminal that is closed (SIGHUP), in this
process or, through a file, in another."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sweeps.ledger.storage import Storage, temporary_name

POLL_SECONDS = 0.5  # how often a worker looks at the file


class Stop:
    """Hears SIGINT, SIGTERM and SIGHUP. The first asks for a graceful stop, a second Ctrl-C ends the process at
    once."""

    def __init__(self) -> None:
        self.requested_at: float | None = None
        self.listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        return self.requested_at is not None

    def listen(self) -> None:
        """Takes over these signals (again, after a library that sets its own handlers). Main thread only. A SIGHUP that
        is ignored, as `nohup` has it, stays ignored."""
        signal.signal(signal.SIGINT, self._hear)
        signal.signal(signal.SIGTERM, self._hear)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.request()

    def request(self) -> None:
        """Ask for a graceful stop, and tell the listeners; a second time changes nothing."""
        if self.requested_at is None:
            self.requested_at = time.monotonic()
            for listener in self.listeners:
                listener()


def ignore_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP do nothing."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def children_ignore_signals() -> Iterator[None]:
    """Start processes that never hear SIGHUP, which a closed terminal sends to all of them: this process alone hears
    it, at the end of the block at the latest, and stops them once they have saved their work."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # children, and theirs, inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopFile:
    """The same for workers on any machine that see the results folder: there while a stop is asked for.

    Named as a temporary file of the driver, so that one left behind by a killed driver is swept like any other.
    """

    def __init__(self, storage: Storage):
        self.storage, self.name, self.looked_at, self.seen = storage, temporary_name("stop"), 0.0, False

    def raise_(self) -> None:
        self.storage.write(self.name, b"")

    def clear(self) -> None:
        self.storage.remove(self.name)

    def is_raised(self) -> bool:
        """Looks at the storage at most every POLL_SECONDS."""
        if not self.seen and time.monotonic() - self.looked_at > POLL_SECONDS:
            self.looked_at, self.seen = time.monotonic(), self.storage.exists(self.name)
        return self.seen
