"""Done units that are to be trained again: a mark each, `redo/<key>-fold<k>`, that holds the pattern that asked for it.

A marked unit counts as not done, while its old result stays where it is until the new one takes its place: no kill can
lose it, and removing the mark brings it back. The mark goes with the new result, so that the same command, which finds
marks of its own pattern, goes on with what is left of them and begins anew only when none is.
"""

from collections.abc import Sequence

from sweeps.ledger.storage import Storage
from sweeps.plan.unit import Unit, UnitId, id_of

FOLDER = "redo"
MARKING = f"{FOLDER}/asking"  # the pattern whose marks are being set: all of them, or the same command sets them again


def marked(storage: Storage) -> frozenset[UnitId]:
    """The units that are marked."""
    return frozenset(id_ for name in storage.names(FOLDER) if (id_ := id_of(name)))


def is_marked(storage: Storage, unit: Unit) -> bool:
    """A fresh look at one."""
    return storage.exists(f"{FOLDER}/{unit.name}")


def unmark(storage: Storage, unit: Unit) -> None:
    storage.remove(f"{FOLDER}/{unit.name}")


def in_progress(storage: Storage, units: Sequence[Unit], pattern: str) -> bool:
    """Whether this pattern's marks were all set, and some are left among these units."""
    text, there = pattern.encode(), marked(storage)
    if storage.try_read(MARKING) == text:
        return False
    return any(storage.try_read(f"{FOLDER}/{unit.name}") == text for unit in units if unit.id in there)


def mark(storage: Storage, units: Sequence[Unit], pattern: str) -> None:
    """Marks units, and removes what would keep them from starting again: a checkpoint, a failure from before.

    Raises:
        StorageError: the folder is not writable.
    """
    storage.write(MARKING, pattern.encode())
    for unit in units:
        storage.remove(f"checkpoints/{unit.name}.pt")
        storage.remove(f"failed/{unit.name}.parquet")
        storage.write(f"{FOLDER}/{unit.name}", pattern.encode())
    storage.remove(MARKING)
