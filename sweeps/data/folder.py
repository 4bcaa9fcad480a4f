"""Any folder of images as a data set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sweeps.data.dataset import (
    FOLDER_CHANNELS,
    FOLDER_MAX_SKIPPED,
    FOLDER_SIDE,
    Data,
    DataError,
    Dataset,
    Description,
    Loaded,
    Source,
    root_of,
)
from sweeps.data.image_folder import folder_files, found_instead, manifest, notes_before_reading, read_folder
from sweeps.text import error_line, number_text


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Any folder of images. Its files' names and sizes identify it until it is read."""

    resizes = True

    def declared(self, data: Data) -> Description | None:
        root = root_of(data)
        with _folder_errors():
            files = folder_files(root)
            if not files:
                return None
            return Description(len(files), 0, *self.shape(data), manifest(root, files[: data.limit]))

    def shape(self, data: Data) -> tuple[int, int]:
        return data.channels or FOLDER_CHANNELS, data.side or FOLDER_SIDE

    def check_files(self, data: Data) -> None:
        root = root_of(data)
        with _folder_errors():
            if not folder_files(root):
                raise DataError(
                    f"folder: no images in {root.absolute()}; set data.root to a folder of image files"
                    + found_instead(root)
                )

    def load(self, source: Source) -> Loaded:
        data = source.data
        allowed = FOLDER_MAX_SKIPPED if data.max_skipped is None else data.max_skipped
        with _folder_errors():
            read = read_folder(root_of(data), data.limit, *reversed(self.shape(data)))
        if read.bad and (not len(read.images) or read.bad > allowed * read.total):
            raise DataError(
                f"folder: {read.skipped_line}; more than the share data.max_skipped, {number_text(allowed)}"
            )
        skipped = (f"data: {read.skipped_line}; {len(read.images):,} images are used",) if read.bad else ()
        return Loaded(read.images, (*skipped, *read.remarks))

    def files(self, source: Source) -> Sequence[Path]:
        return folder_files(root_of(source.data))[: source.data.limit]

    def notes_before_reading(self, data: Data) -> tuple[str, ...]:
        with _folder_errors():
            return notes_before_reading(root_of(data), data.limit)


@contextmanager
def _folder_errors() -> Iterator[None]:
    """Turn an OSError into a DataError of one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"folder: cannot be read: {error_line(error)}") from error
