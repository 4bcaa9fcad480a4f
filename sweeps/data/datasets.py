"""Data sets as one uint8 array (N,C,H,W), and what is declared of them so that a plan needs neither files nor torch."""

import hashlib
import os.path
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mtvae.config import Section
from sweeps.data import readers
from sweeps.data.image_folder import folder_files, manifest, told
from sweeps.data.readers import Images, Part
from sweeps.text import number_text

Positive = Annotated[int, Field(gt=0)]


def _path(text: str) -> str:
    """Refuses what no file system of Linux could hold."""
    try:
        if "\0" not in text:
            text.encode()
            return text
    except UnicodeEncodeError:
        pass
    raise PydanticCustomError("path", "a path (UTF-8 text without NUL)")


class Data(Section):
    """Which images."""

    dataset: Literal["digits", "mnist", "cifar10", "celeba", "folder"] = Field("digits", description="the data set")
    root: Annotated[str, AfterValidator(_path)] | None = Field(
        None, description="folder of the files, in torchvision's layout (mnist: the one that holds MNIST/raw)"
    )
    limit: Positive | None = Field(None, description="the first n images; null: all")
    side: Annotated[int, Field(ge=4, le=256)] | None = Field(
        None, description="folder: images are resized to side x side (default 32)"
    )
    channels: Literal[1, 3] | None = Field(None, description="folder: 1 grey, 3 colour (default 3)")
    max_skipped: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description="folder: share of unreadable files that are skipped; with more, nothing is run (default 0.01)"
    )


class DataError(ValueError):
    """The images cannot be had, or are not what they should be; the message says what to put where."""


class Loaded(NamedTuple):
    """The images of a source, and what its users are to be told of them, a line each."""

    images: Images
    notes: tuple[str, ...] = ()


class Source(NamedTuple):
    """What a unit needs of a data set: its images, and whether half of its official test part too, behind them."""

    data: Data
    test_half: bool


@dataclass(frozen=True)
class Description:
    """What is known of a data set without reading it.

    `images`: of a folder its files, some of which may prove unreadable. `fingerprint` enters every unit's key.
    `sha256`: of all training images as read here, where we know it; what is read is checked against it.
    """

    images: int
    test_images: int
    channels: int
    side: int
    fingerprint: str
    sha256: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A published data set: what is declared, how it is read, and one file of each part by which it is found."""

    description: Description
    read: Callable[[Path, Part, int], Images]
    files: tuple[str, ...] = ()


_DIGITS = "e46e562ce14a3b6d8311ef9d4b8e3cc077ebd4c4173aac9c9d656ec72c290280"
_MNIST = "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

DATASETS = {
    "digits": Dataset(Description(1797, 0, 1, 16, _DIGITS, _DIGITS), readers.digits),
    "mnist": Dataset(
        Description(60_000, 10_000, 1, 28, _MNIST, _MNIST),
        readers.mnist,
        tuple(f"MNIST/raw/{name}" for name in _IDX),
    ),
    "cifar10": Dataset(  # the published MD5 of the archive; torchvision checks that of every file in it
        Description(50_000, 10_000, 3, 32, "md5:c58f30108f718f92721af3d95e74349a"),
        readers.cifar10,
        tuple(f"cifar-10-batches-py/{name}" for name in ("data_batch_1", "test_batch", "batches.meta")),
    ),
    "celeba": Dataset(  # the published MD5 of img_align_celeba.zip, resized as read here
        Description(162_770, 19_962, 3, 64, "md5:00d2c5bc6d35e252742224ab0c1e8fcb:64x64"),
        readers.celeba,
        tuple(f"celeba/{name}" for name in ("list_eval_partition.txt", "identity_CelebA.txt", "img_align_celeba")),
    ),
}
FOLDER_CHANNELS, FOLDER_SIDE, FOLDER_MAX_SKIPPED = 3, 32, 0.01  # of a folder's images where the grid does not say


def root_of(data: Data) -> Path:
    path = Path(data.root or ".")
    try:
        return path.expanduser()
    except RuntimeError:  # ~nobody: taken for a folder of that name
        return path


@lru_cache(maxsize=64)
def declared(data: Data) -> Description | None:
    """What is declared of a data set; of a folder the manifest of its first `limit` files' names and sizes. None where
    a folder is not here: its images and so the keys of its units cannot be told."""
    if data.dataset != "folder":
        return DATASETS[data.dataset].description
    root, files = root_of(data), folder_files(root_of(data))
    if not files:
        return None
    return Description(len(files), 0, *shape(data), manifest(root, files[: data.limit]))


def shape(data: Data) -> tuple[int, int]:
    """Channels and side of a data set's images."""
    if data.dataset == "folder":
        return data.channels or FOLDER_CHANNELS, data.side or FOLDER_SIDE
    declared = DATASETS[data.dataset].description
    return declared.channels, declared.side


