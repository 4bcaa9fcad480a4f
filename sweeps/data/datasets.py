"""Data sets as one uint8 array (N,C,H,W), and what is declared of them so that a plan needs neither files nor torch."""

import os.path
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mtvae.config import Choice, Registry, Section, Setting, Values, always
from sweeps.data import readers
from sweeps.data.hashes import fingerprint, of_files
from sweeps.data.image_folder import folder_files, known_before, manifest, none_of, read_folder
from sweeps.data.readers import Images, Part
from sweeps.text import number_text, said

FOLDER_CHANNELS, FOLDER_SIDE, FOLDER_MAX_SKIPPED = 3, 32, 0.01  # of a folder's images where the grid does not say


class DataError(ValueError):
    """The images cannot be had, or are not what they should be; the message says what to put where."""


class Loaded(NamedTuple):
    """The images of a source, and what its users are to be told of them, a line each. `data_hash`: SHA-256 of the
    pixels; `files_hash`: of the files' bytes, None where there are no files."""

    images: Images
    notes: tuple[str, ...] = ()
    data_hash: str = ""
    files_hash: str | None = None


@dataclass(frozen=True)
class Description:
    """What is known of a data set without reading it.

    `images`: of a folder its files, some of which may prove unreadable. `fingerprint` enters every unit's key.
    `sha256`, `test_sha256`: of all images of the training and the test part as read here, where we know it; what is
    read is checked against it.
    """

    images: int
    test_images: int
    channels: int
    side: int
    fingerprint: str
    sha256: str | None = None
    test_sha256: str | None = None


@dataclass(frozen=True)
class Dataset(ABC):
    """A kind of data set. `resizes`: its images are brought to `data.side` and `data.channels`, and some of its files
    may be skipped."""

    name: str
    resizes = False

    @abstractmethod
    def declared(self, data: "Data") -> Description | None:
        """What is known without reading it; None where the files are not here and nothing can be told."""

    @abstractmethod
    def shape(self, data: "Data") -> tuple[int, int]:
        """Channels and side of its images."""

    @abstractmethod
    def check_files(self, data: "Data") -> None:
        """Look whether the files are there, without reading them.

        Raises:
            DataError: one line that says what is missing and where to put it.
        """

    @abstractmethod
    def load(self, source: "Source") -> Loaded:
        """Read the images: the first `limit` ones, then, where it is asked for, the test half.

        Raises:
            DataError: files unreadable (of a folder: too many of them), or with other content than declared.
        """

    def files(self, source: "Source") -> Sequence[Path]:
        """The files that its images are read from, in their order; none where there are none."""
        return ()

    def beforehand(self, data: "Data") -> tuple[str, ...]:
        """What a plan tells of its files before any is read, a line each."""
        return ()


@dataclass(frozen=True)
class Published(Dataset):
    """A data set of known content: what is declared, how it is read, the files by which it is found, and those that the
    first images of a part are read from."""

    description: Description
    read: Callable[[Path, Part, int], Images]
    found_by: tuple[str, ...] = ()
    read_from: Callable[[Path, Part, int], Sequence[Path]] = readers.no_files

    def declared(self, data: "Data") -> Description:
        return self.description

    def shape(self, data: "Data") -> tuple[int, int]:
        return self.description.channels, self.description.side

    def check_files(self, data: "Data") -> None:
        root = root_of(data)
        missing = [name for name in self.found_by if not os.path.exists(root / name)]
        if missing:
            set_to = f"now {data.root}" if data.root else "now not set: the current folder"
            raise DataError(
                f"{self.name}: no {', '.join(missing)} in {root.absolute()}; put the published files there, "
                f"or set data.root ({set_to})"
            )

    def load(self, source: "Source") -> Loaded:
        try:
            return Loaded(self._images(source))
        except (OSError, RuntimeError, EOFError) as error:
            raise DataError(f"{self.name}: cannot be read: {said(error)[:300]}") from error

    def _images(self, source: "Source") -> Images:
        n, extra = image_count(source.data), test_half_count(source)
        images = self._part(source, "train", n, self.description.images, self.description.sha256)
        if not extra:
            return images
        half = self._part(source, "test", extra, self.description.test_images, self.description.test_sha256)
        return np.concatenate([images, half])

    def _part(self, source: "Source", part: Part, n: int, declared: int, expected: str | None) -> Images:
        """The first n images of a part. Where the content is known all of it is read, so that it can be checked."""
        root = root_of(source.data)
        images = self.read(root, part, declared if expected else n)
        found = fingerprint(images) if expected else None
        if found and found != expected:
            which = "images" if part == "train" else "images of the official test part"
            raise DataError(
                f"{self.name}: the {len(images):,} {which} in {root.absolute()} are not the published ones: their "
                f"SHA-256 is {found[:16]}, not {str(expected)[:16]}"
            )
        if len(images) < n:
            raise DataError(f"{self.name}: {len(images):,} images of its {part} part in {root.absolute()}, not {n:,}")
        return images[:n]

    def files(self, source: "Source") -> Sequence[Path]:
        root, half = root_of(source.data), test_half_count(source)
        train = self.read_from(root, "train", image_count(source.data))
        return [*train, *(self.read_from(root, "test", half) if half else ())]


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Any folder of images. It is known by its files' names and sizes until it is read."""

    resizes = True

    def declared(self, data: "Data") -> Description | None:
        root = root_of(data)
        with _said_of_a_folder():
            files = folder_files(root)
            if not files:
                return None
            return Description(len(files), 0, *self.shape(data), manifest(root, files[: data.limit]))

    def shape(self, data: "Data") -> tuple[int, int]:
        return data.channels or FOLDER_CHANNELS, data.side or FOLDER_SIDE

    def check_files(self, data: "Data") -> None:
        root = root_of(data)
        with _said_of_a_folder():
            if not folder_files(root):
                raise DataError(
                    f"folder: no images in {root.absolute()}; set data.root to a folder of image files{none_of(root)}"
                )

    def load(self, source: "Source") -> Loaded:
        data = source.data
        allowed = FOLDER_MAX_SKIPPED if data.max_skipped is None else data.max_skipped
        with _said_of_a_folder():
            read = read_folder(root_of(data), data.limit, *reversed(self.shape(data)))
        if read.bad and (not len(read.images) or read.bad > allowed * read.total):
            raise DataError(f"folder: {read.told}; more than the share data.max_skipped, {number_text(allowed)}")
        skipped = (f"data: {read.told}; {len(read.images):,} images are used",) if read.bad else ()
        return Loaded(read.images, (*skipped, *read.remarks))

    def files(self, source: "Source") -> Sequence[Path]:
        return folder_files(root_of(source.data))[: source.data.limit]

    def beforehand(self, data: "Data") -> tuple[str, ...]:
        with _said_of_a_folder():
            return known_before(root_of(data), data.limit)


