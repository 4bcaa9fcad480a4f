"""Files of a results folder on any pyarrow filesystem, written whole or not at all."""

import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

import pyarrow as pa
from pyarrow import NativeFile, fs

from sweeps.ledger.s3 import connect
from sweeps.text import UNSET, error_line, is_utf8, one_line

TEMPORARY = ".tmp"


def temporary_name(name: str) -> str:
    """A name of this process's own, by which `Storage.sweep_temporary` knows when it was left behind."""
    return f"{name}.{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}"


class StorageError(OSError):
    """A file of the results folder cannot be read or written; the message names it and says why."""


def whole_path(path: str | Path) -> str:
    """Return a path of this machine from its root on.

    Raises:
        StorageError: it is empty, or starts at a folder that is gone, or at the home of nobody.
    """
    if path == "":  # pathlib would take the current folder
        raise StorageError(f"the name of a folder {UNSET}")
    try:
        return str(Path(path).expanduser().absolute())
    except (FileNotFoundError, RuntimeError) as error:
        why = error_line(error).rstrip(".") if isinstance(error, RuntimeError) else "the current folder is gone"
        raise StorageError(f"{path}: {why}; give the path from / on") from error


def leave_gone_folder(*paths: str | None) -> None:
    """Go to / where the current folder is gone, and say so: the libraries under torch end a process that is nowhere.
    Raises StorageError for a path that would be another one then."""
    try:
        os.getcwd()
    except FileNotFoundError:
        for path in paths:
            if path is not None and "://" not in path:
                whole_path(path)
        print("the current folder is gone; this command goes on in /", file=sys.stderr, flush=True)
        os.chdir("/")


