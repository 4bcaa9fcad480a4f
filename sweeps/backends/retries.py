"""How often the workers of each unit died, and whether the unit is to be tried again."""

from collections import Counter

from sweeps.ledger.ledger import Ledger
from sweeps.plan.unit import Unit, UnitId
from sweeps.text import count_text

MAX_DEATHS = 3  # without progress; after so many the unit is failed


class WorkerDeaths:
    """Counts, for each unit in one run, the workers that died or ended with an error that is no result of the unit.

    A worker that saved a new checkpoint before it died made progress: machines may be taken away at any time. Only
    deaths without progress count against the unit.
    """

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self.total: Counter[UnitId] = Counter()
        self.errors: Counter[UnitId] = Counter()  # of `total`, those whose worker raised an error and lived
        self.without_progress: Counter[UnitId] = Counter()  # since the last new checkpoint
        self.checkpoints: dict[UnitId, object] = {}

    def started(self, unit: Unit) -> None:
        """Note the checkpoint that a worker starts from: it is no progress of that worker."""
        self.checkpoints.setdefault(unit.id, self._checkpoint(unit))

    def record(self, unit: Unit, raised: bool = False) -> int:
        """Count a worker that died, or `raised` an error.

        Returns:
            How many more may do so without progress; at 0 the unit has failed.
        """
        checkpoint = self._checkpoint(unit)
        if checkpoint is not None and checkpoint != self.checkpoints.get(unit.id):
            self.without_progress[unit.id] = 0
        self.checkpoints[unit.id] = checkpoint
        self.total[unit.id] += 1
        self.errors[unit.id] += raised
        self.without_progress[unit.id] += 1
        return max(0, MAX_DEATHS - self.without_progress[unit.id])

    def summary(self, unit: Unit) -> str:
        """Return lines for the unit's log that count its workers' ends; empty if none died or raised."""
        errors = self.errors[unit.id]
        ends = {"died": self.total[unit.id] - errors, "ended with an error": errors}
        return "".join(f"its worker {what} {count_text(n, 'time')}\n" for what, n in ends.items() if n)

    def _checkpoint(self, unit: Unit) -> object:
        return self.ledger.storage.stamp(f"checkpoints/{unit.name}.pt")
