"""Data sets as one uint8 array (N,C,H,W), and their descriptions, so that a plan needs neither images nor torch."""

from functools import lru_cache

from sweeps.data.arrays import Arrays
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
    root_name,
    root_of,
    test_images_used,
    title,
)
from sweeps.data.folder import ImageFolder
from sweeps.data.hashes import file_stamps, files_hash_of, fingerprint
from sweeps.data.published import KINDS, Published
from sweeps.text import error_line

__all__ = [
    "DATASETS", "Arrays", "Data", "DataError", "Dataset", "Description", "ImageFolder", "Loaded", "Published", "Source",
    "check_files", "declared", "image_count", "load", "root_name", "root_of", "shape", "test_half_count",
    "test_image_count", "title",
]  # fmt: skip

for _kind in (*KINDS, ImageFolder("folder"), Arrays("arrays")):
    DATASETS.register(_kind)


@lru_cache(maxsize=1024)
def declared(data: Data) -> Description | None:
    """Return a data set's description, whose fingerprint for a folder is its manifest (names and sizes of files).

    None if a folder is not here: then neither its images nor the keys of its units are known.
    """
    return DATASETS[data.dataset].declared(data)


def shape(data: Data) -> tuple[int, int]:
    """Return channels and side of a data set's images."""
    return DATASETS[data.dataset].shape(data)


def image_count(data: Data) -> int:
    """Return the number of images in the folds: `limit` of them, or all; 0 if a folder is not here.

    A folder may turn out to have fewer, since only reading shows which files are unreadable.
    """
    return images_used(declared(data), data)


def test_half_count(source: Source) -> int:
    """Return how many images of the official test part validate: half of it, at most `limit`; 0 if not asked for."""
    return half_used(declared(source.data), source)


def test_image_count(source: Source) -> int:
    """Return how many images of the official test part follow the others: `test_half_count`, or all to draw from."""
    return test_images_used(declared(source.data), source)


def check_files(data: Data) -> None:
    """Check that a data set's files exist, without reading them. Raise DataError as `Dataset.check_files`."""
    DATASETS[data.dataset].check_files(data)


def load(source: Source) -> Loaded:
    """Read a source: the `limit` images that it takes, then those of the official test part that it asks for.

    Raises:
        DataError: files are missing, unreadable (in a folder: too many), have other content than declared, or changed
            while they were read.
    """
    check_files(source.data)
    dataset = DATASETS[source.data.dataset]
    try:
        try:
            before = file_stamps(dataset.files(source))
        except ValueError:  # the list of files is damaged; `load` reports that
            before = {}
        loaded = dataset.load(source)
        files = dataset.files(source)
        files_hash = files_hash_of(files, len(loaded.images))
        changed = [path for path, stamp in file_stamps(files).items() if stamp != before.get(path)]
    except MemoryError as error:
        raise DataError(
            f"{title(source.data)}: not enough memory for its images here: {error_line(error)[:200]}"
        ) from error
    except OSError as error:
        raise DataError(f"{title(source.data)}: cannot be read: {error_line(error)[:300]}") from error
    if changed:  # the hashes would belong to other files than the images
        name = f"{title(source.data)}: {len(changed):,} files changed while they were read, such as {str(changed[0])!r}"
        raise DataError(f"{name}; the same command reads them again")
    return loaded._replace(data_hash=fingerprint(loaded.images), files_hash=files_hash)