def image_count(data: Data) -> int:
    """Images that the folds are made of: the first `limit`, or all; 0 where a folder is not here. Of a folder it is how
    many they may be: files that cannot be read are told by reading them."""
    description = declared(data)
    available = description.images if description else 0
    return min(available, data.limit or available)


def test_half_count(source: Source) -> int:
    """Images of the official test part that pick the epoch: half of it, and no more than `limit`."""
    description = declared(source.data)
    if not source.test_half or description is None:
        return 0
    return min(description.test_images // 2, source.data.limit or description.test_images)


def check_files(data: Data) -> None:
    """Looks whether a data set's files are there, without reading them.

    Raises:
        DataError: one line that says what is missing and where to put it.
    """
    root = root_of(data)
    if data.dataset == "folder":
        if not folder_files(root):
            raise DataError(f"folder: no images in {root.absolute()}; set data.root to a folder of image files")
        return
    missing = [name for name in DATASETS[data.dataset].files if not os.path.exists(root / name)]
    if missing:
        set_to = f"now {data.root}" if data.root else "now not set: the current folder"
        raise DataError(
            f"{data.dataset}: no {', '.join(missing)} in {root.absolute()}; put the published files there, "
            f"or set data.root ({set_to})"
        )


def load(source: Source) -> Images:
    """`load_noted`, the images alone."""
    return load_noted(source).images


def load_noted(source: Source) -> Loaded:
    """Reads the images of a source: the first `limit` ones, then, where it is asked for, the test half.

    Raises:
        DataError: files missing, unreadable (of a folder: too many of them), or with other content than declared.
    """
    check_files(source.data)
    if source.data.dataset == "folder":
        return _load_folder(source.data)
    try:
        return Loaded(_load_published(source))
    except (OSError, RuntimeError, EOFError) as error:
        raise DataError(f"{source.data.dataset}: cannot be read: {' '.join(str(error).split())[:300]}") from error


def _load_folder(data: Data) -> Loaded:
    """The readable ones of a folder's first `limit` files: no later file takes the place of one that is skipped, so
    that the manifest stays that of the images."""
    root, allowed = root_of(data), FOLDER_MAX_SKIPPED if data.max_skipped is None else data.max_skipped
    files = folder_files(root)[: data.limit]
    images, skipped = readers.read_files(files, *reversed(shape(data)))
    if not skipped:
        return Loaded(images)
    note = told(root, skipped, len(files))
    if not len(images) or len(files) - len(images) > allowed * len(files):
        raise DataError(f"folder: {note}; more than the share data.max_skipped, {number_text(allowed)}")
    return Loaded(images, (f"data: {note}; {len(images):,} images are used",))


def _load_published(source: Source) -> Images:
    data, n, extra, root = source.data, image_count(source.data), test_half_count(source), root_of(source.data)
    dataset = DATASETS[data.dataset]
    expected = dataset.description.sha256
    # Where the content is known all of it is read, so that it can be checked.
    images = dataset.read(root, "train", dataset.description.images if expected else n)
    if expected and fingerprint(images) != expected:
        raise DataError(
            f"{data.dataset}: the {len(images):,} images in {root.absolute()} are not the published ones: their "
            f"SHA-256 is {fingerprint(images)[:16]}, not {expected[:16]}"
        )
    return np.concatenate([images[:n], dataset.read(root, "test", extra)]) if extra else images[:n]


def fingerprint(images: Images) -> str:
    """SHA-256 over the pixels, in hex."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()
