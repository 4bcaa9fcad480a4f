"""Return a ledger's records without the columns in which two equal runs may differ."""

VOLATILE = {"seconds", "finished_at", "peak_memory", "resumed"}


def rows_of(ledger):
    """Return the records by key and fold, without the columns that depend on time and machine."""
    rows, damaged = ledger.read()
    assert damaged == []
    return {(r["key"], r["fold"]): {k: v for k, v in r.items() if k not in VOLATILE} for r in rows}


def rows_without_intervals(ledger):
    """Return `rows_of` without the checkpoint interval, in which the settings of two compared runs may differ."""
    return {
        k: {n: v for n, v in row.items() if n != "training.checkpoint_seconds"} for k, row in rows_of(ledger).items()
    }
