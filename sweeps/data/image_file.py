"""Reading of one image file as pixels of the requested size, or one of a few reasons why it cannot be used.

An image looks as in a viewer: its EXIF orientation is applied, an embedded colour profile is converted to sRGB,
transparent pixels are put on white, 16 bits are scaled to 8 (not cut off at 255), and only the first frame or page is
read. The content decides the format, not the name.
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
"""The only formats that Pillow may try. For others (EPS) it starts external programs."""

MAX_PIXELS = 178_956_970
"""Larger images are not unpacked. It is Pillow's limit, stated here so that the memory needed is known."""
TOO_LARGE = f"more than {MAX_PIXELS:,} pixels"
BYTES_PER_PIXEL, _OTHERS_BYTES = 17, 10
"""Most memory that reading takes, in bytes per pixel (measured: WebP 17, JPEG up to 10, other formats up to 9)."""

_EXIF_ORIENTATION = 0x0112
_CHUNK = 2**20


def _ignore_note(kind: str, text: str = "") -> None:
    """Ignore a note."""


def read_image(
    path: Path, side: int, channels: int, note: Callable[[str, str], None] = _ignore_note
) -> NDArray[np.uint8]:
    """Read an image file as grey (1 channel) or RGB (3), resized to side x side whatever its aspect: (C,side,side).

    Args:
        note: called for each oddity of a file that is read, with one of a few kinds and a text.

    Raises:
        Unusable: the file gives no image; the message says why.
        MachineTrouble: the file cannot be read now, which says nothing about it: a read error, or too little memory.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd but readable files
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
    """Read an open file as an upright image of side x side."""
    from PIL import Image

    stream.seek(0)
    memory = BYTES_PER_PIXEL * _webp_pixels(head)  # Pillow unpacks a WebP when it opens it
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
    """Return width times height of a WebP, from its first bytes; 0 for any other file."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0
    if head[12:16] == b"VP8X":
        return (1 + int.from_bytes(head[24:27], "little")) * (1 + int.from_bytes(head[27:30], "little"))
    if head[12:16] == b"VP8L":
        sizes = int.from_bytes(head[21:25], "little")
        return (1 + sizes % 2**14) * (1 + (sizes >> 14) % 2**14)
    return int.from_bytes(head[26:28], "little") % 2**14 * (int.from_bytes(head[28:30], "little") % 2**14)


def _read_tiff(stream: IO[bytes], head: bytes, side: int, mode: str, note: Callable[[str, str], None]) -> "Image":
    """Read a TIFF after a check of its tags. The first complaint of libtiff becomes a note."""
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
            complaints.clear()  # the raised error says the same
            raise Unusable(TIFF_KIND) from None
        raise OSError("damaged") from error
    finally:
        if complaints:
            note("made libtiff complain", complaints[0])


def _error_to_raise(path: Path, error: Exception) -> Exception:
    """Return the error to raise for a decoder's error: MachineTrouble or Unusable.

    Decoders do not always report that the machine failed, so the file is read once more and memory is allocated.
    """
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
            f"{str(path)!r}: {trouble_text(error)}; the file may be undamaged, and no file was left out"
        )
    if isinstance(error, PermissionError):
        return Unusable(NOT_OURS)
    if isinstance(error, OSError) and error.errno in FILE_IS_GONE:
        return Unusable(GONE)
    if isinstance(error, UnidentifiedImageError):
        return Unusable(NO_IMAGE)
    return Unusable(DAMAGED)  # Pillow raises many types: struct.error, IndexError, zlib.error


def _orientation(file: "Image") -> Any:
    """Return the EXIF orientation, 1 to 8; 1 if it cannot be read."""
    try:
        return file.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception as error:  # any type, as above; a damaged EXIF block leaves the pixels intact
        if is_machine_trouble(error):
            raise
        return 1


def _transposed(image: "Image", orientation: Any) -> "Image":
    """Apply an EXIF orientation."""
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
