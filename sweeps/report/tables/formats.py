"""Sheets written as text, Markdown, LaTeX, HTML, CSV or JSON.

Cells are escaped in every format: no cell is read as markup, as a formula or as a command.
"""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from sweeps.report.tables.sheet import Sheet
from sweeps.text import FORMULA

Format = Literal["text", "markdown", "latex", "html", "csv", "json"]
FORMATS = get_args(Format)
ENDINGS: dict[Format, str] = {
    "text": "txt", "markdown": "md", "latex": "tex", "html": "html", "csv": "csv", "json": "json",
}  # fmt: skip


def render(sheets: Sequence[Sheet], format: Format) -> str:
    """Return sheets in one format. Raises ValueError for several sheets as CSV, which holds one."""
    if format == "csv":
        if len(sheets) != 1:
            raise ValueError("csv holds one table; name one with --show")
        return as_csv(sheets[0].records)
    if format == "json":
        return json.dumps([_as_json(sheet) for sheet in sheets], indent=1, allow_nan=False, default=str)
    return "\n\n".join(RENDERERS[format](sheet) for sheet in sheets)


def as_text(sheet: Sheet) -> str:
    """Return aligned columns; the best has a star."""
    lines = [sheet.head] + [[c.text + " *" * c.best for c in row] for row in sheet.rows_without_repeats()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ["  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    body = [("\n" if i in sheet.breaks else "") + line for i, line in enumerate(aligned[1:])]
    above = [sheet.title, *sheet.above, ""]
    return "\n".join([*above, aligned[0], "-" * len(aligned[0]), *body, *([""] if sheet.notes else []), *sheet.notes])


def as_markdown(sheet: Sheet) -> str:
    """Return a pipe table; the best is bold."""
    return _fill("table.md", sheet)


def as_latex(sheet: Sheet) -> str:
    """Return a booktabs table; the best is bold.

    It needs booktabs and adjustbox, compiles with pdflatex, and shrinks where it is larger than a page.
    """
    return _fill("table.tex", sheet)


def as_html(sheet: Sheet) -> str:
    """Return a section with a table; the best is bold."""
    return _fill("table.html", sheet)


def _fill(template: str, sheet: Sheet) -> str:
    from sweeps.report.templating import fill  # importing Jinja2 takes 40 ms, and a table as text does without it

    return fill(template, sheet=sheet)


def as_csv(records: Sequence[dict[str, Any]]) -> str:
    """Return records with a header line. An apostrophe precedes text that a spreadsheet would take for a formula."""
    sink = io.StringIO()
    names = list(records[0]) if records else []
    # All texts are quoted, because a bare carriage return would end a line.
    writer = csv.DictWriter(sink, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({name: _unformula(value) for name, value in record.items()} for record in records)
    return sink.getvalue().rstrip("\n")


RENDERERS: dict[str, Callable[[Sheet], str]] = {
    "text": as_text, "markdown": as_markdown, "latex": as_latex, "html": as_html,
}  # fmt: skip


def _as_json(sheet: Sheet) -> dict[str, Any]:
    return {
        "name": sheet.name,
        "title": sheet.title,
        "shared": sheet.above,
        "notes": sheet.notes,
        "rows": sheet.records,
    }


def _unformula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple(FORMULA)) else value
