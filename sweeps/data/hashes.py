"""Hashes that tell whether two sets of images are the same: one of the pixels, and one of the files' bytes.

Training depends on the pixels. Another version of an image library may decode the same files to other pixels; such
images count as the same.
"""

import hashlib
from collections.abc import Iterable, Sequence
from io import BufferedReader
from pathlib import Path

import numpy as np

from sweeps.data.readers import Images
from sweeps.data.reasons import FILE_IS_GONE, MachineTrouble, trouble_text


def fingerprint(images: Images) -> str:
    """Return the SHA-256 of the pixels, in hex."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def files_hash_of(paths: Sequence[Path], images: int) -> str | None:
    """Return the SHA-256 over the number of images and each file's SHA-256, in their order; None without files.

    Files that are gone and files without permission enter it as such.

    Raises:
        MachineTrouble: a file cannot be read now.
    """
    digest = hashlib.sha256(images.to_bytes(8, "little"))
    for path in paths:
        try:
            with _opened(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except PermissionError:
            digest.update(b"closed")
        except OSError as error:
            if error.errno not in FILE_IS_GONE:
                raise MachineTrouble(f"{str(path)!r}: {trouble_text(error)}") from error
            digest.update(b"gone")
    return digest.hexdigest() if paths else None


def _opened(path: Path) -> BufferedReader:
    """Open a file that was read before. Try a second time if permission is refused, as a refusal may pass."""
    try:
        return path.open("rb")
    except PermissionError:
        return path.open("rb")


def file_stamps(paths: Sequence[Path]) -> dict[Path, tuple[int, ...] | None]:
    """Return what changes when a file is rewritten or its permissions change; None if it cannot be looked up."""
    found: dict[Path, tuple[int, ...] | None] = {}
    for path in paths:
        try:
            at = path.stat()
            found[path] = at.st_size, at.st_mtime_ns, at.st_ino, at.st_mode, at.st_uid, at.st_gid
        except OSError:
            found[path] = None
    return found


Hashes = tuple[str | None, str | None]
"""The hashes of one set of images: of its pixels, and of its files; None where one is not known."""


class SameImages:
    """Groups of hashes of the same images. Images with the same pixels, or from the same files, are the same."""

    def __init__(self, hashes: Iterable[Hashes] = ()):
        self._to: dict[tuple[int, str], tuple[int, str]] = {}
        for pair in hashes:
            self.add(pair)

    def add(self, hashes: Hashes) -> None:
        known = [(i, text) for i, text in enumerate(hashes) if text]
        for other in known[1:]:
            self._to[self._root(other)] = self._root(known[0])

    def differ(self, seen: Hashes, now: Hashes) -> bool:
        """Return whether the images that were seen are known, and are others than the present ones."""
        return any(seen) and self.name(seen) != self.name(now)

    def name(self, hashes: Hashes) -> str | None:
        """Return a name that all hashes of the same images share: the beginning of one. None if no hash is known."""
        for i, text in enumerate(hashes):
            if text:
                return self._root((i, text))[1][:8]
        return None

    def _root(self, token: tuple[int, str]) -> tuple[int, str]:
        while (above := self._to.get(token, token)) != token:
            token = above
        return token
