"""Files of a results folder on any pyarrow filesystem, written whole or not at all."""

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
from pyarrow import NativeFile, fs

from sweeps.ledger.s3 import connect
from sweeps.ledger.temporary import TEMPORARY, is_stale, temporary_name
from sweeps.text import UNSET, error_line, is_utf8, one_line


class StorageError(OSError):
    """A file of the results folder cannot be read or written; the message names it and says why."""


def whole_path(path: str | Path) -> str:
    """Return an absolute path of this machine.

    Raises:
        StorageError: `path` is empty, or begins at a folder that is gone or at an unknown user's home.
    """
    if path == "":  # pathlib reads it as the current folder
        raise StorageError(f"the name of a folder {UNSET}")
    try:
        return str(Path(path).expanduser().absolute())
    except (FileNotFoundError, RuntimeError) as error:
        why = error_line(error).rstrip(".") if isinstance(error, RuntimeError) else "the current folder is gone"
        raise StorageError(f"{path}: {why}; give the path from / on") from error


def leave_gone_folder(*paths: str | None) -> None:
    """Change to / if the current folder is gone, and print that: libraries that torch loads end such a process.

    Raises:
        StorageError: one of `paths` is relative, so it would name another file then.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        for path in paths:
            if path is not None and "://" not in path:
                whole_path(path)
        print("the current folder is gone; this command continues in /", file=sys.stderr, flush=True)
        os.chdir("/")


class Storage:
    """A folder of small files. Names are relative, with forward slashes.

    A local file is written under a temporary name, synced and renamed. Elsewhere a file is one put from memory.
    """

    def __init__(self, root: str | Path, filesystem: fs.FileSystem | None = None):
        """Open the folder `root`: a path, a URI that pyarrow knows (s3://bucket/prefix), or a path in `filesystem`.

        Raises:
            StorageError: pyarrow does not know the URI, or the path is none (`whole_path`).
        """
        if filesystem is None:
            if "://" in str(root):
                try:
                    filesystem, path = connect(str(root))
                    if not path:  # s3:// names all buckets
                        raise ValueError(f"{root} {UNSET}")
                except (OSError, ValueError) as error:  # the URI itself may hold a password
                    raise StorageError(f"not a results folder: {error_line(error)}") from error
            else:
                filesystem, path = fs.LocalFileSystem(), whole_path(root)
                if not is_utf8(path):
                    raise StorageError(f"{one_line(path)}: not UTF-8; rename it, or link to it by another name")
        else:
            path = str(root)
        self.filesystem, self.root = filesystem, path.rstrip("/")
        self.local = isinstance(filesystem, fs.LocalFileSystem)

    def path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def folder(self, name: str) -> "Storage":
        """Return a folder inside this one."""
        return Storage(self.path(name), self.filesystem)

    def names(self, folder: str) -> list[str]:
        """Return the sorted names of a folder's files; none if there is no such folder. Raise StorageError."""
        return sorted(info.base_name for info in self._entries(folder) if info.is_file)

    def refuse_dead_link(self, name: str) -> None:
        """Raise StorageError for a dead link. git-annex makes such links for files whose content is elsewhere."""
        path = self.path(name)
        if self.local and os.path.islink(path) and not os.path.exists(path):
            raise StorageError(f"cannot read {path}: it is a link to a missing file")

    def refuse_dead_links(self, folder: str) -> None:
        """Raise StorageError if one of a folder's files is a dead link, which `names` leaves out."""
        if self.local and os.path.isdir(self.path(folder)):
            with self._errors_named(folder, "read"), os.scandir(self.path(folder)) as entries:
                links = sorted(entry.name for entry in entries if entry.is_symlink())
            for name in links:
                self.refuse_dead_link(f"{folder}/{name}")

    def folders(self, folder: str) -> list[str]:
        """Return the sorted names of the folders in a folder. Raise StorageError."""
        return sorted(info.base_name for info in self._entries(folder) if info.type == fs.FileType.Directory)

    def _entries(self, folder: str) -> list[fs.FileInfo]:
        with self._errors_named(folder, "read"):
            try:
                found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
            except NotADirectoryError as error:  # a missing folder counts as empty, a file does not
                raise StorageError(self._error_line(folder, "read", error)) from error
        return [info for info in found if _has_utf8_name(info)]

    def exists(self, name: str) -> bool:
        """Return whether there is such a file. Raise StorageError."""
        return bool(self._info(name).is_file)

    def _info(self, name: str) -> fs.FileInfo:
        with self._errors_named(name, "read"):
            return self.filesystem.get_file_info(self.path(name))

    def read(self, name: str) -> bytes:
        """Read a whole file. Raise FileNotFoundError or NotADirectoryError if there is none, or StorageError."""
        with self._errors_named(name, "read"), self.filesystem.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read())

    def try_read(self, name: str) -> bytes | None:
        """Read a whole file; None if there is none. Raise StorageError."""
        try:
            return self.read(name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> NativeFile:
        """Open a file to read parts of it. Raise as `read`.

        A file that is not local is read whole: in one request, so that a broken connection is not taken for damage.
        """
        if not self.local:
            return pa.BufferReader(self.read(name))
        with self._errors_named(name, "read"):
            return self.filesystem.open_input_file(self.path(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[NativeFile]:
        """Open a file as `open` does, and raise StorageError for trouble of the machine until it is closed.

        Only a file's content may count as damaged. pyarrow raises OSError for both: with an errno for the system's
        errors (no permission, a stale handle, too many open files), and without one for content that it cannot decode.
        """
        try:
            with self.open(name) as file:
                yield file
        except OSError as error:
            if error.errno is None or isinstance(error, FileNotFoundError | NotADirectoryError):
                raise
            raise StorageError(self._error_line(name, "read", error)) from error
        except MemoryError as error:
            raise StorageError(f"cannot read {self.path(name)}: out of memory") from error

    def stamp(self, name: str) -> tuple[int, object] | None:
        """Return size and time of a file, which change when it does; None if there is no file.

        Raises:
            StorageError: the machine cannot look it up now, or it is a dead link.
        """
        info = self._info(name)
        if not info.is_file:
            self.refuse_dead_link(name)
        return (info.size, info.mtime_ns) if info.is_file else None

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file to write it in pieces; others see it whole or not at all. Raise StorageError as `write`."""
        with self._errors_named(name):
            if self.local:
                with self._replacing_local(Path(self.path(name))) as file:
                    yield file
            else:  # a stream to an object store that ends early leaves a part there, so the file is first written here
                with tempfile.TemporaryFile() as file:
                    yield file
                    file.seek(0)
                    with self._put(self.path(name)) as stream:
                        shutil.copyfileobj(file, stream)

    def write_if_changed(self, name: str, data: bytes) -> None:
        """Write a whole file as `write` does, unless it holds exactly this."""
        if self.try_read(name) != data:
            self.write(name, data)

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a whole file. A reader sees the old file, the new one, or none, but never a part.

        Raises:
            StorageError: for example, the folder is not writable or the disk is full.
        """
        with self._errors_named(name):
            if self.local:
                with self._replacing_local(Path(self.path(name))) as file:
                    file.write(data)
            else:
                with self._put(self.path(name)) as stream:
                    stream.write(data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a whole file unless it exists. Return whether this call created it. Raise StorageError as `write`.

        On a local filesystem exactly one of several processes creates a file: a hard link to a complete file either
        appears under the name or fails. pyarrow has no such operation for object stores, so that there a file is
        written if none is seen, and read back: of two writers the later one wins, and the earlier one may not learn it.
        """
        with self._errors_named(name):
            if self.local:
                return self._create_local(Path(self.path(name)), data)
            if self.exists(name):
                return False
            with self._put(self.path(name)) as stream:
                stream.write(data)
            return self.try_read(name) == data

    def _create_local(self, path: Path, data: bytes) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(temporary_name(path.name))
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                return _create_in_place(path, data)
            return True
        finally:
            temporary.unlink(missing_ok=True)

    def _put(self, path: str) -> NativeFile:
        try:
            return self.filesystem.open_output_stream(path)
        except FileNotFoundError:  # filesystems with folders raise this, object stores do not
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            return self.filesystem.open_output_stream(path)

    @contextmanager
    def _errors_named(self, name: str, what: Literal["read", "write"] = "write") -> Iterator[None]:
        """Turn the system's errors into a StorageError that names the file, except where a file to read is missing."""
        try:
            yield
        except StorageError:  # an inner call has named its file
            raise
        except OSError as error:
            if what == "read" and isinstance(error, FileNotFoundError | NotADirectoryError):
                raise
            raise StorageError(self._error_line(name, what, error)) from error

    def _error_line(self, name: str, what: Literal["read", "write"], error: OSError) -> str:
        return f"cannot {what} {self.path(name)}: {_reason(error)}"

    @contextmanager
    def _replacing_local(self, path: Path) -> Iterator[IO[bytes]]:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(temporary_name(path.name))
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def rename(self, name: str, new: str) -> None:
        """Rename a file. It may be gone, if another process does the same. Raise StorageError as `write`."""
        with self._errors_named(new), suppress(FileNotFoundError):
            self.filesystem.move(self.path(name), self.path(new))

    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already. Raise StorageError as `write`."""
        with self._errors_named(name), suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path(name))

    def sweep_temporary(self, folder: str) -> list[str]:
        """Remove the temporary files of this host's processes that have ended, and return their names."""
        stale = [name for name in self.names(folder) if name.endswith(TEMPORARY) and self.local and is_stale(name)]
        for name in stale:
            self.remove(f"{folder}/{name}")
        return stale


_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of `os.link` on filesystems without hard links, such as those of USB sticks and some network shares."""


def _create_in_place(path: Path, data: bytes) -> bool:
    """Create a file without a hard link. Another process may see only a part of it for a moment."""
    try:
        with path.open("xb") as file:
            file.write(data)
    except FileExistsError:
        return False
    return True


def _reason(error: OSError) -> str:
    """Return the system's message if there is one: pyarrow's own message repeats the path."""
    return os.strerror(error.errno) if error.errno else error_line(error)


def _has_utf8_name(info: fs.FileInfo) -> bool:
    """Return whether a file's name is UTF-8. Files with other names are not ours."""
    try:
        return bool(info.base_name)
    except UnicodeDecodeError:
        return False
