"""Conversion of a decoded image to opaque grey or RGB of 8 bits in sRGB.

It works strip by strip, so that a large image is never in memory in a wider form than its decoder gave.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeps.data import colour
from sweeps.data.reasons import NO_RANGE, Unusable

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

STRIP_PIXELS = 2**21
_GREY = ("1", "L", "LA", "La", "I")


class PixelMeaning(NamedTuple):
    """The meaning of a file's values that its decoded image does not show.

    `white`: the largest value where values are wider than 8 bits. `inverted`: whether 0 is white there.
    `transparent_value`: the one such value that is transparent. `transparent_mask`: 255 where a pixel is transparent,
    else 0.
    """

    white: int = 65535
    inverted: bool = False
    transparent_value: int | None = None
    transparent_mask: "Image | None" = None


def to_plain(file: "Image", mode: str, meaning: PixelMeaning, note: Callable[[str], None]) -> "Image":
    """Convert an image to L or RGB, as `mode` says. Grey stays L: it is converted to RGB after it is resized.

    Args:
        note: called with a text if the colour profile cannot be used.

    Raises:
        Unusable: the range of the pixels is not known.
    """
    from PIL import Image

    wide = file.mode.startswith("I;16") or (file.mode == "I" and file.format in ("PNG", "PPM"))
    if file.mode in ("I", "F") and not wide:
        raise Unusable(NO_RANGE)
    transform = _transform(file, note)
    transparent = file.has_transparency_data and not wide
    grey = _colour_mode(file) == "L" and not transparent and transform is None
    target = "L" if grey else mode
    if file.mode == target and not transparent and transform is None and meaning.transparent_mask is None:
        return file
    levels = _levels(meaning) if wide else None
    result = Image.new(target, file.size)
    for box in strips(file.size):
        strip = file.crop(box)
        if levels is not None:
            strip = _to_8_bits(strip, levels, meaning.transparent_value)
        result.paste(_on_white(strip, transform, transparent, target), box)
        if meaning.transparent_mask is not None:
            result.paste(255 if target == "L" else (255, 255, 255), box, meaning.transparent_mask.crop(box))
    return result


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes of the full width that cover an image from top to bottom: (left, top, right, bottom)."""
    width, height = size
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def _levels(meaning: PixelMeaning) -> NDArray[np.uint8]:
    """Return the level, 0 to 255, of each 16-bit value: uint8 (65536,)."""
    levels = np.rint(np.arange(65536) * 255.0 / meaning.white if meaning.white != 65535 else np.arange(65536) / 257)
    levels = levels.clip(0, 255).astype(np.uint8)
    return 255 - levels if meaning.inverted else levels


def _to_8_bits(strip: "Image", levels: NDArray[np.uint8], transparent_value: int | None) -> "Image":
    """Convert a strip of 16-bit values to 8 bits, and make transparent ones white."""
    from PIL import Image

    values = np.asarray(strip)
    narrow = levels[values.clip(0, 65535)]
    if transparent_value is not None:
        narrow[values == transparent_value] = 255
    return Image.fromarray(narrow)


def _colour_mode(file: "Image") -> str:
    """Return the mode of an image's colours without transparency."""
    if file.mode in _GREY or file.mode.startswith("I;16"):
        return "L"
    return file.mode if file.mode in ("CMYK", "LAB") else "RGB"


def _transform(file: "Image", note: Callable[[str], None]) -> "ImageCmsTransform | None":
    if "icc_profile" not in file.info or file.mode == "LAB":  # LAB does not depend on a device
        return None
    try:
        return colour.to_srgb(bytes(file.info["icc_profile"] or b""), _colour_mode(file))
    except colour.ProfileError:
        note("are read without their colour profile, which is damaged or of other colours")
        return None


def _on_white(strip: "Image", transform: "ImageCmsTransform | None", transparent: bool, target: str) -> "Image":
    """Convert a strip to sRGB, on white."""
    from PIL import Image

    if strip.mode == "La":  # its colours are premultiplied, and Pillow can only convert them to LA
        strip = strip.convert("LA")
    if not transparent:
        return (strip if transform is None else transform.apply(strip.convert(transform.input_mode))).convert(target)
    shown = strip.convert("RGBA")
    if transform is not None:
        alpha = shown.getchannel("A")
        shown = transform.apply(shown.convert(transform.input_mode))
        shown.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert(target)
