"""The contents of a report: the sheets that a request may name, and the report of one sweep as text."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from sweeps.analysis.flags import history_columns
from sweeps.analysis.images import image_notes
from sweeps.analysis.results import Table, read_table
from sweeps.analysis.table_row import ReportError
from sweeps.ledger.ledger import Damage, Ledger, open_ledger
from sweeps.ledger.rows import ROWS
from sweeps.ledger.schema import Row
from sweeps.report.tables import views
from sweeps.report.tables.cells import THESIS, NumberFormat
from sweeps.report.tables.formats import Format, render
from sweeps.report.tables.sheet import Sheet
from sweeps.screen import folded
from sweeps.text import nearest, one_line

Kind = Literal[
    "table", "differences", "claims", "published", "statistics", "search", "priors", "samples", "given_pixels"
]
KINDS = get_args(Kind)


@dataclass(frozen=True)
class ReportRequest:
    """What to show of a sweep, and how."""

    kinds: tuple[str, ...] = ("table",)
    format: Format = "text"
    number_format: NumberFormat = THESIS
    columns: tuple[str, ...] | None = None
    all_rows: bool = False
    only: tuple[str, ...] = ()  # labels of the rows to show; empty: all rows
    width: int | None = None  # of the terminal that a text is to fit; None: no line is folded

    def __post_init__(self) -> None:
        """Raise ReportError for an unknown kind, or for more than CSV can hold."""
        for kind in self.kinds:
            if kind not in KINDS:
                raise ReportError(f"--show {one_line(kind)}: no such sheet{nearest(kind, KINDS)}")
        if self.format == "csv" and len(self.kinds) > 1:
            raise ReportError("csv holds one table; name one with --show")


def read(ledger: Ledger, request: ReportRequest, more: Sequence[str], in_hand: Sequence[Row] | None = None) -> Table:
    """Read the table of a request.

    Args:
        more: further columns of the ledger.
        in_hand: the rows of a run's own grid; None for the latest grid's.

    Raises:
        ReportError: a label names no row, or a column is unknown.
    """
    if "claims" in request.kinds:
        from sweeps.report.thesis.claims_sheet import COLUMNS

        more = [*more, *(name for name in COLUMNS if name != "history")]
    if "given_pixels" in request.kinds:
        more = [*more, "given_pixels"]
    if {"table", "statistics", "claims"} & set(request.kinds):
        more = [*more, *history_columns(ledger)]
    table = read_table(ledger, request.all_rows, list(dict.fromkeys(more)), in_hand)
    views.check_columns(table, request.columns or ())
    return replace(table, notes=(*table.notes, *image_notes(table))).only(request.only)


def sheets(name: str, table: Table, request: ReportRequest) -> list[Sheet]:
    """Return the sheets of a request, in its order."""
    return [_sheet(kind, one_line(name), table, request) for kind in request.kinds]


def _sheet(kind: str, name: str, table: Table, request: ReportRequest) -> Sheet:
    if kind == "table":
        return views.main_sheet(name, table, request.number_format, request.columns)
    if kind == "statistics":
        return views.statistics_sheet(name, table, request.number_format)
    if kind == "differences":
        return views.differences_sheet(name, table, request.number_format)
    if kind == "search":
        from sweeps.report.tables.search_sheet import search_sheet

        return search_sheet(name, table)
    if kind == "priors":
        from sweeps.report.tables.priors_sheet import priors_sheet

        return priors_sheet(name, table, request.number_format)
    if kind == "samples":
        from sweeps.report.tables.samples_sheet import samples_sheet

        return samples_sheet(name, table, request.number_format)
    if kind == "given_pixels":
        from sweeps.report.tables.given_pixels_sheet import given_pixels_sheet

        return given_pixels_sheet(name, table, request.number_format)
    if kind == "published":
        from sweeps.report.thesis.published import published_sheet

        return published_sheet(name, table)
    from sweeps.report.thesis.claims_sheet import claims_sheet

    return claims_sheet(name, table)


def report(results: str, sweep: str, request: ReportRequest, in_hand: Sequence[Row] | None = None) -> str:
    """Return the report of one sweep.

    Files that could not be read are named below a text, and on stderr for other formats.

    Args:
        in_hand: the rows of a run's own grid; None for the latest grid's.
    """
    table = read(open_ledger(results, sweep), request, views.more_columns(request.columns), in_hand)
    remarks = [one_line(line) for line in (*damage_lines(table.damaged), *table.notes)]
    if not table.rows:
        return "\n".join([f"{one_line(sweep)}: {why_empty(table)}", *remarks])
    found = sheets(sweep, table, request)
    if request.format == "text" and request.width is not None:
        from sweeps.report.tables.on_screen import on_screen

        return "\n".join([on_screen(found, request.width), *folded(remarks, request.width)])
    shown = render(found, request.format)
    if request.format != "text":
        for line in remarks:
            print(line, file=sys.stderr)
        return shown
    return "\n".join([shown, *remarks])


def why_empty(table: Table) -> str:
    """Return why a table has no row."""
    return "no unit could be read" if any(name != ROWS for name, _ in table.damaged) else "no finished unit yet"


def damage_lines(damaged: Damage) -> list[str]:
    """Return a line for each file that could not be read."""
    return [one_line(f"not read: {file} ({why})") for file, why in damaged]
