"""Data sets as one uint8 array (N,C,H,H), and what is declared of them so that a plan needs neither files nor torch."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mtvae.config import Section

Images = NDArray[np.uint8]


class Data(Section):
    """Which images."""

    dataset: Literal["digits", "mnist"] = Field("digits", description="name of the data set")
    root: str | None = Field(None, description="folder of the files (mnist: the one that holds MNIST/raw)")
    limit: Annotated[int, Field(gt=0)] | None = Field(None, description="the first n images; null: all")


class DataError(ValueError):
    """The images cannot be had, or are not what they should be; the message says what to put where."""


@dataclass(frozen=True)
class Dataset:
    """What is known of a data set before it is read.

    `fingerprint` is the SHA-256 of all its images as read here; it enters every unit's key, and what is read is
    checked against it.
    """

    images: int
    channels: int
    side: int
    fingerprint: str
    read: Callable[[str | None], Images]
    files: Callable[[str | None], list[Path]] = lambda root: []


def fingerprint(images: Images) -> str:
    """SHA-256 over the pixels, in hex."""
    return hashlib.sha256(images.tobytes()).hexdigest()


def read_digits(root: str | None) -> Images:
    """scikit-learn's handwritten digits: 8x8 values 0 to 16 as bytes, each pixel doubled to 16x16. Needs no files."""
    from sklearn.datasets import load_digits

    values = load_digits().images  # (1797,8,8) float, 0 to 16
    images: Images = np.rint(values * 255 / 16).astype(np.uint8).repeat(2, 1).repeat(2, 2)[:, None]
    return images


def mnist_files(root: str | None) -> list[Path]:
    """MNIST's training images and their labels (torchvision reads both), in torchvision's layout."""
    folder = Path(root or ".").expanduser() / "MNIST" / "raw"
    return [folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"]


def read_mnist(root: str | None) -> Images:
    """MNIST's 60,000 training images through torchvision, from `root`/MNIST/raw. Never downloads."""
    from torchvision.datasets import MNIST

    folder = str(Path(root or ".").expanduser())
    images: Images = MNIST(folder, train=True, download=False).data.numpy()[:, None]
    return images


DATASETS = {
    "digits": Dataset(1797, 1, 16, "e46e562ce14a3b6d8311ef9d4b8e3cc077ebd4c4173aac9c9d656ec72c290280", read_digits),
    "mnist": Dataset(
        60_000, 1, 28, "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757", read_mnist, mnist_files
    ),
}


def image_count(data: Data) -> int:
    """Images that a sweep uses: the first `limit`, or all."""
    return min(DATASETS[data.dataset].images, data.limit or DATASETS[data.dataset].images)


def check_files(data: Data) -> None:
    """Looks whether a data set's files are there, without reading them.

    Raises:
        DataError: with the missing files and where to put them.
    """
    missing = [path for path in DATASETS[data.dataset].files(data.root) if not path.is_file()]
    if missing:
        raise DataError(
            f"{data.dataset}: no {', '.join(path.name for path in missing)} in {missing[0].parent.absolute()}; "
            f"put the files there, or set data.root (now {data.root or 'not set: the current folder'})"
        )


def load(data: Data) -> Images:
    """Reads a data set and checks it against its declared fingerprint, then takes the first `limit` images.

    Raises:
        DataError: files missing, unreadable, or with other content than declared.
    """
    check_files(data)
    declared = DATASETS[data.dataset]
    try:
        images = declared.read(data.root)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{data.dataset}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    if fingerprint(images) != declared.fingerprint:
        raise DataError(
            f"{data.dataset}: the images read ({images.shape[0]:,} of {images.shape[1:]}) are not the published ones: "
            f"their SHA-256 is {fingerprint(images)[:16]}, not {declared.fingerprint[:16]}"
        )
    return images[: data.limit]
