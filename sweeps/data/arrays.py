"""Images in a file of NumPy arrays (`.npy`, `.npz`) as a data set."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from sweeps.data.dataset import (
    MAX_SIDE,
    MIN_SIDE,
    Data,
    DataError,
    Dataset,
    Description,
    Loaded,
    Source,
    images_used,
    root_of,
    title,
)
from sweeps.data.readers import Images, Labels
from sweeps.data.sampling import WITH_CLASSES, WITHOUT_CLASSES, chosen
from sweeps.text import error_line

BLOCK = 1024  # images that are converted at a time
IMAGES, LABELS, CLASSES = "images", "labels", "classes"
"""The names of the arrays in an `.npz`. Images under another name are found if no other array has their shape."""

_HEADERS = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


class _Header(NamedTuple):
    """The shape and the type of an array, and the CRC-32 of its bytes; None for an `.npy`, which stores none."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    crc: int | None = None


class _Found(NamedTuple):
    """The arrays of a file by name, which of them holds the images, and whether there are labels."""

    headers: dict[str, _Header]
    images: str
    labelled: bool

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The number of images, their channels and their side."""
        n, side, _, *channels = self.headers[self.images].shape
        return n, channels[0] if channels else 1, side


@dataclass(frozen=True)
class Arrays(Dataset):
    """Images (N,H,W) or (N,H,W,C) in an `.npy`, or in an `.npz` with optional labels. Its content identifies it.

    Integers are levels from 0 to 255, floats brightness from 0 to 1, and truth values black and white.
    """

    own = "the .npy or .npz file"

    def declared(self, data: Data) -> Description:
        path = root_of(data)
        with _one_line(data):
            found = _look(path)
            n, channels, side = found.sizes
            samples = WITH_CLASSES if found.labelled else WITHOUT_CLASSES
            classes = _class_count(path, n) if found.labelled else 0
            return Description(n, 0, channels, side, _fingerprint(path, found), samples=samples, classes=classes)

    def shape(self, data: Data) -> tuple[int, int]:
        with _one_line(data):
            _, channels, side = _look(root_of(data)).sizes
            return channels, side

    def check_files(self, data: Data) -> None:
        self.shape(data)

    def load(self, source: Source) -> Loaded:
        data = source.data
        path = root_of(data)
        with _one_line(data):
            found = _look(path)
            n = found.sizes[0]
            with np.load(path, allow_pickle=False) if _is_npz(path) else _mapped(path) as arrays:
                labels, classes = _read_labels(arrays, n) if found.labelled else (None, ())
                places = chosen(n, data.limit, data.sample, source.sample_seed, labels)
                images = _to_images(arrays[found.images], places)
        drawn = data.sample not in (None, "first") and len(places) < n
        how = f" in proportion to {len(classes):,} classes" if data.sample == "stratified" else ""
        note = f"data: {title(data)}: {len(places):,} of {n:,} images are drawn{how}, by the sweep's seed"
        return Loaded(
            images, (note,) if drawn else (), labels=None if labels is None else labels[places], classes=classes
        )

    def files(self, source: Source) -> Sequence[Path]:
        return [root_of(source.data)]

    def notes_before_reading(self, data: Data) -> tuple[str, ...]:
        n = images_used(self.declared(data), data)
        drawn = data.sample not in (None, "first")
        return (f"data: {title(data)}: {n:,} images are drawn ({data.sample}), by the sweep's seed",) if drawn else ()


@contextmanager
def _one_line(data: Data) -> Iterator[None]:
    """Turn errors of a file of arrays into a DataError of one line that names the file."""
    if data.root is None:
        raise DataError("arrays: data.root is not set; set it to the .npy or .npz file")
    path = root_of(data).absolute()
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"arrays: no such file: {path}") from None
    except IsADirectoryError:
        raise DataError(f"arrays: {path} is a folder and not a file; data.dataset folder reads image files") from None
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"arrays: {path}: {error_line(error)[:300]}") from error


def _is_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz"


def _look(path: Path) -> _Found:
    """Return what arrays a file holds, by their headers.

    Raises:
        ValueError: it holds no images of a shape and a type that are read.
    """
    at = path.stat()
    return _look_again(path, at.st_size, at.st_mtime_ns)


@lru_cache(maxsize=64)
def _look_again(path: Path, size: int, mtime: int) -> _Found:
    headers = _headers(path)
    images = _images_name(headers)
    _check_images(headers[images], named=f" {images!r}" if _is_npz(path) else "")
    n = headers[images].shape[0]
    labels = headers.get(LABELS)
    if labels is not None and (labels.shape not in ((n,), (n, 1)) or labels.dtype.kind not in "iuU"):
        raise ValueError(
            f"array {LABELS!r} must hold {n:,} integers or texts, one for each image; it is {_text(labels)}"
        )
    return _Found(headers, images, labels is not None)


def _headers(path: Path) -> dict[str, _Header]:
    """Return the headers of a file's arrays, without reading the arrays."""
    if not _is_npz(path):
        with path.open("rb") as file:
            return {IMAGES: _Header(*_header(file))}
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.endswith(".npy"):
                with archive.open(info) as file:
                    found[info.filename.removesuffix(".npy")] = _Header(*_header(file), info.CRC)
    return found


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = npy_format.read_magic(file)
    except ValueError:
        raise ValueError("it is not a NumPy file (.npy, or .npz with arrays in it)") from None
    if version not in _HEADERS:
        raise ValueError(f"a NumPy file of version {version}, which is not read")
    shape, _, dtype = _HEADERS[version](file)
    return shape, dtype


