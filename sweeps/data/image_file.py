"""One image file -> bytes of the size asked for, or one of a few reasons why not. What a file can do ends here.

Shown as a viewer shows it: turned as its EXIF orientation says, what is transparent on white, 16 bits scaled to 8 (not
cut off at 255), of several frames or pages the first. The format is told by the content, not by the name.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""The only ones that Pillow may try: it would hand others (EPS) to programs outside."""

_EXIF_ORIENTATION = 0x0112


class Unusable(ValueError):
    """A file that gives no image. The message is one of a few, so that files can be counted by it."""


def read_image(path: Path, side: int, channels: int) -> NDArray[np.uint8]:
    """An image file as grey (1 channel) or RGB (3), resized to side x side without regard to its aspect: (C,side,side).

    Raises:
        Unusable: it cannot be had; the message says why.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of odd but readable files
            with Image.open(path, formats=FORMATS) as file:
                file.load()
                small = _plain(file, "L" if channels == 1 else "RGB").resize((side, side), Image.Resampling.BILINEAR)
                upright = _turned(small, _orientation(file))
    except Unusable:
        raise
    except PermissionError:
        raise Unusable("not ours to read (permissions)") from None
    except FileNotFoundError:
        raise Unusable("gone since the folder was listed") from None
    except UnidentifiedImageError:
        raise Unusable("not an image, whatever the name says") from None
    except Image.DecompressionBombError:
        raise Unusable("more pixels than Pillow takes") from None
    except Exception:  # what Pillow raises for damaged files has no common kind: struct.error, IndexError, zlib.error
        raise Unusable("damaged or cut off") from None
    return np.asarray(upright, np.uint8).reshape(side, side, channels).transpose(2, 0, 1)


def _plain(file: "Image", mode: str) -> "Image":
    """Grey or RGB, 8 bits, nothing transparent."""
    from PIL import Image

    wide = file.mode.startswith("I;16")
    if wide or (file.mode == "I" and file.format in ("PNG", "PPM")):  # Pillow has brought those to 0 to 65535
        scaled = np.rint(np.asarray(file).astype(np.float64) / 257).clip(0, 255)
        return Image.fromarray(scaled.astype(np.uint8)).convert(mode)
    if file.mode in ("I", "F"):
        raise Unusable("32-bit pixels, of which black and white are not known")
    if not file.has_transparency_data:
        return file.convert(mode)
    shown = file.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert(mode)


def _orientation(file: "Image") -> Any:
    """EXIF's, 1 to 8; what cannot be read says nothing."""
    try:
        return file.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # as above: a damaged EXIF block harms no pixel
        return 1


def _turned(image: "Image", orientation: Any) -> "Image":
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
