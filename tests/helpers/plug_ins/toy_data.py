"""A plugged-in data set: bars at random places, which need no file."""

import numpy as np

from sweeps.data.datasets import Description, Published


def bars(root, part, n):
    """Return n images of 16x16 pixels, uint8 (n, 1, 16, 16), with one bright row or column each."""
    draw = np.random.default_rng(0)
    images = np.zeros((n, 1, 16, 16), np.uint8)
    for image, place, upright in zip(images, draw.integers(16, size=n), draw.random(n) < 0.5, strict=True):
        image[0, :, place] = 255 * upright
        image[0, place] |= np.uint8(255 * (not upright))
    return images


BARS = Published("bars", Description(200, 0, 1, 16, "bars, version 1"), bars)