@contextmanager
def _said_of_a_folder() -> Iterator[None]:
    """Turn trouble of the machine into one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"folder: cannot be read: {said(error)}") from error


DATASETS = Registry(Dataset)  # type: ignore[type-abstract]  # it is only asked what is one

_DIGITS = "e46e562ce14a3b6d8311ef9d4b8e3cc077ebd4c4173aac9c9d656ec72c290280"
_MNIST = "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"
_MNIST_TEST = "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

DATASETS.register(Published("digits", Description(1797, 0, 1, 16, _DIGITS, _DIGITS), readers.digits))
DATASETS.register(
    Published(
        "mnist",
        Description(60_000, 10_000, 1, 28, _MNIST, _MNIST, _MNIST_TEST),
        readers.mnist,
        tuple(f"MNIST/raw/{name}" for name in _IDX),
        readers.mnist_files,
    )
)
DATASETS.register(
    Published(  # the published MD5 of the archive; torchvision checks that of every file in it
        "cifar10",
        Description(50_000, 10_000, 3, 32, "md5:c58f30108f718f92721af3d95e74349a"),
        readers.cifar10,
        tuple(f"cifar-10-batches-py/{name}" for name in ("data_batch_1", "test_batch", "batches.meta")),
        readers.cifar10_files,
    )
)
DATASETS.register(
    Published(  # the published MD5 of img_align_celeba.zip, resized as read here
        "celeba",
        Description(162_770, 19_962, 3, 64, "md5:00d2c5bc6d35e252742224ab0c1e8fcb:64x64"),
        readers.celeba,
        tuple(f"celeba/{name}" for name in ("list_eval_partition.txt", "identity_CelebA.txt", "img_align_celeba")),
        readers.celeba_files,
    )
)
DATASETS.register(ImageFolder("folder"))

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


def _resizes(values: Values) -> bool:
    return DATASETS[values["data.dataset"]].resizes


class Data(Section):
    """Which images."""

    dataset: Annotated[str, Choice(DATASETS)] = Field("digits", description="the data set")
    root: Annotated[Annotated[str, AfterValidator(_path)] | None, Setting(counts=False)] = Field(
        None, description="folder of the files, in torchvision's layout (mnist: the one that holds MNIST/raw)"
    )
    limit: Positive | None = Field(None, description="the first n images; null: all")
    side: Annotated[
        Annotated[int, Field(ge=4, le=256)] | None,
        Setting(applies=_resizes, default=always(FOLDER_SIDE), why_not="only a folder's images are resized"),
    ] = Field(None, description="folder: images are resized to side x side (default 32)")
    channels: Annotated[
        Literal[1, 3] | None,
        Setting(applies=_resizes, default=always(FOLDER_CHANNELS), why_not="only a folder's images are converted"),
    ] = Field(None, description="folder: 1 grey, 3 colour (default 3)")
    max_skipped: Annotated[
        Annotated[float, Field(ge=0, lt=1)] | None,
        Setting(
            counts=False,  # it says whether the readable images will do, not which they are
            applies=_resizes,
            default=always(FOLDER_MAX_SKIPPED),
            why_not="only a folder's files may be skipped",
        ),
    ] = Field(
        None, description="folder: share of unreadable files that are skipped; with more, nothing is run (default 0.01)"
    )


class Source(NamedTuple):
    """What a unit needs of a data set: its images, and whether half of its official test part too, behind them."""

    data: Data
    test_half: bool


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
    return DATASETS[data.dataset].declared(data)


def shape(data: Data) -> tuple[int, int]:
    """Channels and side of a data set's images."""
    return DATASETS[data.dataset].shape(data)


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
    """Look whether a data set's files are there, without reading them. Raises DataError as `Dataset.check_files`."""
    DATASETS[data.dataset].check_files(data)


def load(source: Source) -> Images:
    """`load_noted`, the images alone."""
    return load_noted(source).images


def load_noted(source: Source) -> Loaded:
    """Read the images of a source: the first `limit` ones, then, where it is asked for, the test half.

    Raises:
        DataError: files missing, unreadable (of a folder: too many of them), or with other content than declared.
    """
    check_files(source.data)
    dataset = DATASETS[source.data.dataset]
    try:
        loaded = dataset.load(source)
        files_hash = of_files(dataset.files(source), len(loaded.images))
    except MemoryError as error:
        raise DataError(f"{source.data.dataset}: not enough memory for its images here: {said(error)[:200]}") from error
    except OSError as error:
        raise DataError(f"{source.data.dataset}: cannot be read: {said(error)[:300]}") from error
    return loaded._replace(data_hash=fingerprint(loaded.images), files_hash=files_hash)
