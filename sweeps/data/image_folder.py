"""Folders of images: their files, their manifest, and which files are left out."""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from sweeps.data.image_file import BYTES_PER_PIXEL, MAX_PIXELS
from sweeps.data.readers import Images, Remarks, Skipped, read_files
from sweeps.data.reasons import FILE_IS_GONE, NOT_OURS, MachineTrouble, trouble_text

SUFFIXES = {".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}

LATER_SUFFIXES = {".jfif", ".jpe"}
"""Suffixes that earlier versions did not read: folders with such files have another manifest than before."""

OTHER_SUFFIXES = {
    *(".avif", ".avifs", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpf", ".jpx", ".jpm", ".apng", ".pnm"),
    *(".pbm", ".pam", ".pfm", ".dib", ".ico", ".icns", ".tga", ".pcx", ".psd", ".xbm", ".xpm", ".exr", ".hdr", ".qoi"),
    *(".dds", ".sgi", ".svg", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pjpeg", ".pjp"),
}
"""Suffixes of images that are not read. They are counted and reported."""

READING_VERSION = 2
"""A part of the manifest. It is raised when the same files give other images (2: EXIF orientation, alpha, 16 bits,
hidden files).

It was not raised when colour profiles, 12-bit and min-is-white TIFF and transparent 16-bit PNG were read correctly for
the first time. Few folders hold such files, only reading shows which, and the done units of all others would have been
orphaned. The `data_hash` of the units of those few shows the change."""

DEAD_LINK = "linked to a missing file"
NOT_REGULAR = "not a regular file"
CLOSED_FOLDER = "of a folder that cannot be listed (permissions; its images are not counted)"
LINKED_FOLDER = "in a linked folder (linked folders are not read)"
MISNAMED = "an image by its content but not by its name"

_HEADS = (
    *(b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    *(b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"\xff\x0a"),
)
_FTYP_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_TEXT_SUFFIXES = {".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".yaml", ".yml", ".md", ".py", ".log"}


class Listing(NamedTuple):
    """The content of a folder.

    `files`: files with the suffix of an image, sorted by path. `left_out`: paths that cannot be used, by reason.
    `others`: files whose suffix does not say what they are.
    """

    files: tuple[Path, ...]
    left_out: Skipped
    others: tuple[Path, ...]


@lru_cache(maxsize=8)
def listing(root: Path) -> Listing:
    """List the files under a folder, without hidden ones (`.git/`, `._1.png`) and those behind links to folders.

    Raises:
        MachineTrouble: a folder or file cannot be looked up now.
    """
    files: list[Path] = []
    others: list[Path] = []
    left_out: Skipped = {}

    def closed(error: OSError) -> None:
        if isinstance(error, PermissionError):
            left_out.setdefault(CLOSED_FOLDER, []).append(Path(error.filename))
        elif error.errno not in FILE_IS_GONE:
            raise _trouble(error.filename, error)

    for folder, folders, names in os.walk(root, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for link in (Path(folder, name) for name in folders):
            if link.is_symlink():
                for path in _left_out_behind(root, link):
                    left_out.setdefault(LINKED_FOLDER, []).append(path)
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            suffix = path.suffix.lower()
            if suffix not in SUFFIXES | OTHER_SUFFIXES:
                others += [] if suffix in _TEXT_SUFFIXES else [path]
            elif reason := _why_no_file(path) or (
                "" if suffix in SUFFIXES else f"of a kind that is not read ({suffix})"
            ):
                left_out.setdefault(reason, []).append(path)
            else:
                files.append(path)
    return Listing(tuple(sorted(files)), {r: sorted(left_out[r]) for r in sorted(left_out)}, tuple(sorted(others)))


def folder_files(root: Path) -> tuple[Path, ...]:
    """Return the files under a folder that have the suffix of an image, sorted by path."""
    return listing(root).files


def _trouble(path: object, error: OSError) -> MachineTrouble:
    return MachineTrouble(f"{str(path)!r}: {trouble_text(error)}; the folder was not read, and no image was left out")


def _why_no_file(path: Path) -> str | None:
    """Return why a listed path is not a regular file; None if it is one."""
    try:
        return None if stat.S_ISREG(path.stat().st_mode) else NOT_REGULAR
    except PermissionError:
        return NOT_OURS
    except OSError as error:
        if error.errno in FILE_IS_GONE:
            return DEAD_LINK
        raise _trouble(path, error) from None


def _left_out_behind(root: Path, link: Path) -> list[Path]:
    """Return the images in a linked folder, or the link itself if it leads only to further folders.

    Return nothing if those images are read under another name, as in a loop.
    """
    try:
        inside, target = root.resolve(), link.resolve()
        if inside.is_relative_to(target):
            return []
        if target.is_relative_to(inside) and not any(p.startswith(".") for p in target.relative_to(inside).parts):
            return []
        with os.scandir(link) as entries:
            names = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
    except PermissionError:
        return [link]
    except (OSError, RuntimeError) as error:  # Python 3.11 raises RuntimeError for a loop of links
        if isinstance(error, OSError) and error.errno not in FILE_IS_GONE:
            raise _trouble(link, error) from None
        return [link]
    images = [link / name for name in names if Path(name).suffix.lower() in SUFFIXES | OTHER_SUFFIXES]
    return images or ([link] if any(names.values()) else [])


def manifest(root: Path, files: Sequence[Path]) -> str:
    """Return the SHA-256 of the files' names and sizes, which identifies a folder's content before it is read."""
    digest = hashlib.sha256(f"{READING_VERSION}\n".encode())
    for path in files:
        digest.update(os.fsencode(path.relative_to(root).as_posix()) + f"\0{_size(path)}\n".encode())
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        if error.errno not in FILE_IS_GONE | {errno.EACCES}:
            raise _trouble(path, error) from None
        return -1  # it was removed after it was listed


class Share(NamedTuple):
    """How many of the `total` files gave no image. `line` says which, and why."""

    bad: int
    total: int
    line: str


class FolderRead(NamedTuple):
    """A folder's images, the files that they come from, the files that gave none, and notes on oddities."""

    images: Images
    used: list[Path]
    shares: list[Share]
    remarks: tuple[str, ...]


def read_folder(
    root: Path, limit: int | None, side: int, channels: int, chosen: Sequence[Path] | None = None
) -> FolderRead:
    """Read the first `limit` files. A later file does not replace an unusable one, so that the manifest stays true.

    Args:
        chosen: read these files instead. Then the images that are left out of the whole folder have a share of their
            own.

    Raises:
        MachineTrouble: a folder or file cannot be read now.
    """
    files = folder_files(root)[:limit] if chosen is None else chosen
    remarks: Remarks = {}
    images, skipped = read_files(files, side, channels, remarks)
    unusable = {path for paths in skipped.values() for path in paths}
    used = [path for path in files if path not in unusable]
    missed = left_out(root, limit if chosen is None else None)
    if chosen is None:
        for reason, paths in missed.items():
            skipped[reason] = sorted([*skipped.get(reason, []), *paths])
    shares = [_share(root, skipped, len(images))]
    shares += [] if chosen is None else [_share(root, missed, len(folder_files(root)))]
    return FolderRead(images, used, shares, (*manifest_note(root, files), *_remark_lines(root, remarks)))


def _share(root: Path, skipped: Skipped, usable: int) -> Share:
    bad = sum(map(len, skipped.values()))
    return Share(bad, usable + bad, skipped_line(root, skipped, usable + bad))


def left_out(root: Path, limit: int | None, look_inside: bool = True) -> Skipped:
    """Return the images under a folder that are known to be unusable before any is read, by reason.

    If `limit` cuts the files off, those that come after the last of them do not count.

    Args:
        look_inside: look into files whose suffix does not say what they are, which takes time.
    """
    found = listing(root)
    last = found.files[limit - 1] if limit is not None and limit < len(found.files) else None
    counted = dict(found.left_out)
    for path in found.others if look_inside else ():
        if reason := _why_left_out(path):
            counted[reason] = sorted([*counted.get(reason, []), path])
    if last is not None:
        counted = {reason: [path for path in paths if path < last] for reason, paths in counted.items()}
    return {reason: paths for reason, paths in counted.items() if paths}


def _why_left_out(path: Path) -> str | None:
    """Return why a file with an unknown suffix counts as left out: it is an image, or, without a suffix, may be one."""
    reason = _why_no_file(path)
    if reason is None:
        try:
            with path.open("rb") as file:
                return MISNAMED if _is_image(file.read(16)) else None
        except PermissionError:
            reason = NOT_OURS
        except OSError as error:
            if error.errno not in FILE_IS_GONE:
                raise _trouble(path, error) from None
    return None if path.suffix or reason == NOT_REGULAR else reason


def _is_image(head: bytes) -> bool:
    """Return whether a file's first 16 bytes are those of an image."""
    return (
        head.startswith(_HEADS)
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in _FTYP_BRANDS)
        or (head[:2] == b"BM" and head[6:10] == b"\0\0\0\0")
        or (head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace())
    )


def manifest_note(root: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Return one line if earlier versions gave these files another manifest, else none."""
    later = sum(path.suffix.lower() in LATER_SUFFIXES for path in files)
    if not later:
        return ()
    return (
        f"data: {later:,} files in {str(root.absolute())!r} end in .jfif or .jpe, which were not read before: they are "
        "images now, so the units of this folder have other keys than those that were trained without them",
    )


def found_instead(root: Path) -> str:
    """Return the end of the line "no images": what the folder holds instead."""
    instead = left_out(root, None)
    return f": {skipped_line(root, instead, sum(map(len, instead.values())))}" if instead else ""


def notes_before_reading(root: Path, limit: int | None) -> tuple[str, ...]:
    """Return notes on a folder without a look into any file."""
    counted = left_out(root, limit, look_inside=False)
    lines = [f"data: {skipped_line(root, counted, len(folder_files(root)[:limit]) + sum(map(len, counted.values())))}"]
    most = f"{BYTES_PER_PIXEL * MAX_PIXELS / 1e9:.1f} GB"
    memory = f"data: reading a file takes up to {BYTES_PER_PIXEL} bytes of memory per pixel, at most {most}"
    files = folder_files(root)
    return (*(lines if counted else ()), *manifest_note(root, files[:limit]), *([memory] if files else ()))


def _remark_lines(root: Path, remarks: Remarks) -> list[str]:
    """Return a line for each kind of oddity, with the number of files and an example."""
    lines = []
    for kind, files in remarks.items():
        (path, text), count = files[0], len({path for path, _ in files})
        example = f"{str(path.relative_to(root))!r}{text and ': '}{text}"
        lines.append(f"data: {count:,} image files in {str(root.absolute())!r} {kind} (such as {example})")
    return lines


def skipped_line(root: Path, skipped: Skipped, files: int) -> str:
    """Return one line: how many files were skipped, and each reason with an example."""
    reasons = (
        f"{len(paths):,} {reason} (such as {str(paths[0].relative_to(root))!r})" for reason, paths in skipped.items()
    )
    count = sum(map(len, skipped.values()))
    return f"{count:,} of the {files:,} image files in {str(root.absolute())!r} cannot be used: {'; '.join(reasons)}"
