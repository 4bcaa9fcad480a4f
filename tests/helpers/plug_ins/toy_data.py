"""Plugged-in data sets: bars at random places, which need no file."""

import numpy as np

from sweeps.data.datasets import Description, Published


def bars(root, part, n):
    """Return n images of 16x16 pixels, uint8 (n, 1, 16, 16), with one bright row or column each."""
    draw = np.random.default_rng(part == "test")
    images = np.zeros((n, 1, 16, 16), np.uint8)
    for image, place, upright in zip(images, draw.integers(16, size=n), draw.random(n) < 0.5, strict=True):
        image[0, :, place] = 255 * upright
        image[0, place] |= np.uint8(255 * (not upright))
    return images


def parts(root, part, n):
    """Return the first n images of a training part of 40 or an official test part of 21."""
    return bars(root, part, 40 if part == "train" else 21)[:n]


BARS = Published("bars", Description(200, 0, 1, 16, "bars, version 1"), bars)
PARTS = Published("parts", Description(40, 21, 1, 16, "bars in two parts, version 1"), parts)
