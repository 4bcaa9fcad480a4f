"""Whether two sets of images are the same: a hash of the pixels, and one of the bytes of the files they are read from.

The pixels decide what is trained. They may differ though the files are the same, where another version of an image
library decodes them; such images count as the same.
"""

import hashlib
from collections.abc import Iterable, Sequence
from io import BufferedReader
from pathlib import Path

import numpy as np

from sweeps.data.readers import Images
from sweeps.data.reasons import FILE_IS_GONE, MachineTrouble, trouble_text


def fingerprint(images: Images) -> str:
    """SHA-256 over the pixels, in hex."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def files_hash_of(paths: Sequence[Path], images: int) -> str | None:
    """SHA-256 over the number of images that the files gave and the SHA-256 of every file, in their order; None where
    there are no files. A file that is gone or not ours to read counts as such.

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
    """Open a file that was read a moment ago. Only a refusal that lasts counts: it is the reader's too."""
    try:
        return path.open("rb")
    except PermissionError:
        return path.open("rb")


def file_stamps(paths: Sequence[Path]) -> dict[Path, tuple[int, ...] | None]:
    """What changes of each file when it is written again or closed to us; None where its reader has to say why."""
    found: dict[Path, tuple[int, ...] | None] = {}
    for path in paths:
        try:
            at = path.stat()
            found[path] = at.st_size, at.st_mtime_ns, at.st_ino, at.st_mode, at.st_uid, at.st_gid
        except OSError:
            found[path] = None
    return found


Hashes = tuple[str | None, str | None]
"""Of the pixels and of the files of one set of images; None where it is not known."""


class SameImages:
    """Which of many hashes are those of the same images: of the same pixels, or of the same files."""

    def __init__(self, hashes: Iterable[Hashes] = ()):
        self._to: dict[tuple[int, str], tuple[int, str]] = {}
        for pair in hashes:
            self.add(pair)

    def add(self, hashes: Hashes) -> None:
        known = [(i, text) for i, text in enumerate(hashes) if text]
        for other in known[1:]:
            self._to[self._root(other)] = self._root(known[0])

    def differ(self, seen: Hashes, now: Hashes) -> bool:
        """Whether images that were seen, as far as that is known, are others than those of now."""
        return any(seen) and self.name(seen) != self.name(now)

    def name(self, hashes: Hashes) -> str | None:
        """Return one name for all that are the same images: the beginning of a hash. None where nothing is known."""
        for i, text in enumerate(hashes):
            if text:
                return self._root((i, text))[1][:8]
        return None

    def _root(self, token: tuple[int, str]) -> tuple[int, str]:
        while (above := self._to.get(token, token)) != token:
            token = above
        return token
