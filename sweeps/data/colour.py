"""Conversion of embedded colour profiles (ICC) to sRGB with Pillow's LittleCMS, as a viewer does it."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sweeps.data.reasons import is_machine_trouble, require_memory

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

TOLERATED_LEVELS = 2
"""A profile that changes no colour by more than this many levels counts as sRGB, and the pixels stay as they are."""
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_PROFILE_MEMORY = 2**25


class ProfileError(ValueError):
    """A profile is damaged, or describes other colours than the image has. Viewers ignore such a profile."""


@lru_cache(maxsize=32)
def to_srgb(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """Return the transform of L, RGB or CMYK pixels to RGB pixels in sRGB; None if the profile is sRGB.

    Raises:
        ProfileError: the profile cannot be used.
    """
    from PIL import ImageCms

    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if opened.profile.xcolor_space.strip() != _SPACES.get(mode):
            raise ProfileError(f"a profile of {opened.profile.xcolor_space.strip()} colours")
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            # For grey, LittleCMS merges the curves into one of few points, which is 10 levels off for a linear profile.
            ImageCms.Flags.BLACKPOINTCOMPENSATION | (ImageCms.Flags.NOOPTIMIZE if mode == "L" else 0),
        )
        return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform
    except Exception as error:  # ImageCms raises OSError, its own PyCMSError, and others for damaged tags
        if is_machine_trouble(error):
            raise
        require_memory(_PROFILE_MEMORY)
        raise ProfileError(str(error)) from None


def _changes_nothing(transform: "ImageCmsTransform", mode: str) -> bool:
    """Return whether a transform keeps every grey, and for RGB a cube of 17 x 17 x 17 colours."""
    from PIL import Image

    levels = np.arange(256, dtype=np.uint8)
    grey = Image.fromarray(levels[None])
    samples = [grey.convert("RGB") if mode == "RGB" else grey]
    if mode == "RGB":
        steps = np.append(levels[::16], np.uint8(255))
        cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
        samples.append(Image.fromarray(np.ascontiguousarray(cube)))
    for image in samples:
        before, after = (np.asarray(i.convert("RGB"), np.int16) for i in (image, transform.apply(image)))
        if np.abs(before - after).max() > TOLERATED_LEVELS:
            return False
    return True
