"""Why a file gives no image, and what is no fault of the file: trouble of the machine, which ends the reading."""

import errno

import numpy as np

GONE = "gone since the folder was listed"
NOT_OURS = "not ours to read (permissions)"
NO_IMAGE = "not an image, whatever the name says"
DAMAGED = "damaged or cut off"
NO_RANGE = "32-bit pixels, of which black and white are not known"
SIGNED = "signed pixels, of which black and white are not known"
TIFF_KIND = "a kind of TIFF that is not supported"

FILE_IS_GONE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
_CONTENT = {errno.EINVAL, errno.ESPIPE, errno.EOVERFLOW}
"""What a decoder gets that follows an offset out of a damaged file."""


class Unusable(ValueError):
    """A file that gives no image. The message is one of a few, so that files can be counted by it."""


class MachineTrouble(OSError):
    """A file cannot be read now, by no fault of its own. The message names the file and the reason."""


def is_machine_trouble(error: Exception) -> bool:
    """Whether an error that came while a file was decoded says nothing of the file: EIO, ESTALE, EMFILE, no memory."""
    if isinstance(error, OSError) and not isinstance(error, PermissionError):
        if error.errno is None:
            return "out of memory" in str(error)  # Pillow's words
        return error.errno not in _CONTENT | FILE_IS_GONE
    return isinstance(error, MemoryError)


def trouble_text(error: Exception) -> str:
    """Say what the machine's trouble is."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    return "not enough memory"


def require_memory(n_bytes: int) -> None:
    """Raise MemoryError where this much memory is not to be had. Decoders (libjpeg, libtiff, LittleCMS) call it damage
    when they get none, so this is asked after each failure. Nothing is written to the memory: it costs no time."""
    np.empty(n_bytes, np.uint8)
