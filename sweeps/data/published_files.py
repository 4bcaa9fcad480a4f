"""Search for the file of a published data set that is not the published one, after torchvision failed to read it.

torchvision's own errors (ValueError, AssertionError, "you can use download=True") name no file and advise a download.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sweeps.text import error_line

_IDX_HEADS = {"images-idx3-ubyte": (2051, 3), "labels-idx1-ubyte": (2049, 1)}  # magic number, dimensions
_ADVICE = "You can use download=True to download it"


@contextmanager
def naming_bad_file(name: str, root: Path) -> Iterator[None]:
    """Turn errors of torchvision's parsers into an OSError that names the first file that is not the published one.

    The OSError also says what that file is. If there is no such file, it has torchvision's own message.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the system, which names the file
            raise
        for problem in {"mnist": _mnist_problems, "cifar10": _cifar10_problems, "celeba": _celeba_problems}[name](root):
            raise OSError(f"{problem}; put the published file there") from error
        words = error_line(error).replace(_ADVICE, "").strip()
        raise OSError(words if isinstance(error, RuntimeError) else f"{type(error).__name__}: {words}") from error


def _mnist_problems(root: Path) -> Iterator[str]:
    for part in ("train", "t10k"):
        for kind, (number, dimensions) in _IDX_HEADS.items():
            path = root / "MNIST" / "raw" / f"{part}-{kind}"
            yield from _idx_problems(path, number, dimensions)


def _idx_problems(path: Path, number: int, dimensions: int) -> Iterator[str]:
    """Yield what is wrong with a file in the IDX format: magic number, sizes, bytes."""
    with path.open("rb") as file:
        head = file.read(4 * (1 + dimensions))
        if len(head) < 4 * (1 + dimensions) or struct.unpack(">I", head[:4])[0] != number:
            yield f"{path} is not an IDX file of {'images' if dimensions == 3 else 'labels'}: {_content_guess(path)}"
            return
        expected = len(head) + int(np.prod(struct.unpack(f">{dimensions}I", head[4:]), dtype=object))
        if (there := file.seek(0, os.SEEK_END)) != expected:
            yield f"{path} has the wrong length: {there:,} bytes, where its header says {expected:,}"


def _cifar10_problems(root: Path) -> Iterator[str]:
    from torchvision.datasets import CIFAR10

    meta = [CIFAR10.meta["filename"], CIFAR10.meta["md5"]]
    for file, md5 in [*CIFAR10.train_list, *CIFAR10.test_list, meta]:
        yield from _md5_problems(root / CIFAR10.base_folder / file, md5)


def _celeba_problems(root: Path) -> Iterator[str]:
    from torchvision.datasets import CelebA

    for _, md5, file in CelebA.file_list:
        if file.endswith(".txt"):  # archives may have been removed after they were unpacked
            yield from _md5_problems(root / CelebA.base_folder / file, md5)


def _md5_problems(path: Path, md5: str) -> Iterator[str]:
    from torchvision.datasets.utils import calculate_md5

    if not path.is_file():
        yield f"no {path.name} in {path.parent.absolute()}"
    elif (found := calculate_md5(str(path))) != md5:
        yield f"{path} is not the published file: its MD5 is {found}, not {md5}; {_content_guess(path)}"


def _content_guess(path: Path) -> str:
    """Return what a file is, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(200)
    if not head:
        return "it is empty"
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer (git lfs pull brings the file)"
    if head.startswith(b"\x1f\x8b"):
        return "it is compressed (gunzip unpacks it)"
    if head.startswith((b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf")):
        return "it is an archive"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "it is a web page (HTML)"
    return f"it begins with {head[:12]!r}"
