"""The output streams of a command: output can get lost, but a write that fails never ends the command."""

import codecs
import errno
import io
import os
import select
import sys
from typing import Any

PLAIN = {"±": "+/-", "●": "*", "◐": "~", "○": "."}
"""Replacements for characters that the terminal's encoding lacks. Others are shown by their code point."""


class _Descriptor(io.FileIO):
    """A file descriptor on which no write fails. `lost` is the first error that lost output."""

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """Write what can be written, and report the rest as written."""
        try:
            written: int | None = super().write(data)
            while written is None:  # a non-blocking pipe that is full
                select.select([], [self], [])
                written = super().write(data)
        except OSError as error:
            self.lost = self.lost or error
            return memoryview(data).nbytes
        return written

    def close(self) -> None:
        """Leave the descriptor open, so that nothing is raised while the interpreter ends."""


def _replace_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace the characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end


def guard() -> None:
    """Replace stdout and stderr by streams that never raise. A command calls this first.

    A stream that the shell closed is opened on /dev/null. The next file that is opened would otherwise get its number.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # this opens the lowest free number, which is the closed one
    codecs.register_error("sweeps.plain", _replace_characters)
    sys.stdout, sys.stderr = _guarded(1, sys.stdout), _guarded(2, sys.stderr)


def _guarded(number: int, stream: Any) -> io.TextIOWrapper:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    by_line = number == 2 or bool(stream and (stream.line_buffering or stream.write_through))
    raw = _Descriptor(number, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "sweeps.plain", "\n", line_buffering=by_line)


def all_was_written() -> bool:
    """Return whether all output could be written, and print to stderr why not.

    A reader that has closed its pipe, as in `| head -1`, wanted no more output, so nothing counts as lost.
    """
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    lost = raw.lost if isinstance(raw, _Descriptor) else None
    if lost is None or lost.errno == errno.EPIPE:
        return True
    print(f"not all output could be written: {lost.strerror}", file=sys.stderr)
    return False
