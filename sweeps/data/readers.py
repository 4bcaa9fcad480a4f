"""Readers of the data sets: files -> uint8 (N,C,H,W). Large packages are imported only where they are used."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeps.data.image_file import read_image
from sweeps.data.published_files import naming_bad_file
from sweeps.data.reasons import Unusable

Images = NDArray[np.uint8]
Labels = NDArray[np.int16]
"""The place of each image's class in a list of classes."""
Part = Literal["train", "test"]
"""The official parts of a data set. The folds split `train`."""
Skipped = dict[str, list[Path]]
"""Files that gave no image, by reason."""
Remarks = dict[str, list[tuple[Path, str]]]
"""Oddities of files that gave an image: by kind, each file with a text that may be empty."""
LOG = logging.getLogger(__name__)
"""The log of progress while many images are read. `sweeps.backends.inline` adds a handler that shows it."""
LOG_SECONDS = 10.0
"""Time between two lines of that log."""


class Labelled(NamedTuple):
    """Images with their labels and the names of the classes, for readers of data sets that have them."""

    images: Images
    labels: Labels | None = None
    classes: tuple[str, ...] = ()


TEN_DIGITS = tuple(map(str, range(10)))


def no_files(root: Path, part: Part, n: int) -> Sequence[Path]:
    """Return no files, for a data set that comes with a library."""
    return ()


def digits(root: Path, part: Part, n: int) -> Labelled:
    """Load scikit-learn's handwritten digits: 8x8 values 0 to 16 as bytes, each pixel doubled to 16x16. No files."""
    from sklearn.datasets import load_digits

    found = load_digits()
    values = found.images[:n]  # (n,8,8) float, 0 to 16
    images: Images = np.rint(values * 255 / 16).astype(np.uint8).repeat(2, 1).repeat(2, 2)[:, None]
    return Labelled(images, found.target[:n].astype(np.int16), TEN_DIGITS)


def mnist(root: Path, part: Part, n: int) -> Labelled:
    """Read MNIST, 28x28, with torchvision. Nothing is downloaded."""
    from torchvision.datasets import MNIST

    with naming_bad_file("mnist", root):
        found = MNIST(str(root), train=part == "train", download=False)  # it reads the labels in any case
    return Labelled(found.data.numpy()[:n, None], found.targets.numpy()[:n].astype(np.int16), TEN_DIGITS)


def mnist_files(root: Path, part: Part, n: int) -> Sequence[Path]:
    """Return the file of a part's images."""
    return [root / "MNIST" / "raw" / f"{'train' if part == 'train' else 't10k'}-images-idx3-ubyte"]


def cifar10(root: Path, part: Part, n: int) -> Labelled:
    """Read CIFAR-10, 32x32 RGB, with torchvision, which checks the files' published MD5. Nothing is downloaded."""
    from torchvision.datasets import CIFAR10

    with naming_bad_file("cifar10", root):
        found = CIFAR10(str(root), train=part == "train", download=False)  # it reads the labels in any case
    images: Images = np.ascontiguousarray(found.data[:n].transpose(0, 3, 1, 2))  # from (n,32,32,3)
    return Labelled(images, np.array(found.targets[:n], np.int16), tuple(found.classes))


def cifar10_files(root: Path, part: Part, n: int) -> Sequence[Path]:
    """Return the files of a part's images."""
    names = [f"data_batch_{i}" for i in range(1, 6)] if part == "train" else ["test_batch"]
    return [root / "cifar-10-batches-py" / name for name in names]


def celeba(root: Path, part: Part, n: int) -> Images:
    """Read CelebA's aligned faces, resized to 64x64 without a crop. torchvision checks its lists' published MD5."""
    from torchvision.datasets import CelebA

    with naming_bad_file("celeba", root):
        faces = CelebA(str(root), split=part, download=False)
    folder = root / faces.base_folder / "img_align_celeba"
    images, skipped = read_files([folder / str(name) for name in faces.filename[:n]], 64, 3)
    for reason, paths in skipped.items():  # a published data set must be complete
        raise OSError(f"{paths[0]} is not a readable image: {reason}")
    return images


def celeba_files(root: Path, part: Part, n: int) -> Sequence[Path]:
    """Return the files of a part's first n images, from the list of parts, whose lines read `000001.jpg 0`."""
    number = {"train": "0", "test": "2"}[part]
    lines = (root / "celeba" / "list_eval_partition.txt").read_text().splitlines()
    names = [name for name, of in (line.split() for line in lines if line.strip()) if of == number]
    return [root / "celeba" / "img_align_celeba" / name for name in names[:n]]


def read_files(
    paths: Sequence[Path], side: int, channels: int, remarks: Remarks | None = None
) -> tuple[Images, Skipped]:
    """Read image files with `image_file.read_image`, and return the images and the unusable files by reason.

    Args:
        remarks: oddities of files that are read are added to it.

    Raises:
        MachineTrouble: a file cannot be read now. No file is left out for that.
    """
    images = np.empty((len(paths), channels, side, side), np.uint8)
    n, skipped, logged_at = 0, Skipped(), time.monotonic()
    for i, path in enumerate(paths):

        def note(kind: str, text: str, path: Path = path) -> None:
            if remarks is not None:
                remarks.setdefault(kind, []).append((path, text))

        try:
            images[n] = read_image(path, side, channels, note)
            n += 1
        except Unusable as error:
            skipped.setdefault(str(error), []).append(path)
        if time.monotonic() - logged_at >= LOG_SECONDS:
            LOG.info("data: %s of %s image files read", f"{i + 1:,}", f"{len(paths):,}")
            logged_at = time.monotonic()
    return images[:n], skipped
