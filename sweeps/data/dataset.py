"""What a data set is, which settings choose its images, and the registry of all of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mtvae.config import Choice, Registry, Section, Setting, Values, always
from sweeps.data.readers import Images
from sweeps.data.splits import FoldDraw, FoldNumbers

FOLDER_CHANNELS, FOLDER_SIDE, FOLDER_MAX_SKIPPED = 3, 32, 0.01  # of a folder's images where the grid does not say


class DataError(ValueError):
    """The images cannot be had, or are not what they should be; the message says what to put where."""


class Loaded(NamedTuple):
    """The images of a source, and what its users are to be told of them, a line each.

    `data_hash`: SHA-256 of the pixels. `files_hash`: of the files' bytes, None where there are no files. `folds`: which
    fold tabulates each image, None where nobody asked for it.
    """

    images: Images
    notes: tuple[str, ...] = ()
    data_hash: str = ""
    files_hash: str | None = None
    folds: Mapping[FoldDraw, FoldNumbers] | None = None


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

    def notes_before_reading(self, data: "Data") -> tuple[str, ...]:
        """What a plan tells of its files before any is read, a line each."""
        return ()


DATASETS = Registry(Dataset)  # type: ignore[type-abstract]  # it is only asked what is one

Positive = Annotated[int, Field(gt=0)]


def _path(text: str) -> str:
    """Refuses what no file system of Linux could hold, and an empty path: pathlib takes it for the current folder."""
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


def images_used(described: Description | None, data: Data) -> int:
    """How many images the folds are made of: the first `limit`, or all; 0 where nothing is declared."""
    available = described.images if described else 0
    return min(available, data.limit or available)


def half_used(described: Description | None, source: Source) -> int:
    """How many images of the official test part pick the epoch: half of it, and no more than `limit`."""
    if not source.test_half or described is None:
        return 0
    return min(described.test_images // 2, source.data.limit or described.test_images)
