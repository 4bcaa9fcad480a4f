"""Published data sets: their content is known, and their files keep the published layout."""

import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sweeps.data import readers
from sweeps.data.dataset import (
    Data,
    DataError,
    Dataset,
    Description,
    Loaded,
    Source,
    images_used,
    root_of,
    test_images_used,
)
from sweeps.data.hashes import fingerprint
from sweeps.data.readers import Images, Labelled, Part
from sweeps.text import error_line


@dataclass(frozen=True)
class Published(Dataset):
    """A published data set.

    `read(root, part, n)`: the first n images of a part, with their labels if it has any. `found_by`: files that must
    exist, relative to `data.root`. `read_from(root, part, n)`: the files of these images.
    """

    description: Description
    read: Callable[[Path, Part, int], Images | Labelled]
    found_by: tuple[str, ...] = ()
    read_from: Callable[[Path, Part, int], Sequence[Path]] = readers.no_files

    def declared(self, data: Data) -> Description:
        return self.description

    def shape(self, data: Data) -> tuple[int, int]:
        return self.description.channels, self.description.side

    def check_files(self, data: Data) -> None:
        root = root_of(data)
        missing = [name for name in self.found_by if not os.path.exists(root / name)]
        if missing:
            set_to = f"now {data.root}" if data.root else "now not set: the current folder"
            raise DataError(
                f"{self.name}: no {', '.join(missing)} in {root.absolute()}; put the published files there, "
                f"or set data.root ({set_to})"
            )

    def load(self, source: Source) -> Loaded:
        try:
            read = self._images(source)
            return Loaded(read.images, labels=read.labels, classes=read.classes)
        except (OSError, RuntimeError, EOFError) as error:
            raise DataError(f"{self.name}: cannot be read: {error_line(error)[:300]}") from error

    def _images(self, source: Source) -> Labelled:
        n, extra = images_used(self.description, source.data), test_images_used(self.description, source)
        train = self._part(source, "train", n, self.description.images, self.description.sha256)
        if not extra:
            return train
        test = self._part(source, "test", extra, self.description.test_images, self.description.test_sha256)
        labels = [part.labels for part in (train, test) if part.labels is not None]
        images = np.concatenate([train.images, test.images])
        return Labelled(images, np.concatenate(labels) if len(labels) == 2 else None, train.classes)

    def _part(self, source: Source, part: Part, n: int, declared: int, expected: str | None) -> Labelled:
        """Return the first n images of a part. If its SHA-256 is known, the whole part is read and checked."""
        root = root_of(source.data)
        read = self.read(root, part, declared if expected else n)
        images, labels, classes = read if isinstance(read, Labelled) else Labelled(read)
        found = fingerprint(images) if expected else None
        if found and found != expected:
            which = "images" if part == "train" else "images of the official test part"
            raise DataError(
                f"{self.name}: the {len(images):,} {which} in {root.absolute()} are not the published ones: their "
                f"SHA-256 is {found[:16]}, not {str(expected)[:16]}"
            )
        if len(images) < n:
            raise DataError(f"{self.name}: {len(images):,} images of its {part} part in {root.absolute()}, not {n:,}")
        return Labelled(images[:n], None if labels is None else labels[:n], classes)

    def files(self, source: Source) -> Sequence[Path]:
        root, extra = root_of(source.data), test_images_used(self.description, source)
        train = self.read_from(root, "train", images_used(self.description, source.data))
        return [*train, *(self.read_from(root, "test", extra) if extra else ())]


_DIGITS = "e46e562ce14a3b6d8311ef9d4b8e3cc077ebd4c4173aac9c9d656ec72c290280"
_MNIST = "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"
_MNIST_TEST = "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

KINDS = (
    Published("digits", Description(1797, 0, 1, 16, _DIGITS, _DIGITS, classes=10), readers.digits),
    Published(
        "mnist",
        Description(60_000, 10_000, 1, 28, _MNIST, _MNIST, _MNIST_TEST, classes=10),
        readers.mnist,
        tuple(f"MNIST/raw/{name}" for name in _IDX),
        readers.mnist_files,
    ),
    Published(  # the published MD5 of the archive; torchvision checks the MD5 of each file in it
        "cifar10",
        Description(50_000, 10_000, 3, 32, "md5:c58f30108f718f92721af3d95e74349a", classes=10),
        readers.cifar10,
        tuple(f"cifar-10-batches-py/{name}" for name in ("data_batch_1", "test_batch", "batches.meta")),
        readers.cifar10_files,
    ),
    Published(  # the published MD5 of img_align_celeba.zip, resized as read here
        "celeba",
        Description(162_770, 19_962, 3, 64, "md5:00d2c5bc6d35e252742224ab0c1e8fcb:64x64"),
        readers.celeba,
        tuple(f"celeba/{name}" for name in ("list_eval_partition.txt", "identity_CelebA.txt", "img_align_celeba")),
        readers.celeba_files,
    ),
)
