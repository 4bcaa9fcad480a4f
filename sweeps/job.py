"""What a driver and its workers work on."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.ledger import Ledger
from sweeps.plan.unit import Unit
from sweeps.schema import Row


@dataclass(frozen=True)
class Job:
    """Units to train, where their results go, and what is recorded with them.

    `provenance`: the columns of `sweeps.provenance`. `tensorboard`: a folder for event files, None for none.
    """

    units: Sequence[Unit]
    ledger: Ledger
    provenance: Row
    tensorboard: str | None = None
