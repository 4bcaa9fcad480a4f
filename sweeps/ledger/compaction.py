"""Compaction: the many small files of a finished sweep are merged into one."""

import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.ledger import unit_file
from sweeps.ledger.ledger import BATCH, COMPACTED, Damage, Ledger, files
from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import UnitId


def compact(ledger: Ledger) -> tuple[int, Damage]:
    """Merge the units' own files into the compacted file, and remove them after it was read back.

    A process that is killed at any moment leaves every unit in its own file, in the compacted file, or in both.

    Returns: how many units the compacted file holds now, and the unit files that could not be read. Those stay.

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
            for part in ledger.batches(BATCH, damaged):
                written |= set(unit_file.ids(part))
                writer.write_table(unit_file.conform(part, schema))
            if why := dict(damaged).get(COMPACTED):  # writing it anew would lose its units
                raise StorageError(f"cannot compact into {path}: {why}")
    except (pa.ArrowException, ValueError) as error:  # the tables that were read do not fit into one
        raise StorageError(f"cannot compact into {path}: {error}") from error
    if ledger.compacted() != written:
        raise StorageError(f"{path} does not read back as it was written; no unit file was removed")
    unread = {name for name, _ in damaged}
    for name in own:
        if name not in unread:
            storage.remove(f"units/{name}")
    return len(written), damaged
