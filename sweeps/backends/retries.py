"""How often the workers of units died, and whether a unit is to be given up."""

from collections import Counter

from sweeps.ledger.ledger import Ledger
from sweeps.plan.unit import Unit, UnitId
from sweeps.text import count_text

ALLOWED = 3  # deaths without progress after which a unit is failed


class Deaths:
    """Counts the deaths of each unit's workers in one run, and the errors of theirs that are no result of the unit. A
    death after which the checkpoint is another than before is the price of a machine that may be taken away; only those
    without progress speak against the unit."""

    def __init__(self, ledger: Ledger):
        self.ledger = ledger
        self.total: Counter[UnitId] = Counter()
        self.errors: Counter[UnitId] = Counter()  # those among them where the worker lived
        self.in_vain: Counter[UnitId] = Counter()  # since the last progress
        self.checkpoints: dict[UnitId, object] = {}

    def started(self, unit: Unit) -> None:
        """A worker has the unit now. What it then finds saved is no progress of its own."""
        self.checkpoints.setdefault(unit.id, self._checkpoint(unit))

    def died(self, unit: Unit, of_error: bool = False) -> int:
        """The unit's worker died, or ended with an error. Returns how many more may do so without progress; 0: the unit
        is to be given up."""
        checkpoint = self._checkpoint(unit)
        if checkpoint is not None and checkpoint != self.checkpoints.get(unit.id):
            self.in_vain[unit.id] = 0
        self.checkpoints[unit.id] = checkpoint
        self.total[unit.id] += 1
        self.errors[unit.id] += of_error
        self.in_vain[unit.id] += 1
        return max(0, ALLOWED - self.in_vain[unit.id])

    def summary(self, unit: Unit) -> str:
        """Lines of the unit's log; empty where none died."""
        errors = self.errors[unit.id]
        ends = {"died": self.total[unit.id] - errors, "ended with an error": errors}
        return "".join(f"its worker {what} {count_text(n, 'time')}\n" for what, n in ends.items() if n)

    def _checkpoint(self, unit: Unit) -> object:
        return self.ledger.storage.stamp(f"checkpoints/{unit.name}.pt")
