"""Any folder of images as a data set."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweeps.data.class_folders import Layout, layout_of
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
    test_images_used,
    title,
)
from sweeps.data.image_folder import folder_files, found_instead, manifest, notes_before_reading, read_folder
from sweeps.data.sampling import WITH_CLASSES, WITHOUT_CLASSES, chosen
from sweeps.text import error_line, number_text


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Any folder of images. Its files' names and sizes identify it until it is read."""

    resizes = True
    own = "the folder of the images"

    def declared(self, data: Data) -> Description | None:
        root = root_of(data)
        with _folder_errors():
            files = folder_files(root)
            if not files:
                return None
            layout = layout_of(root, files)
            train, test = _parts(data, files, layout)
            if not train:
                return None
            taken = train if _is_drawn(data, len(train)) else train[: data.limit]
            return Description(
                len(train),
                len(test),
                *self.shape(data),
                manifest(root, [*taken, *test]),
                samples=WITH_CLASSES if layout.classes else WITHOUT_CLASSES,
                parts=bool(layout.test),
                classes=len(layout.classes),
            )

    def shape(self, data: Data) -> tuple[int, int]:
        return data.channels or FOLDER_CHANNELS, data.side or FOLDER_SIDE

    def check_files(self, data: Data) -> None:
        root = root_of(data)
        with _folder_errors():
            if data.root is None or not folder_files(root):
                raise DataError(f"folder: {_why_no_images(data, root)}")
            if data.part == "train" and not layout_of(root, folder_files(root)).test:
                raise DataError(f"folder: no folders train and test in {root.absolute()}, which data.part train needs")

    def load(self, source: Source) -> Loaded:
        data = source.data
        allowed = FOLDER_MAX_SKIPPED if data.max_skipped is None else data.max_skipped
        root, (channels, side) = root_of(data), self.shape(data)
        with _folder_errors():
            files = folder_files(root)
            layout = layout_of(root, files)
            train, half = self._chosen(source)
            plain = data.part != "train" and not _is_drawn(data, len(files))
            read = read_folder(root, data.limit, side, channels, None if plain else train)
            extra = read_folder(root, None, side, channels, half) if half else None
        for bad, total, line in read.shares:
            if bad and (not len(read.images) or bad > allowed * total):
                raise DataError(f"folder: {line}; more than the share data.max_skipped, {number_text(allowed)}")
        if extra and extra.shares[0].bad:  # the numbers of both parts must be known, so that they can be told apart
            raise DataError(f"folder: {extra.shares[0].line}; every image of the test part must be usable")
        skipped = [f"data: {share.line}; {len(read.images):,} images are used" for share in read.shares if share.bad]
        parts = [read, extra] if extra else [read]
        labels = None
        if layout.labels is not None:
            label_of = dict(zip(files, layout.labels, strict=True))
            labels = np.array([label_of[path] for part in parts for path in part.used], np.int16)
        return Loaded(
            np.concatenate([part.images for part in parts]) if extra else read.images,
            (*skipped, *read.remarks, *_layout_notes(data, files, layout)),
            labels=labels,
            classes=layout.classes,
        )

    def files(self, source: Source) -> Sequence[Path]:
        train, half = self._chosen(source)
        return [*train, *half]

    def _chosen(self, source: Source) -> tuple[Sequence[Path], Sequence[Path]]:
        """Return the files that the folds take, and those of the test part that the source asks for.

        The half of the test part is every second of its files, or fewer at equal distances, so that it has all classes.
        For a half that the split draws, it is the whole part.
        """
        data, files = source.data, folder_files(root_of(source.data))
        layout = layout_of(root_of(data), files)
        train, test = _parts(data, files, layout)
        labels = layout.labels
        if labels is not None and data.part == "train":
            labels = labels[list(layout.train)]
        places = chosen(len(train), data.limit, data.sample, source.sample_seed, labels)
        n = test_images_used(self.declared(data), source) if source.test_half else 0
        return [train[i] for i in places], [test[i * len(test) // n] for i in range(n)]

    def notes_before_reading(self, data: Data) -> tuple[str, ...]:
        root = root_of(data)
        with _folder_errors():
            files = folder_files(root)
            drawn = data.part == "train" or _is_drawn(data, len(files))
            notes = notes_before_reading(root, None if drawn else data.limit)
            return (*_layout_notes(data, files, layout_of(root, files)), *notes)


def _is_drawn(data: Data, images: int) -> bool:
    """Return whether `data.sample` draws some of the images."""
    return data.limit is not None and data.limit < images and data.sample not in (None, "first")


def _parts(data: Data, files: Sequence[Path], layout: Layout) -> tuple[Sequence[Path], Sequence[Path]]:
    """Return the files that the folds split, and those of the official test part."""
    if data.part != "train":
        return files, ()
    return [files[i] for i in layout.train], [files[i] for i in layout.test]


def _why_no_images(data: Data, root: Path) -> str:
    """Return why a folder gives no images: it is not set, not there, a file, or holds none."""
    if data.root is None:
        return "data.root is not set; set it to the folder of the images (. is the current folder)"
    if root.is_dir():
        return f"no images in {root.absolute()}; set data.root to a folder of image files{found_instead(root)}"
    if root.is_file():
        arrays = "; data.dataset arrays reads it" if root.suffix in (".npy", ".npz") else ""
        return f"{root.absolute()} is a file and not a folder{arrays}"
    return f"no such folder: {root.absolute()}; set data.root to a folder of image files"


def _layout_notes(data: Data, files: Sequence[Path], layout: Layout) -> list[str]:
    """Return what is done with the folders train and test, and which images are drawn, a line each."""
    notes, name = [], title(data)
    taken = len(layout.train) if data.part == "train" else len(files)
    if layout.test:
        found = f"data: {name} has the folders train ({len(layout.train):,} images) and test ({len(layout.test):,})"
        if data.part == "train":
            notes.append(f"{found}: the folds take train; folds.selection test_half or random_test_half uses test")
        else:
            notes.append(f"{found}: the folds take all; data.part train or folds.selection test_half keeps test apart")
    if _is_drawn(data, taken):
        how = f" in proportion to {len(layout.classes):,} class folders" if data.sample == "stratified" else ""
        notes.append(f"data: {name}: {data.limit:,} of {taken:,} files are drawn{how}, by the sweep's seed")
    return notes


@contextmanager
def _folder_errors() -> Iterator[None]:
    """Turn an OSError into a DataError of one line."""
    try:
        yield
    except OSError as error:
        raise DataError(f"folder: cannot be read: {error_line(error)}") from error
