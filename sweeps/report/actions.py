"""What the report command does instead of printing: compact, write files, export."""

from dataclasses import dataclass
from typing import Literal

from sweeps.ledger.ledger import COMPACTED, Ledger
from sweeps.report.contents import ReportRequest, damage_lines


@dataclass(frozen=True)
class Actions:
    """What the command is to do with a sweep instead of printing its tables."""

    compact: bool = False
    write: bool = False
    export: str | None = None
    curves: str | None = None
    tensorboard: str | None = None

    def run(self, ledger: Ledger, name: str, request: ReportRequest) -> list[str]:
        """Carry it out, and return lines that say what was done. Each action imports its modules only when it runs."""
        lines = []
        if self.compact:
            from sweeps.ledger.compaction import compact

            units, damaged = compact(ledger)
            lines += [f"{units:,} units in {ledger.storage.path(COMPACTED)}", *damage_lines(damaged)]
        if self.write:
            from sweeps.report.writing import write

            lines += write(ledger, name, request)
        exports: list[tuple[str | None, Literal["units", "curves"]]] = [(self.export, "units"), (self.curves, "curves")]
        for file, what in exports:
            if file is not None:
                from sweeps.analysis.export import export

                rows, damaged = export(ledger, file, what)
                lines += [f"{rows:,} rows in {file}", *damage_lines(damaged)]
        if self.tensorboard is not None:
            from sweeps.ledger.tensorboard import write_all

            units, damaged = write_all(ledger, self.tensorboard)
            lines += [f"the epochs of {units:,} units in {self.tensorboard}", *damage_lines(damaged)]
        return lines
