"""Compaction: a finished sweep's many small files folded into one."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.ledger import unit_file
from sweeps.ledger.ledger import BATCH, COMPACTED, Damage, Ledger, files
from sweeps.ledger.schema import UNIT_SCHEMA
from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import UnitId


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
    schema = ledger.schema()
    try:
        with storage.writing(COMPACTED) as sink, pq.ParquetWriter(sink, schema) as writer:
            for part in _parts(ledger, damaged):
                written |= set(unit_file.ids(part))
                writer.write_table(unit_file.conform(part, schema))
    except (pa.ArrowException, ValueError) as error:
        raise StorageError(f"cannot compact into {path}: {error}") from error
    if ledger.compacted() != written:
        raise StorageError(f"{path} does not read back as it was written; no unit file was removed")
    unread = {name for name, _ in damaged}
    for name in own:
        if name not in unread:
            storage.remove(f"units/{name}")
    return len(written), damaged


def _parts(ledger: Ledger, damaged: Damage) -> Iterator[pa.Table]:
    """What the new file is to hold: the rows of the units' own files, then the old one's that have no good one."""
    fresh: set[UnitId] = set()
    for part in ledger.own_batches(BATCH, damaged):
        fresh |= set(unit_file.ids(part))
        yield part
    if ledger.storage.exists(COMPACTED):
        with ledger.storage.open(COMPACTED) as file:
            for part in unit_file.batches(file, UNIT_SCHEMA, BATCH):
                yield unit_file.without(part, fresh)
