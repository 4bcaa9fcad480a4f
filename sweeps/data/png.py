"""The transparent colour of a PNG, which Pillow compares with pixels of another depth than the file's."""

from typing import IO, TYPE_CHECKING, Any

import numpy as np

from sweeps.data.pixels import PixelMeaning, strips

if TYPE_CHECKING:
    from PIL.Image import Image

_BITS, _KIND = 24, 25  # offsets in the file's header
_GREY, _RGB = 0, 2


def meaning(file: "Image", stream: IO[bytes], head: bytes) -> PixelMeaning:
    """Return which pixels of a loaded PNG are transparent. Images of other formats get the default."""
    if file.format != "PNG" or "transparency" not in file.info:
        return PixelMeaning()
    bits, kind, colour = head[_BITS], head[_KIND], file.info["transparency"]
    if kind == _GREY and bits == 16:
        return PixelMeaning(transparent_value=colour)
    if kind == _GREY and bits in (2, 4):  # Pillow scales the pixels to 8 bits, but not the colour
        file.info["transparency"] = colour % 2**bits * 255 // (2**bits - 1)
    elif kind == _RGB and bits == 16:
        del file.info["transparency"]
        return PixelMeaning(transparent_mask=_transparent_mask(file, stream, colour))
    return PixelMeaning()


def _transparent_mask(file: "Image", stream: IO[bytes], colour: tuple[int, ...]) -> "Image":
    """Return a mask of the pixels of a 16-bit RGB image that have exactly this colour.

    Pillow keeps the upper byte of each sample. So the file is read once more as if its bytes were swapped, which gives
    the lower ones.
    """
    from PIL import Image

    stream.seek(0)
    with Image.open(stream, formats=["PNG"]) as lower:
        tiles: list[Any] = lower.tile
        lower.tile = [tile._replace(args="RGB;16L") for tile in tiles]
        lower.load()
        result = Image.new("L", file.size)
        for box in strips(file.size):
            high, low = (np.asarray(image.crop(box)).astype(np.uint16) for image in (file, lower))
            found = (high << 8 | low) == np.asarray(colour, np.uint16)
            result.paste(Image.fromarray(found.all(-1).astype(np.uint8) * np.uint8(255)), box)
        return result