class Storage:
    """A folder of small files. Names are relative, with forward slashes.

    On a local folder a file is written under a temporary name, synced and renamed; elsewhere it is one put from memory.
    """

    def __init__(self, root: str | Path, filesystem: fs.FileSystem | None = None):
        """`root`: a path or a URI that pyarrow knows (s3://bucket/prefix), or a path inside `filesystem`.

        Raises:
            StorageError: not such a URI, or no path (`whole_path`).
        """
        if filesystem is None:
            if "://" in str(root):
                try:
                    filesystem, path = connect(str(root))
                    if not path:  # as of s3://: all buckets
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
        """A folder inside this one."""
        return Storage(self.path(name), self.filesystem)

    def names(self, folder: str) -> list[str]:
        """The names of the files in a folder, sorted; none where the folder is not there. Raises StorageError."""
        return sorted(info.base_name for info in self._entries(folder) if info.is_file)

    def refuse_dead_link(self, name: str) -> None:
        """Raise StorageError for a link that leads nowhere: git-annex has such for files whose content is elsewhere."""
        path = self.path(name)
        if self.local and os.path.islink(path) and not os.path.exists(path):
            raise StorageError(f"cannot read {path}: it is a link to what is not there")

    def refuse_dead_links(self, folder: str) -> None:
        """Raise StorageError where one of a folder's files is such a link, which `names` leaves out."""
        if self.local and os.path.isdir(self.path(folder)):
            with self._errors_named(folder, "read"), os.scandir(self.path(folder)) as entries:
                links = sorted(entry.name for entry in entries if entry.is_symlink())
            for name in links:
                self.refuse_dead_link(f"{folder}/{name}")

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted. Raises StorageError."""
        return sorted(info.base_name for info in self._entries(folder) if info.type == fs.FileType.Directory)

    def _entries(self, folder: str) -> list[fs.FileInfo]:
        with self._errors_named(folder, "read"):
            try:
                found = self.filesystem.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
            except NotADirectoryError as error:  # no folder is as good as an empty one, but this is a file
                raise StorageError(self._error_line(folder, "read", error)) from error
        return [info for info in found if _has_utf8_name(info)]

    def exists(self, name: str) -> bool:
        """Raises StorageError."""
        return bool(self._info(name).is_file)

    def _info(self, name: str) -> fs.FileInfo:
        with self._errors_named(name, "read"):
            return self.filesystem.get_file_info(self.path(name))

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError or NotADirectoryError where there is no such file, and StorageError."""
        with self._errors_named(name, "read"), self.filesystem.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read())

    def try_read(self, name: str) -> bytes | None:
        """None where there is no such file."""
        try:
            return self.read(name)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> NativeFile:
        """A file to read parts of. Raises as `read`.

        From elsewhere it comes whole: one request, and a connection that breaks is told from a damaged file.
        """
        if not self.local:
            return pa.BufferReader(self.read(name))
        with self._errors_named(name, "read"):
            return self.filesystem.open_input_file(self.path(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[NativeFile]:
        """`open`, where trouble of the machine until it is closed is a StorageError too.

        Only what the file holds may be its damage. pyarrow raises OSError for both: of the system's own words the
        errno is set (no permission, a stale handle, too many open files), of a content that it cannot decode it is not.
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
        """What changes when a file does; None where there is none. Raises StorageError, also for a link that leads
        nowhere."""
        info = self._info(name)
        if not info.is_file:
            self.refuse_dead_link(name)
        return (info.size, info.mtime_ns) if info.is_file else None

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write piece by piece, which others see whole or not at all. Raises StorageError as `write`."""
        with self._errors_named(name):
            if self.local:
                with self._replacing_local(Path(self.path(name))) as file:
                    yield file
            else:  # an object's stream that ends early would leave a part of it, so the whole waits on this machine
                with tempfile.TemporaryFile() as file:
                    yield file
                    file.seek(0)
                    with self._put(self.path(name)) as stream:
                        shutil.copyfileobj(file, stream)

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Writes a file whole: a reader sees the old one, the new one, or none, never a part.

        Raises:
            StorageError: the folder is not writable, the disk is full, ...
        """
        with self._errors_named(name):
            if self.local:
                with self._replacing_local(Path(self.path(name))) as file:
                    file.write(data)
            else:
                with self._put(self.path(name)) as stream:
                    stream.write(data)

    def _put(self, path: str) -> NativeFile:
        try:
            return self.filesystem.open_output_stream(path)
        except FileNotFoundError:  # a filesystem with real folders; an object store has none
            self.filesystem.create_dir(path.rpartition("/")[0], recursive=True)
            return self.filesystem.open_output_stream(path)

    @contextmanager
    def _errors_named(self, name: str, what: Literal["read", "write"] = "write") -> Iterator[None]:
        """Turns what the system says into one line that names the file. Reading, a file may not be there."""
        try:
            yield
        except StorageError:  # of another file, inside
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
        """Renames a file; it may be gone already, by another process that does the same. Raises StorageError as
        `write`."""
        with self._errors_named(new), suppress(FileNotFoundError):
            self.filesystem.move(self.path(name), self.path(new))

    def remove(self, name: str) -> None:
        """Removes a file; it may be gone already. Raises StorageError as `write`."""
        with self._errors_named(name), suppress(FileNotFoundError):
            self.filesystem.delete_file(self.path(name))

    def sweep_temporary(self, folder: str) -> list[str]:
        """Removes temporary files of processes of this host that are gone, and returns their names."""
        stale = [name for name in self.names(folder) if name.endswith(TEMPORARY) and self.local and is_stale(name)]
        for name in stale:
            self.remove(f"{folder}/{name}")
        return stale


def _reason(error: OSError) -> str:
    """The system's words where there are any. pyarrow wraps them into its own, with the path once more."""
    return os.strerror(error.errno) if error.errno else error_line(error)


def is_stale(name: str) -> bool:
    """Whether a `temporary_name` was given by a process of this host that is gone."""
    stem, _, pid = name.removesuffix(TEMPORARY).rpartition("-")[0].rpartition("-")
    if not stem.endswith(f".{socket.gethostname()}") or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it lives, and is somebody else's
        return False
    return False


def _has_utf8_name(info: fs.FileInfo) -> bool:
    """Whether a file has a name in UTF-8. One that has not is none of ours."""
    try:
        return bool(info.base_name)
    except UnicodeDecodeError:
        return False
