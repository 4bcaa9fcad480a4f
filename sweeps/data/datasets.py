"""Data sets as one uint8 array (N,C,H,W), and what is declared of them so that a plan needs neither files nor torch."""

from functools import lru_cache

from sweeps.data.dataset import (
    DATASETS,
    Data,
    DataError,
    Dataset,
    Description,
    Loaded,
    Source,
    half_used,
    images_used,
    root_of,
)
from sweeps.data.folder import ImageFolder
from sweeps.data.hashes import file_stamps, files_hash_of, fingerprint
from sweeps.data.published import KINDS, Published
from sweeps.text import error_line

__all__ = [
    "DATASETS", "Data", "DataError", "Dataset", "Description", "ImageFolder", "Loaded", "Published", "Source",
    "check_files", "declared", "image_count", "load", "root_of", "shape", "test_half_count",
]  # fmt: skip

for _kind in (*KINDS, ImageFolder("folder")):
    DATASETS.register(_kind)


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
    return images_used(declared(data), data)


def test_half_count(source: Source) -> int:
    """Images of the official test part that pick the epoch: half of it, and no more than `limit`."""
    return half_used(declared(source.data), source)


def check_files(data: Data) -> None:
    """Look whether a data set's files are there, without reading them. Raises DataError as `Dataset.check_files`."""
    DATASETS[data.dataset].check_files(data)


def load(source: Source) -> Loaded:
    """Read the images of a source: the first `limit` ones, then, where it is asked for, the test half.

    Raises:
        DataError: files missing, unreadable (of a folder: too many of them), with other content than declared, or
            changed while they were read.
    """
    check_files(source.data)
    dataset = DATASETS[source.data.dataset]
    try:
        try:
            before = file_stamps(dataset.files(source))
        except ValueError:  # a list of the files that is none: `load` says so
            before = {}
        loaded = dataset.load(source)
        files = dataset.files(source)
        files_hash = files_hash_of(files, len(loaded.images))
        changed = [path for path, stamp in file_stamps(files).items() if stamp != before.get(path)]
    except MemoryError as error:
        raise DataError(
            f"{source.data.dataset}: not enough memory for its images here: {error_line(error)[:200]}"
        ) from error
    except OSError as error:
        raise DataError(f"{source.data.dataset}: cannot be read: {error_line(error)[:300]}") from error
    if changed:  # the hashes would be of other files than the images
        name = (
            f"{source.data.dataset}: {len(changed):,} files changed while they were read, such as {str(changed[0])!r}"
        )
        raise DataError(f"{name}; the same command reads them again")
    return loaded._replace(data_hash=fingerprint(loaded.images), files_hash=files_hash)
