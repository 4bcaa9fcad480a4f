"""Compaction: a finished sweep's many small files folded into one."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps import unitfile
from sweeps.ledger import COMPACTED, Damage, Ledger, files
from sweeps.plan import UnitId
from sweeps.schema import UNIT_SCHEMA
from sweeps.storage import StorageError

BATCH = 500  # units in memory at a time, about 10 kB each at 100 epochs


def compact(ledger: Ledger) -> tuple[int, Damage]:
    """Folds the units' own files into the compacted one, and removes them once it reads back. Killed at any moment, it
    leaves every unit in one of the two forms at least.

    Returns: how many units it holds now, and the unit files that could not be read, which stay where they are.

    Raises:
        StorageError: the compacted file cannot be read, written, or read back as it was written.
    """
    storage, path = ledger.storage, ledger.storage.path(COMPACTED)
    own = files(storage, "units")
    damaged: Damage = []
    written: set[UnitId] = set()
    if not own:
        return len(ledger.compacted()), damaged
    try:
        with storage.writing(COMPACTED) as sink, pq.ParquetWriter(sink, UNIT_SCHEMA) as writer:
            for part in _parts(ledger, own, damaged):
                written |= set(unitfile.ids(part))
                writer.write_table(part)
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(f"cannot compact into {path}: {error}") from error
    if ledger.compacted() != written:
        raise StorageError(f"{path} does not read back as it was written; no unit file was removed")
    unread = {name for name, _ in damaged}
    for name in own:
        if name not in unread:
            storage.remove(f"units/{name}")
    return len(written), damaged


def _parts(ledger: Ledger, own: dict[str, UnitId], damaged: Damage) -> Iterator[pa.Table]:
    """What the new file is to hold: the old one's rows, less those that have a file of their own, then these."""
    good = []
    for name, id_ in own.items():
        table, why = ledger.try_read(f"units/{name}", ("key", "fold"))
        if table is None or unitfile.ids(table) != [id_]:
            damaged.append((name, why or "it holds another unit"))
        else:
            good.append(name)
    fresh = {own[name] for name in good}
    if ledger.storage.exists(COMPACTED):
        with ledger.storage.open(COMPACTED) as file:
            for part in unitfile.batches(file, UNIT_SCHEMA, BATCH):
                yield unitfile.without(part, fresh)
    for start in range(0, len(good), BATCH):
        tables = []
        for name in good[start : start + BATCH]:
            with ledger.storage.open(f"units/{name}") as file:
                tables.append(unitfile.read(file, UNIT_SCHEMA.names, UNIT_SCHEMA))
        yield pa.concat_tables(tables).combine_chunks()
