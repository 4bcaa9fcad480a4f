"""One image file -> bytes of the size asked for, or one of a few reasons why not. What a file can do ends here.

Shown as a viewer shows it: turned as its EXIF orientation says, an embedded colour profile converted to sRGB, what is
transparent on white, 16 bits scaled to 8 (not cut off at 255), of several frames or pages the first. The format is told
by the content, not by the name.
"""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sweeps.data import tiff
from sweeps.data.pixels import PixelMeaning, to_plain
from sweeps.data.png import meaning as png_meaning
from sweeps.data.reasons import (
    DAMAGED,
    FILE_IS_GONE,
    GONE,
    NO_IMAGE,
    NOT_OURS,
    TIFF_KIND,
    MachineTrouble,
    Unusable,
    is_machine_trouble,
    require_memory,
    trouble_text,
)

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""The only ones that Pillow may try: it would hand others (EPS) to programs outside."""

MAX_PIXELS = 178_956_970
"""Of a file: larger ones are not unpacked. It is what Pillow takes, stated here so that memory can be told."""
TOO_LARGE = f"more than {MAX_PIXELS:,} pixels"
BYTES_PER_PIXEL, _OTHERS_BYTES = 17, 10
"""Memory that a file takes while it is read, at most (measured: WebP 17, JPEG up to 10, the others up to 9)."""

_EXIF_ORIENTATION = 0x0112
_CHUNK = 2**20


def _ignore_note(kind: str, text: str = "") -> None:
    """Hear a note, and do nothing."""


def read_image(
    path: Path, side: int, channels: int, note: Callable[[str, str], None] = _ignore_note
) -> NDArray[np.uint8]:
    """An image file as grey (1 channel) or RGB (3), resized to side x side without regard to its aspect: (C,side,side).

    `note` is told what is odd about a file that is read, as one of a few kinds and a text.

    Raises:
        Unusable: it cannot be had; the message says why.
        MachineTrouble: it cannot be had now, and nothing is known of the file: an error of reading, too little memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd but readable files
            with path.open("rb") as stream:
                head = stream.read(32)
                read = _read_tiff if head.startswith(tiff.HEADS) else _read
                image = read(stream, head, side, "L" if channels == 1 else "RGB", note)
    except Unusable:
        raise
    except Exception as error:
        raise _error_to_raise(path, error) from None
    return np.asarray(image, np.uint8).reshape(side, side, channels).transpose(2, 0, 1)


def _read(
    stream: IO[bytes],
    head: bytes,
    side: int,
    mode: str,
    note: Callable[[str, str], None],
    tags: "tiff.Tags | None" = None,
) -> "Image":
    """Read a file that is open."""
    from PIL import Image

    stream.seek(0)
    memory = BYTES_PER_PIXEL * _webp_pixels(head)  # which is unpacked while it is opened
    try:
        with tiff.decoder_chosen(tags) if tags else nullcontext(), Image.open(stream, formats=FORMATS) as file:
            pixels = file.width * file.height
            memory = memory or _OTHERS_BYTES * pixels
            if pixels > MAX_PIXELS:
                raise Unusable(TOO_LARGE)
            if tags:
                tiff.mend_palette(file, tags)
            file.load()
            meaning = PixelMeaning(tags.white, tags.inverted) if tags else png_meaning(file, stream, head)
            flat = to_plain(file, mode, meaning, lambda kind: note(kind, ""))
            small = flat.resize((side, side), Image.Resampling.BILINEAR).convert(mode)
            return _transposed(small, _orientation(file))
    except Image.DecompressionBombError:
        raise Unusable(TOO_LARGE) from None
    except Unusable:
        raise
    except Exception:
        require_memory(memory)
        raise


def _webp_pixels(head: bytes) -> int:
    """Width times height of a WebP by its first bytes; 0 for any other file."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0
    if head[12:16] == b"VP8X":
        return (1 + int.from_bytes(head[24:27], "little")) * (1 + int.from_bytes(head[27:30], "little"))
    if head[12:16] == b"VP8L":
        sizes = int.from_bytes(head[21:25], "little")
        return (1 + sizes % 2**14) * (1 + (sizes >> 14) % 2**14)
    return int.from_bytes(head[26:28], "little") % 2**14 * (int.from_bytes(head[28:30], "little") % 2**14)


def _read_tiff(stream: IO[bytes], head: bytes, side: int, mode: str, note: Callable[[str, str], None]) -> "Image":
    """Read a TIFF. Its tags are looked at first; what libtiff complains of is a note."""
    tags = tiff.read_tags(stream, head[: tiff.HEAD_BYTES])
    if tags is None:
        raise Unusable(DAMAGED)
    tiff.refuse(tags)
    complaints: list[str] = []
    try:
        with tiff.libtiff_messages(stream) as complaints:
            return _read(stream, head, side, mode, note, tags)
    except Unusable:
        raise
    except Exception as error:
        if is_machine_trouble(error):
            raise
        if tiff.kind_is_unknown(tags, error, complaints):
            complaints.clear()  # they say the same
            raise Unusable(TIFF_KIND) from None
        raise OSError("damaged") from error
    finally:
        if complaints:
            note("made libtiff complain", complaints[0])


def _error_to_raise(path: Path, error: Exception) -> Exception:
    """What is to be raised for an error: decoders do not always say that the machine failed them, so the file is read
    once more, and memory asked for."""
    from PIL import UnidentifiedImageError

    try:
        if not is_machine_trouble(error):
            require_memory(2**26)
            with path.open("rb") as stream:
                while stream.read(_CHUNK):
                    pass
    except (OSError, MemoryError) as found:
        error = found
    if is_machine_trouble(error):
        return MachineTrouble(
            f"{str(path)!r}: {trouble_text(error)}; this is no damage of the file, and none was left out"
        )
    if isinstance(error, PermissionError):
        return Unusable(NOT_OURS)
    if isinstance(error, OSError) and error.errno in FILE_IS_GONE:
        return Unusable(GONE)
    if isinstance(error, UnidentifiedImageError):
        return Unusable(NO_IMAGE)
    return Unusable(DAMAGED)  # what Pillow raises has no common kind: struct.error, IndexError, zlib.error


def _orientation(file: "Image") -> Any:
    """EXIF's, 1 to 8; what cannot be read says nothing."""
    try:
        return file.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception as error:  # as above: a damaged EXIF block harms no pixel
        if is_machine_trouble(error):
            raise
        return 1


def _transposed(image: "Image", orientation: Any) -> "Image":
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image
