"""The streams of a command: what is printed can get lost, but it never decides how the command ends."""

import codecs
import errno
import io
import os
import select
import sys
from typing import Any

PLAIN = {"±": "+/-", "●": "*", "◐": "~", "○": "."}
"""What stands for a character that the terminal's encoding lacks; others are shown by their number."""


class _Descriptor(io.FileIO):
    """A file descriptor on which no write fails. `lost`: why the first output got lost."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Write what can be written, and take the rest for written."""
        try:
            written: int | None = super().write(data)
            while written is None:  # a pipe that does not block, and is full
                select.select([], [self], [])
                written = super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return memoryview(data).nbytes
        return written

    def close(self) -> None:
        """Keep the descriptor, and raise nothing while the interpreter ends."""


def _replace_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Put characters that an encoding lacks into others."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end


def guard() -> None:
    """Make stdout and stderr streams that never raise: for the beginning of a command.

    A stream that the shell closed leads nowhere. Its number would otherwise be given to the next file that is opened.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
    codecs.register_error("sweeps.plain", _replace_characters)
    sys.stdout, sys.stderr = _guarded(1, sys.stdout), _guarded(2, sys.stderr)


def _guarded(number: int, stream: Any) -> io.TextIOWrapper:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    by_line = number == 2 or bool(stream and (stream.line_buffering or stream.write_through))
    raw = _Descriptor(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "sweeps.plain", "\n", line_buffering=by_line)


def all_was_written() -> bool:
    """Return whether what was printed could be written, and say on stderr why not. A reader that has gone, as
    `| head -1` does, wants no more: that is no loss."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    lost = raw.lost if isinstance(raw, _Descriptor) else None
    if lost is None or lost.errno == errno.EPIPE:
        return True
    print(f"not all output could be written: {lost.strerror}", file=sys.stderr)
    return False
