"""A folder of images: its files, its manifest, and what was skipped of it."""

import hashlib
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from sweeps.data.readers import Skipped

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}

READING = 2
"""Of the manifest: raised when the same files give other images (2: EXIF orientation, alpha, 16 bits, hidden files)."""


@lru_cache(maxsize=8)
def folder_files(root: Path) -> tuple[Path, ...]:
    """The image files under a folder, by their endings, sorted by path. Hidden ones (`.git/`, `._1.png`) are no part of
    it, links to folders are not followed, and what cannot be looked at is left out."""
    found: list[Path] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder) / name for name in names if not name.startswith(".")]
    return tuple(sorted(path for path in found if path.suffix.lower() in SUFFIXES and _is_file(path)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may be listed and not entered
        return False


def manifest(root: Path, files: Sequence[Path]) -> str:
    """SHA-256 of the files' names and sizes: what a folder's content is taken for before it is read."""
    digest = hashlib.sha256(f"{READING}\n".encode())
    for path in files:
        digest.update(os.fsencode(path.relative_to(root).as_posix()) + f"\0{_size(path)}\n".encode())
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # gone since it was listed
        return -1


def told(root: Path, skipped: Skipped, files: int) -> str:
    """One line: how many files were skipped, and each reason with an example."""
    reasons = (
        f"{len(paths):,} {reason} (such as {str(paths[0].relative_to(root))!r})" for reason, paths in skipped.items()
    )
    count = sum(map(len, skipped.values()))
    return f"{count:,} of the {files:,} image files in {str(root.absolute())!r} cannot be used: {'; '.join(reasons)}"
