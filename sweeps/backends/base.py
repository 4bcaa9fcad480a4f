"""What a driver and its workers work on."""

from collections.abc import Sequence
from dataclasses import dataclass

from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import Row
from sweeps.plan.unit import Unit


@dataclass(frozen=True)
class Job:
    """Units to train, where their results go, and what is recorded with them.

    `provenance`: the columns of `sweeps.provenance`. `tensorboard`: a folder for event files, None for none.
    """

    units: Sequence[Unit]
    ledger: Ledger
    provenance: Row
    tensorboard: str | None = None
