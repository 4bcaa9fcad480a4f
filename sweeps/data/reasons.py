"""Reasons why a file gives no image, and trouble of the machine, which says nothing about the file and ends reading."""

import errno

import numpy as np

GONE = "gone since the folder was listed"
NOT_OURS = "not readable (permissions)"
NO_IMAGE = "not an image despite its name"
DAMAGED = "damaged or cut off"
NO_RANGE = "32-bit pixels whose black and white are not known"
SIGNED = "signed pixels whose black and white are not known"
TIFF_KIND = "a kind of TIFF that is not supported"

FILE_IS_GONE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
_CONTENT = {errno.EINVAL, errno.ESPIPE, errno.EOVERFLOW}
"""Errors that a decoder gets when it follows a wrong offset in a damaged file."""


class Unusable(ValueError):
    """A file gives no image. The message is one of a few, so that files can be counted by it."""


class MachineTrouble(OSError):
    """The machine cannot read a file now. The message names the file and the reason."""


def is_machine_trouble(error: Exception) -> bool:
    """Return whether a decoder's error is the machine's and not the file's: EIO, ESTALE, EMFILE, no memory."""
    if isinstance(error, OSError) and not isinstance(error, PermissionError):
        if error.errno is None:
            return "out of memory" in str(error)  # Pillow's message
        return error.errno not in _CONTENT | FILE_IS_GONE
    return isinstance(error, MemoryError)


def trouble_text(error: Exception) -> str:
    """Describe trouble of the machine."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    return "not enough memory"


def require_memory(n_bytes: int) -> None:
    """Raise MemoryError if this much memory cannot be allocated.

    Decoders (libjpeg, libtiff, LittleCMS) report damage when they get no memory, so this is called after each failure.
    The memory is not written to, so the call costs no time.
    """
    np.empty(n_bytes, np.uint8)
