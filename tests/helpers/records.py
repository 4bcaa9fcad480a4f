"""Records of a ledger without what two runs may differ in."""

VOLATILE = {"seconds", "finished_at", "peak_memory", "resumed"}


def rows_of(ledger):
    rows, damaged = ledger.read()
    assert damaged == []
    return {(r["key"], r["fold"]): {k: v for k, v in r.items() if k not in VOLATILE} for r in rows}


def rows_of_both(ledger):
    """Rows without what two runs may differ in."""
    return {
        k: {n: v for n, v in row.items() if n != "training.checkpoint_seconds"} for k, row in rows_of(ledger).items()
    }
