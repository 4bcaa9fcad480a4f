"""A request to stop: in this process by a signal, in workers by a file.

The signals are Ctrl-C (SIGINT), a batch system's SIGTERM, and a closed terminal's SIGHUP.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from sweeps.ledger.storage import Storage
from sweeps.ledger.temporary import temporary_name

POLL_SECONDS = 0.5  # between two looks of a worker at the file


class Stop:
    """Turns the first SIGINT, SIGTERM or SIGHUP into a graceful stop; a second Ctrl-C ends the process at once."""

    def __init__(self) -> None:
        self.requested_at: float | None = None
        self.listeners: list[Callable[[], None]] = []

    @property
    def requested(self) -> bool:
        """Whether the sweep is to stop."""
        return self.requested_at is not None

    def install_handlers(self) -> None:
        """Handle these signals here, also after a library set its own handlers. Main thread only.

        A SIGHUP that is ignored, as under `nohup`, stays ignored.
        """
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.request()

    def request(self) -> None:
        """Request a graceful stop, and call the listeners; a second request changes nothing."""
        if self.requested_at is None:
            self.requested_at = time.monotonic()
            for listener in self.listeners:
                listener()


def ignore_signals() -> None:
    """Ignore SIGINT, SIGTERM and SIGHUP from now on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def children_ignore_signals() -> Iterator[None]:
    """Block SIGHUP, so that processes started inside the block never receive it.

    A closed terminal sends it to all processes. Only this one is to receive it, at the latest when the block ends: it
    stops the others once they have saved their work.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # children and their children inherit the mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopFile:
    """A file in the results folder that tells workers on any machine to stop: it exists while a stop is requested.

    It is named as a temporary file of the driver, so that one left behind by a killed driver is removed like any other.
    """

    def __init__(self, storage: Storage):
        self.storage, self.name, self.checked_at, self.seen = storage, temporary_name("stop"), 0.0, False

    def create(self) -> None:
        """Request a stop."""
        self.storage.write(self.name, b"")

    def remove(self) -> None:
        """Take the request back."""
        self.storage.remove(self.name)

    def exists(self) -> bool:
        """Return whether a stop is requested. Looks at the storage at most every POLL_SECONDS."""
        if not self.seen and time.monotonic() - self.checked_at > POLL_SECONDS:
            self.checked_at, self.seen = time.monotonic(), self.storage.exists(self.name)
        return self.seen
