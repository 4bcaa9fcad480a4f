"""TIFF's kinds: which Pillow reads right, which it needs help with, and which are refused by name.

Pillow (13) shows 12-bit samples as if they had 16, does not invert 16-bit min-is-white samples, takes signed samples
for unsigned ones and an 8-bit palette for black, and mixes up 16-bit samples that are stored plane by plane.
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
HEAD_BYTES = 16  # of a BigTIFF, the longer one

_COMPRESSION, _PHOTOMETRIC, _PLANAR, _PALETTE = 259, 262, 284, 320
_BITS, _EXTRA, _FORMAT, _WIDTH, _LENGTH = 258, 338, 339, 256, 257
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_WHITE_IS_0, _BLACK_IS_0, _RGB, _CMYK, _LAB = 0, 1, 2, 5, 8
_STDERR = 2
_RAW, _BY_PLANE, _SIGNED = 1, 2, 2


class Tags(NamedTuple):
    """What the first page's tags say. `whole`: all its strips or tiles lie within the file."""

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
        """The largest value of a sample that Pillow gives in 16 bits."""
        return 2**12 - 1 if self.bits == (12,) else 2**16 - 1

    @property
    def inverted(self) -> bool:
        """Whether Pillow, which inverts samples of 8 bits and less, leaves it to us."""
        return self.photometric == _WHITE_IS_0 and max(self.bits) > 8


def read_tags(stream: IO[bytes], head: bytes) -> Tags | None:
    """The first page's tags; None where they cannot be read."""
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
    except Exception as error:  # what Pillow raises for damaged tags has no common kind
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
    """Raise Unusable for the kinds that Pillow reads wrongly and that cannot be put right."""
    if _SIGNED in tags.formats and max(tags.bits) <= 16:
        raise Unusable(SIGNED)
    if tags.by_plane and tags.extra and tags.photometric in (_WHITE_IS_0, _BLACK_IS_0) and any(tags.extra):
        raise Unusable(TIFF_KIND)  # grey and its alpha one after the other: read as all white


def kind_is_unknown(tags: Tags, error: Exception, complaints: list[str]) -> bool:
    """Whether a file that cannot be decoded is whole. Then it is of a kind that Pillow, or the libtiff in it, lacks."""
    from PIL import UnidentifiedImageError

    refused = isinstance(error, UnidentifiedImageError) or any("not configured" in line for line in complaints)
    return tags.whole and (refused or not complaints)


@contextmanager
def decoder_chosen(tags: Tags) -> Iterator[None]:
    """Let Pillow open a file by libtiff where its own decoder is wrong: of samples that are stored plane by plane it
    reads the plainest kinds only."""
    from PIL import TiffImagePlugin

    plain = set(tags.bits) == {8} and tags.photometric in (_BLACK_IS_0, _RGB, _CMYK, _LAB) and not tags.extra
    before = TiffImagePlugin.READ_LIBTIFF
    TiffImagePlugin.READ_LIBTIFF = before or (tags.by_plane and tags.raw and not plain)
    try:
        yield
    finally:
        TiffImagePlugin.READ_LIBTIFF = before


def mend_palette(file: "Image", tags: Tags) -> None:
    """Take a palette whose values are all below 256 for one of 8 bits, as libtiff's tools do. It must have 16."""
    from PIL import ImagePalette

    if file.mode in ("P", "PA") and tags.palette and max(tags.palette) < 256:
        file.palette = ImagePalette.raw("RGB;L", bytes(tags.palette))


@contextmanager
def libtiff_messages(stream: IO[bytes]) -> Iterator[list[str]]:
    """Catch what libtiff writes to standard error, which names no file: the list is filled at the end, each line once.

    It writes past Python, so the file descriptor is turned. Lines of other threads in that time are caught too.
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
    """A second descriptor of standard error; None where that is closed, or where the image file got its number."""
    try:
        return None if stream.fileno() == _STDERR else os.dup(_STDERR)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None
        raise


def _memory_file() -> int:
    """A file in memory, where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("stderr")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _flush_stderr() -> None:
    with suppress(Exception):  # a closed or absent stream: what it holds is none of ours
        sys.stderr.flush()
