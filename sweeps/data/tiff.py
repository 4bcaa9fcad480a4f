"""Kinds of TIFF: those that Pillow reads only with help, and those that are refused.

Pillow (13) reads 12-bit samples as if they had 16 bits, does not invert 16-bit min-is-white samples, reads signed
samples as unsigned and an 8-bit palette as black, and mixes up 16-bit samples that are stored plane by plane.
"""

import errno
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sweeps.data.reasons import SIGNED, TIFF_KIND, Unusable, is_machine_trouble

if TYPE_CHECKING:
    from PIL.Image import Image

HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
HEAD_BYTES = 16  # the header of a BigTIFF, the longer of the two

_COMPRESSION, _PHOTOMETRIC, _PLANAR, _PALETTE = 259, 262, 284, 320
_BITS, _EXTRA, _FORMAT, _WIDTH, _LENGTH = 258, 338, 339, 256, 257
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_WHITE_IS_0, _BLACK_IS_0, _RGB, _CMYK, _LAB = 0, 1, 2, 5, 8
_STDERR = 2
_RAW, _BY_PLANE, _SIGNED = 1, 2, 2


class Tags(NamedTuple):
    """The tags of the first page. `whole`: whether all its strips or tiles lie within the file."""

    bits: tuple[int, ...]
    photometric: int
    formats: tuple[int, ...]
    extra: tuple[int, ...]
    by_plane: bool
    raw: bool
    palette: tuple[int, ...]
    whole: bool

    @property
    def white(self) -> int:
        """The largest value of a sample that Pillow returns in 16 bits."""
        return 2**12 - 1 if self.bits == (12,) else 2**16 - 1

    @property
    def inverted(self) -> bool:
        """Whether 0 is white and Pillow does not invert the samples, as it does up to 8 bits."""
        return self.photometric == _WHITE_IS_0 and max(self.bits) > 8


def read_tags(stream: IO[bytes], head: bytes) -> Tags | None:
    """Read the first page's tags; None if they cannot be read."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        found = ImageFileDirectory_v2(head if b"+" in head[2:4] else head[:8])
        stream.seek(found.next)
        found.load(stream)
        return Tags(
            bits=_values(found, _BITS, (1,)),
            photometric=_values(found, _PHOTOMETRIC, (_WHITE_IS_0,))[0],
            formats=_values(found, _FORMAT, (1,)),
            extra=_values(found, _EXTRA, ()),
            by_plane=_values(found, _PLANAR, (1,))[0] == _BY_PLANE,
            raw=_values(found, _COMPRESSION, (_RAW,))[0] == _RAW,
            palette=_values(found, _PALETTE, ()),
            whole=_is_whole(found, stream),
        )
    except Exception as error:  # Pillow raises many types for damaged tags
        if is_machine_trouble(error):
            raise
        return None


def _values(found: Mapping[int, Any], tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    value = found.get(tag, default)
    return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),)


def _is_whole(found: Mapping[int, Any], stream: IO[bytes]) -> bool:
    end = stream.seek(0, os.SEEK_END)
    for offset_tag, count_tag in _PLACES:
        offsets, counts = _values(found, offset_tag, ()), _values(found, count_tag, ())
        if offsets and len(offsets) == len(counts) and _WIDTH in found and _LENGTH in found:
            return all(offset + count <= end for offset, count in zip(offsets, counts, strict=True))
    return False


def refuse(tags: Tags) -> None:
    """Raise Unusable for the kinds that Pillow reads wrongly and that we cannot correct."""
    if _SIGNED in tags.formats and max(tags.bits) <= 16:
        raise Unusable(SIGNED)
    if tags.by_plane and tags.extra and tags.photometric in (_WHITE_IS_0, _BLACK_IS_0) and any(tags.extra):
        raise Unusable(TIFF_KIND)  # grey and alpha in separate planes, read as all white


def kind_is_unknown(tags: Tags, error: Exception, complaints: list[str]) -> bool:
    """Return whether a file that cannot be decoded is whole, so that Pillow or its libtiff lacks its kind."""
    from PIL import UnidentifiedImageError

    refused = isinstance(error, UnidentifiedImageError) or any("not configured" in line for line in complaints)
    return tags.whole and (refused or not complaints)


@contextmanager
def decoder_chosen(tags: Tags) -> Iterator[None]:
    """Make Pillow decode with libtiff where its own decoder is wrong.

    Of samples that are stored plane by plane, its own decoder reads only the plainest kinds correctly.
    """
    from PIL import TiffImagePlugin

    plain = set(tags.bits) == {8} and tags.photometric in (_BLACK_IS_0, _RGB, _CMYK, _LAB) and not tags.extra
    before = TiffImagePlugin.READ_LIBTIFF
    TiffImagePlugin.READ_LIBTIFF = before or (tags.by_plane and tags.raw and not plain)
    try:
        yield
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


def mend_palette(file: "Image", tags: Tags) -> None:
    """Read a palette whose values are all below 256 as 8-bit, as libtiff's tools do. The standard demands 16 bits."""
    from PIL import ImagePalette

    if file.mode in ("P", "PA") and tags.palette and max(tags.palette) < 256:
        file.palette = ImagePalette.raw("RGB;L", bytes(tags.palette))


@contextmanager
def libtiff_messages(stream: IO[bytes]) -> Iterator[list[str]]:
    """Catch what libtiff writes to stderr, which names no file. The list is filled at the end, each line once.

    libtiff writes to the file descriptor, so that is redirected. It also catches other threads' lines in that time.
    """
    caught: list[str] = []
    kept = _duplicate_stderr(stream)
    if kept is None:
        yield caught
        return
    try:
        with os.fdopen(_memory_file(), "w+b", buffering=0) as scratch:
            _flush_stderr()
            os.dup2(scratch.fileno(), _STDERR)
            try:
                yield caught
            finally:
                _flush_stderr()
                os.dup2(kept, _STDERR)
                scratch.seek(0)
                caught += dict.fromkeys(scratch.read(65536).decode(errors="replace").splitlines())
    finally:
        os.close(kept)


def _duplicate_stderr(stream: IO[bytes]) -> int | None:
    """Return a second descriptor of stderr; None if stderr is closed or the image file got its number."""
    try:
        return None if stream.fileno() == _STDERR else os.dup(_STDERR)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise


def _memory_file() -> int:
    """Return the descriptor of a temporary file, in memory if the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _flush_stderr() -> None:
    with suppress(Exception):  # the stream may be closed or missing
        sys.stderr.flush()