def _images_name(headers: dict[str, _Header]) -> str:
    if IMAGES in headers:
        return IMAGES
    like = [name for name, header in headers.items() if len(header.shape) in (3, 4)]
    if len(like) == 1:
        return like[0]
    names = ", ".join(f"{name} {header.shape}" for name, header in headers.items()) or "no array"
    raise ValueError(f"no array {IMAGES!r} in it, but {names}")


def _check_images(header: _Header, named: str) -> None:
    """Raise ValueError for a shape or a type that is not read."""
    shape, dtype = header.shape, header.dtype
    if dtype.hasobject:
        raise ValueError(f"array{named} holds Python objects (a pickle), which are not read")
    if dtype.kind not in "uifb":
        raise ValueError(f"array{named} must hold integers, floats or truth values; it is {_text(header)}")
    wanted = "(N,H,W) or (N,H,W,C) with H = W and 1 or 3 channels C"
    if len(shape) not in (3, 4) or shape[1] != shape[2] or (len(shape) == 4 and shape[3] not in (1, 3)):
        first = len(shape) == 4 and shape[2] == shape[3] and shape[1] in (1, 3)
        advice = "; array.transpose(0, 2, 3, 1) puts the channels last" if first else ""
        raise ValueError(f"array{named} must have the shape {wanted}; it is {_text(header)}{advice}")
    if not shape[0] or not MIN_SIDE <= shape[1] <= MAX_SIDE:
        raise ValueError(f"array{named} must hold images of side {MIN_SIDE} to {MAX_SIDE}; it is {_text(header)}")


def _text(header: _Header) -> str:
    return f"{header.dtype} {header.shape}"


def _fingerprint(path: Path, found: _Found) -> str:
    """Return the identity of images and labels: the SHA-256 of an `.npy`, or of the sizes and CRC-32 in an `.npz`."""
    if not _is_npz(path):
        at = path.stat()
        return f"npy:{_sha256(path, at.st_size, at.st_mtime_ns)}"
    used = [found.images, *([LABELS] if found.labelled else [])]
    text = repr([(found.headers[name].shape, str(found.headers[name].dtype), found.headers[name].crc) for name in used])
    return f"npz:{hashlib.sha256(text.encode()).hexdigest()}"


@lru_cache(maxsize=64)
def _sha256(path: Path, size: int, mtime: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _mapped(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    """Map an `.npy` into memory, so that only the images that are taken are read."""
    yield {IMAGES: np.load(path, mmap_mode="r", allow_pickle=False)}


def _read_labels(arrays: Any, n: int) -> tuple[Labels, tuple[str, ...]]:
    """Return the labels and the names of the classes, which are their values unless the file names them."""
    values, labels = np.unique(arrays[LABELS].reshape(n), return_inverse=True)
    if len(values) > np.iinfo(np.int16).max:
        raise ValueError(f"array {LABELS!r} has {len(values):,} classes, more than are read")
    names = arrays[CLASSES].tolist() if CLASSES in arrays else None
    if names is not None and values.dtype.kind in "iu":
        if values[0] < 0 or values[-1] >= len(names):
            raise ValueError(f"array {LABELS!r} has values beyond the {len(names):,} names of {CLASSES!r}")
        values = np.array(names)[values]
    return labels.reshape(n).astype(np.int16), tuple(map(str, values.tolist()))


def _class_count(path: Path, n: int) -> int:
    """Return the number of classes of an `.npz` with labels; 0 if they cannot be read, which `Arrays.load` reports."""
    at = path.stat()
    return _count_classes(path, n, at.st_size, at.st_mtime_ns)


@lru_cache(maxsize=64)
def _count_classes(path: Path, n: int, size: int, mtime: int) -> int:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return len(_read_labels(arrays, n)[1])
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return 0


def _to_images(array: NDArray[Any], places: NDArray[np.int64]) -> Images:
    """Return the images at some places as uint8 (n,C,H,W).

    Raises:
        ValueError: a value is out of range.
    """
    side, channels = array.shape[1], array.shape[3] if array.ndim == 4 else 1
    images = np.empty((len(places), channels, side, side), np.uint8)
    for start in range(0, len(places), BLOCK):
        block = np.asarray(array[places[start : start + BLOCK]])
        levels = _to_levels(block).reshape(len(block), side, side, channels)
        images[start : start + BLOCK] = levels.transpose(0, 3, 1, 2)
    return images


def _to_levels(block: NDArray[Any]) -> NDArray[np.uint8]:
    kind = block.dtype.kind
    low, high = (0, 255) if kind in "iu" else (0, 1)
    if kind in "iuf" and not (block.min() >= low and block.max() <= high):  # also for NaN
        what = "integers must be levels from 0 to 255" if kind in "iu" else "floats must be from 0 to 1"
        raise ValueError(f"{what}; it has values from {block.min()} to {block.max()}")
    return (block if kind in "iu" else np.rint(block * 255.0)).astype(np.uint8)
