"""The sheets that can be asked for."""

from dataclasses import dataclass
from typing import Literal, get_args

from sweeps import views
from sweeps.analysis.results import ReportError, Table
from sweeps.cells import THESIS, Look
from sweeps.formats import Format
from sweeps.sheet import Sheet
from sweeps.text import nearest, one_line

Kind = Literal["table", "differences", "claims", "published", "statistics"]
KINDS = get_args(Kind)


@dataclass(frozen=True)
class Asked:
    """What a report shall show, and how."""

    kinds: tuple[str, ...] = ("table",)
    format: Format = "text"
    look: Look = THESIS
    columns: tuple[str, ...] | None = None
    all_rows: bool = False

    def __post_init__(self) -> None:
        """Raises ReportError for what does not exist, before any file is read."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise ReportError(f"nothing to show is called {one_line(kind)}{nearest(kind, KINDS)}")
        views.check_columns(self.columns or ())
        if self.format == "csv" and len(self.kinds) > 1:
            raise ReportError("csv holds one table; ask for one with --show")


def sheets(name: str, table: Table, asked: Asked) -> list[Sheet]:
    """The sheets asked for, in their order."""
    return [_sheet(kind, one_line(name), table, asked) for kind in asked.kinds]


def _sheet(kind: str, name: str, table: Table, asked: Asked) -> Sheet:
    if kind == "table":
        return views.main_sheet(name, table, asked.look, asked.columns)
    if kind == "statistics":
        return views.statistics_sheet(name, table, asked.look)
    if kind == "differences":
        return views.differences_sheet(name, table, asked.look)
    if kind == "published":
        from sweeps.published import published_sheet

        return published_sheet(name, table)
    from sweeps.verdicts import claims_sheet

    return claims_sheet(name, table)
