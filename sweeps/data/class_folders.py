"""What a folder's own folders say about its images: official parts (`train`, `test`) and classes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sweeps.data.readers import Labels

PARTS = ("train", "val", "valid", "validation", "test")
"""Folders that hold a part of the images. They are no classes."""


class Layout(NamedTuple):
    """The images of a folder by official part and class.

    `train`, `test`: places of their files, ascending; both empty unless both folders are there and all images are in
    such parts. `classes`: the folders at the top, or at the top of each part, in which the images lie; empty unless
    there are at least two and every image lies in one. `labels`: the class of each file, int16 (n,), if there are.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    classes: tuple[str, ...]
    labels: Labels | None


def layout_of(root: Path, files: Sequence[Path]) -> Layout:
    """Return the layout of the files under a folder."""
    start = len(os.fspath(root)) + (not os.fspath(root).endswith(os.sep)) if root != Path() else 0
    folders = [os.fspath(path)[start:].split(os.sep)[:-1] for path in files]
    parts = [inside[0] if inside else "" for inside in folders]
    in_parts = set(parts) <= set(PARTS)
    official = in_parts and {"train", "test"} <= set(parts)
    names = [next(iter(inside[in_parts:]), "") for inside in folders]
    classes = tuple(sorted(set(names)))
    labelled = "" not in classes and len(classes) > 1
    places = {name: i for i, name in enumerate(classes)}
    return Layout(
        tuple(i for i, part in enumerate(parts) if part == "train") if official else (),
        tuple(i for i, part in enumerate(parts) if part == "test") if official else (),
        classes if labelled else (),
        np.array([places[name] for name in names], np.int16) if labelled else None,
    )
