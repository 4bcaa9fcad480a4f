"""What a report does instead of printing: compact, write files, export."""

from dataclasses import dataclass
from typing import Literal

from sweeps.ledger.ledger import COMPACTED, Ledger
from sweeps.report.contents import ReportRequest, named


@dataclass(frozen=True)
class Actions:
    """What a report shall do instead of printing."""

    compact: bool = False
    write: bool = False
    export: str | None = None
    curves: str | None = None
    tensorboard: str | None = None

    def run(self, ledger: Ledger, name: str, request: ReportRequest) -> list[str]:
        """Does it, and says what was done. Nothing heavy is imported for what was not request."""
        said = []
        if self.compact:
            from sweeps.ledger.compaction import compact

            units, damaged = compact(ledger)
            said += [f"{units:,} units in {ledger.storage.path(COMPACTED)}", *named(damaged)]
        if self.write:
            from sweeps.report.writing import write

            said += write(ledger, name, request)
        wanted: list[tuple[str | None, Literal["units", "curves"]]] = [(self.export, "units"), (self.curves, "curves")]
        for file, what in wanted:
            if file is not None:
                from sweeps.analysis.export import export

                rows, damaged = export(ledger, file, what)
                said += [f"{rows:,} rows in {file}", *named(damaged)]
        if self.tensorboard is not None:
            from sweeps.ledger.tensorboard import write_all

            units, damaged = write_all(ledger, self.tensorboard)
            said += [f"the epochs of {units:,} units in {self.tensorboard}", *named(damaged)]
        return said
