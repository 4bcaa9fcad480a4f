"""PNG's transparent colour, which Pillow compares with pixels of another depth than the file's."""

from typing import IO, TYPE_CHECKING, Any

import numpy as np

from sweeps.data.pixels import PixelMeaning, strips

if TYPE_CHECKING:
    from PIL.Image import Image

_BITS, _KIND = 24, 25  # places in the file's head
_GREY, _RGB = 0, 2


def meaning(file: "Image", stream: IO[bytes], head: bytes) -> PixelMeaning:
    """Say which pixels of a loaded image are transparent. Of other formats nothing is said."""
    if file.format != "PNG" or "transparency" not in file.info:
        return PixelMeaning()
    bits, kind, colour = head[_BITS], head[_KIND], file.info["transparency"]
    if kind == _GREY and bits == 16:
        return PixelMeaning(transparent_value=colour)
    if kind == _GREY and bits in (2, 4):  # Pillow scales the pixels to 8 bits, and not the colour
        file.info["transparency"] = colour % 2**bits * 255 // (2**bits - 1)
    elif kind == _RGB and bits == 16:
        del file.info["transparency"]
        return PixelMeaning(transparent_mask=_transparent_mask(file, stream, colour))
    return PixelMeaning()


def _transparent_mask(file: "Image", stream: IO[bytes], colour: tuple[int, ...]) -> "Image":
    """Where an RGB image of 16 bits has exactly this colour. Pillow keeps each sample's upper byte; read once more as
    if the bytes were swapped, it keeps the lower one."""
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
