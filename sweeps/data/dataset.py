"""Data sets: their interface, the settings that choose their images, and their registry."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mtvae.config import Choice, Registry, Section, Setting, Values, constant
from sweeps.data.readers import Images
from sweeps.data.splits import HALVES, FoldDraw, FoldNumbers

FOLDER_CHANNELS, FOLDER_SIDE, FOLDER_MAX_SKIPPED = 3, 32, 0.01  # defaults for folders


class DataError(ValueError):
    """The images are missing, unreadable, or not the expected ones; the message says what to put where."""


class Loaded(NamedTuple):
    """The images of a source, and notes on them for users, a line each.

    `data_hash`: SHA-256 of the pixels. `files_hash`: SHA-256 of the files' bytes, None without files. `folds`: the
    number of each image's test fold, None unless it was asked for.
    """

    images: Images
    notes: tuple[str, ...] = ()
    data_hash: str = ""
    files_hash: str | None = None
    folds: Mapping[FoldDraw, FoldNumbers] | None = None


@dataclass(frozen=True)
class Description:
    """What is known of a data set without reading it.

    `images`: the number of images; for a folder the number of its files, some of which may be unreadable.
    `fingerprint`: part of every unit's key. `sha256`, `test_sha256`: SHA-256 of all images of the official training and
    test part as they are read here, None where we do not know it; the images that are read are checked against it.
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
    """A kind of data set.

    `resizes`: its images are resized to `data.side` and `data.channels`, and some of its files may be skipped.
    """

    name: str
    resizes = False

    @abstractmethod
    def declared(self, data: "Data") -> Description | None:
        """Return what is known without reading the images; None if that needs files that are not here."""

    @abstractmethod
    def shape(self, data: "Data") -> tuple[int, int]:
        """Return channels and side of the images."""

    @abstractmethod
    def check_files(self, data: "Data") -> None:
        """Check that the files exist, without reading them.

        Raises:
            DataError: files are missing; one line says which, and where to put them.
        """

    @abstractmethod
    def load(self, source: "Source") -> Loaded:
        """Read the first `limit` images, then those of the official test part that the source asks for.

        Raises:
            DataError: files are unreadable (in a folder: too many), or have other content than declared.
        """

    def files(self, source: "Source") -> Sequence[Path]:
        """Return the files from which the images are read, in their order."""
        return ()

    def notes_before_reading(self, data: "Data") -> tuple[str, ...]:
        """Return notes on the files that a dry run prints before any file is read, a line each."""
        return ()


DATASETS = Registry(Dataset)  # type: ignore[type-abstract]  # only used for isinstance

Positive = Annotated[int, Field(gt=0)]


def _path(text: str) -> str:
    """Refuse text that no Linux file system can hold as a path, and "", which pathlib reads as the current folder."""
    if not text:
        raise PydanticCustomError("path", "a path, or null for the current folder")
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
    """Settings that choose the images."""

    dataset: Annotated[str, Choice(DATASETS)] = Field("digits", description="the data set")
    root: Annotated[
        Annotated[str, AfterValidator(_path)] | None,
        Setting(in_key=False, synonyms=("data_dir", "path", "dir", "folder")),
    ] = Field(None, description="folder of the files, in torchvision's layout (mnist: the one that holds MNIST/raw)")
    limit: Annotated[
        Positive | None,
        Setting(synonyms=("n_images", "num_images", "max_images", "n_samples", "num_samples", "subset")),
    ] = Field(None, description="the first n images; null: all")
    side: Annotated[
        Annotated[int, Field(ge=4, le=256)] | None,
        Setting(
            applies=_resizes,
            default=constant(FOLDER_SIDE),
            why_not="only a folder's images are resized",
            where="dataset folder",
            synonyms=("image_size", "img_size", "resolution", "size", "resize"),
        ),
    ] = Field(None, description="images are resized to side x side")
    channels: Annotated[
        Literal[1, 3] | None,
        Setting(
            applies=_resizes,
            default=constant(FOLDER_CHANNELS),
            why_not="only a folder's images are converted",
            where="dataset folder",
        ),
    ] = Field(None, description="1 grey, 3 colour")
    max_skipped: Annotated[
        Annotated[float, Field(ge=0, lt=1)] | None,
        Setting(
            in_key=False,  # it limits how many files may be skipped, and does not choose images
            applies=_resizes,
            default=constant(FOLDER_MAX_SKIPPED),
            why_not="only a folder's files may be skipped",
            where="dataset folder",
        ),
    ] = Field(None, description="share of unreadable files that are skipped; with more, nothing is run")


class Source(NamedTuple):
    """The images that a unit needs: those of `data`, then, if `test_half`, half of the official test part.

    If that half is `drawn`, the whole part follows, and the split draws from it. So all seeds share their images.
    """

    data: Data
    test_half: bool
    drawn: bool = False

    @staticmethod
    def of(data: Data, selection: object) -> "Source":
        """Return the source for a value of `folds.selection`."""
        return Source(data, selection in HALVES, selection == "random_test_half")


def root_of(data: Data) -> Path:
    path = Path(data.root or ".")
    try:
        return path.expanduser()
    except RuntimeError:  # no such user: then it is a folder of that name
        return path


def images_used(described: Description | None, data: Data) -> int:
    """Return the number of images in the folds: the first `limit`, or all; 0 if nothing is declared."""
    available = described.images if described else 0
    return min(available, data.limit or available)


def half_used(described: Description | None, source: Source) -> int:
    """Return how many images of the official test part validate: half of it, at most `limit`; 0 if not asked for."""
    if not source.test_half or described is None:
        return 0
    return min(described.test_images // 2, source.data.limit or described.test_images)


def test_images_used(described: Description | None, source: Source) -> int:
    """Return how many images of the official test part the source holds: those that validate, or all to draw from."""
    half = half_used(described, source)
    return described.test_images if described is not None and half and source.drawn else half
