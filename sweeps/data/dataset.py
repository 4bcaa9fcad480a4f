"""Data sets: their interface, the settings that choose their images, and their registry."""

import os.path
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mtvae.config import Choice, Registry, Section, Setting, Values, constant
from sweeps.data.readers import Images, Labels
from sweeps.data.sampling import Sample
from sweeps.data.splits import HALVES, FoldDraw, FoldNumbers
from sweeps.text import one_line

FOLDER_CHANNELS, FOLDER_SIDE, FOLDER_MAX_SKIPPED = 3, 32, 0.01  # defaults for folders
MIN_SIDE, MAX_SIDE = 4, 256  # of the user's own images
MAX_NAME = 60  # characters of data.name


class DataError(ValueError):
    """The images are missing, unreadable, or not the expected ones; the message says what to put where."""


class Loaded(NamedTuple):
    """The images of a source, and notes on them for users, a line each.

    `data_hash`: SHA-256 of the pixels. `files_hash`: SHA-256 of the files' bytes, None without files. `folds`: the
    number of each image's test fold, None unless it was asked for. `labels`: the place of each image's class in
    `classes`, int16 (n,), None if the data set has no classes.
    """

    images: Images
    notes: tuple[str, ...] = ()
    data_hash: str = ""
    files_hash: str | None = None
    folds: Mapping[FoldDraw, FoldNumbers] | None = None
    labels: Labels | None = None
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """What is known of a data set without reading it.

    `images`: the number of images; for a folder the number of its files, some of which may be unreadable.
    `fingerprint`: part of every unit's key. `sha256`, `test_sha256`: SHA-256 of all images of the official training and
    test part as they are read here, None where we do not know it; the images that are read are checked against it.
    `classes`: the number of classes that labels name, 0 without labels.
    """

    images: int
    test_images: int
    channels: int
    side: int
    fingerprint: str
    sha256: str | None = None
    test_sha256: str | None = None
    samples: tuple[Sample, ...] = ("first",)
    parts: bool = False
    classes: int = 0


@dataclass(frozen=True)
class Dataset(ABC):
    """A kind of data set.

    `resizes`: its images are resized to `data.side` and `data.channels`, and some of its files may be skipped.
    `own`: what `data.root` must name if the images are the user's own ("a folder of images"), else "". Such images are
    called by `data.name`.
    """

    name: str
    resizes = False
    own = ""

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
        """Read the `limit` images that `data.sample` takes, then those of the official test part that it asks for.

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


def _name(text: str) -> str:
    """Refuse a name that does not fit into a label or a table's cell."""
    if text.strip() == text and text.isprintable() and 0 < len(text) <= MAX_NAME:
        return text
    raise PydanticCustomError("name", "a name of one line: 1 to {most} characters", {"most": MAX_NAME})


def _resizes(values: Values) -> bool:
    return DATASETS[values["data.dataset"]].resizes


def _is_own(values: Values) -> bool:
    return bool(DATASETS[values["data.dataset"]].own)


def _name_of_root(values: Values) -> str | None:
    return None if values["data.root"] is None else root_name(values["data.root"])


class Data(Section):
    """Settings that choose the images."""

    dataset: Annotated[str, Choice(DATASETS)] = Field("digits", description="the data set")
    name: Annotated[
        Annotated[str, AfterValidator(_name)] | None,
        Setting(
            in_key=False,
            applies=_is_own,
            default=_name_of_root,
            why_not="a published data set has its own name",
            where="dataset folder or arrays",
            default_text="that of data.root",
        ),
    ] = Field(None, description="their name in labels and tables")
    root: Annotated[
        Annotated[str, AfterValidator(_path)] | None,
        Setting(in_key=False, synonyms=("data_dir", "path", "dir", "folder")),
    ] = Field(
        None,
        description="folder of the files, in torchvision's layout (mnist: the one that holds MNIST/raw); "
        "folder: that folder, arrays: the .npy or .npz file (both must be given)",
    )
    limit: Annotated[
        Positive | None,
        Setting(synonyms=("n_images", "num_images", "max_images", "n_samples", "num_samples", "subset")),
    ] = Field(None, description="n images, which data.sample chooses; null: all")
    sample: Annotated[
        Sample | None,
        Setting(
            neutral="first",
            silent=True,
            default_text="stratified for a folder and arrays with classes, random "
            "for those without, first for all others",
        ),
    ] = Field(
        None,
        description="which images data.limit takes: `first` (of the files' order), `random`, or `stratified` (random, "
        "in proportion to the classes), both drawn by the sweep's seed",
    )
    part: Annotated[
        Literal["all", "train"] | None,
        Setting(
            neutral="all",
            silent=True,
            default_text="all; train where folds.selection takes its validation set from test",
        ),
    ] = Field(
        None,
        description="folder with the folders train and test: the folds take `all` images, or those of `train` only",
    )
    side: Annotated[
        Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE)] | None,
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

    If that half is `drawn`, the whole part follows, and the split draws from it. `sample_seed`: the sweep's seed if
    `data.sample` draws the images; else None. So all seeds share their images where none are drawn here.
    """

    data: Data
    test_half: bool
    drawn: bool = False
    sample_seed: int | None = None

    @staticmethod
    def of(data: Data, selection: object, seed: int | None = None) -> "Source":
        """Return the source for a value of `folds.selection`, in a sweep with this seed."""
        sampled = data.limit is not None and data.sample not in (None, "first")
        return Source(data, selection in HALVES, selection == "random_test_half", seed if sampled else None)


def root_of(data: Data) -> Path:
    """Return `data.root` with `~` replaced; the current folder if it is not set."""
    return _expanded(data.root or ".")


def _expanded(root: str) -> Path:
    path = Path(root)
    try:
        return path.expanduser()
    except RuntimeError:  # no such user: then it is a folder of that name
        return path


def root_name(root: str) -> str:
    """Return the name of a folder or file as a valid `data.name`, without the ending of a file of arrays."""
    name = os.path.basename(os.path.abspath(_expanded(root))).removesuffix(".npy").removesuffix(".npz")
    return one_line(name)[:MAX_NAME].strip() or "/"


def title(data: Data) -> str:
    """Return a data set's name for messages: `mnist`, or `folder cats` for the user's own images."""
    if not DATASETS[data.dataset].own or not (name := data.name or (data.root and root_name(data.root))):
        return data.dataset
    return f"{data.dataset} {name}"


def images_used(described: Description | None, data: Data) -> int:
    """Return the number of images in the folds: `limit` of them, or all; 0 if nothing is declared."""
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
