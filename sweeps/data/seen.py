"""Comparison of the images that are read with those that done units saw."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.data.datasets import DataError, Loaded, Source, title
from sweeps.data.hashes import Hashes, SameImages
from sweeps.text import count_text


@dataclass(frozen=True)
class SeenImages:
    """A set of images that done units saw: its hashes, the number of units that saw it, and one unit's name."""

    hashes: Hashes
    units: int
    example: str


def check_seen(source: Source, loaded: Loaded, seen: Sequence[SeenImages]) -> tuple[str, ...]:
    """Compare loaded images with those that done units saw.

    Return a line if the same files were decoded to other pixels, as another image library may do.

    Raises:
        DataError: done units saw other images.
    """
    now = (loaded.data_hash, loaded.files_hash)
    same = SameImages([now, *[s.hashes for s in seen]])
    others = [s for s in seen if same.differ(s.hashes, now)]
    where = f"data: {title(source.data)}" + (f" {source.data.root}" if source.data.root else "")
    if others:
        units = count_text(sum(s.units for s in others), "done unit")
        raise DataError(
            f"{where}: {units} (such as {others[0].example}) saw other images than these "
            f"({others[0].hashes[0] or others[0].hashes[1]:.8}, not {loaded.data_hash:.8}): put those back, or "
            "--accept-images to train the rest on these, or --redo to train the done units again"
        )
    decoded = sum(s.units for s in seen if s.hashes[0] and s.hashes[0] != loaded.data_hash)
    if not decoded:
        return ()
    units = count_text(decoded, "done unit")
    return (f"{where}: these are the files that {units} saw, but another image library decoded them to other pixels",)
