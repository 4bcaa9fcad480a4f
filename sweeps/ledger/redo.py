"""Marks of done units that are to be trained again: `redo/<key>-fold<k>` holds the pattern of `--redo` that set it.

A marked unit counts as not done. Its old result stays until the new one replaces it, so a kill cannot lose it, and
removing the mark brings it back. Writing the new result removes the mark. The same command therefore continues with
the marks of its pattern that are left, and marks all units again only when none is left.
"""

from collections.abc import Sequence

from sweeps.ledger.storage import Storage
from sweeps.plan.unit import Unit, UnitId, parse_unit_name

FOLDER = "redo"
MARKING = f"{FOLDER}/asking"  # the pattern whose marks are being set; after a kill the same command sets all again


def marked(storage: Storage) -> frozenset[UnitId]:
    """Return the marked units."""
    return frozenset(id_ for name in storage.names(FOLDER) if (id_ := parse_unit_name(name)))


def is_marked(storage: Storage, unit: Unit) -> bool:
    """Look up whether one unit is marked now."""
    return storage.exists(f"{FOLDER}/{unit.name}")


def unmark(storage: Storage, unit: Unit) -> None:
    storage.remove(f"{FOLDER}/{unit.name}")


def in_progress(storage: Storage, units: Sequence[Unit], pattern: str) -> bool:
    """Return whether all marks of this pattern were set before, and some of these units still have theirs."""
    text, there = pattern.encode(), marked(storage)
    if storage.try_read(MARKING) == text:
        return False
    return any(storage.try_read(f"{FOLDER}/{unit.name}") == text for unit in units if unit.id in there)


def mark(storage: Storage, units: Sequence[Unit], pattern: str) -> None:
    """Mark units, and remove the checkpoints and failures that would keep them from starting again.

    Raises:
        StorageError: the folder is not writable.
    """
    storage.write(MARKING, pattern.encode())
    for unit in units:
        storage.remove(f"checkpoints/{unit.name}.pt")
        storage.remove(f"failed/{unit.name}.parquet")
        storage.write(f"{FOLDER}/{unit.name}", pattern.encode())
    storage.remove(MARKING)
