"""A sheet written as text, Markdown, LaTeX, HTML, CSV or JSON. Whatever a cell says, it is text in every one of them:
nothing of it is read as markup, as a formula, or as a command."""

import csv
import html
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.text import FORMULA

Format = Literal["text", "markdown", "latex", "html", "csv", "json"]
FORMATS = get_args(Format)
ENDINGS: dict[Format, str] = {
    "text": "txt", "markdown": "md", "latex": "tex", "html": "html", "csv": "csv", "json": "json",
}  # fmt: skip


def render(sheets: Sequence[Sheet], format: Format) -> str:
    """Sheets in one format. Raises ValueError for more than one sheet as CSV, which has room for one."""
    if format == "csv":
        if len(sheets) != 1:
            raise ValueError("csv holds one table; ask for one with --show")
        return as_csv(sheets[0].records)
    if format == "json":
        return json.dumps([_plain(sheet) for sheet in sheets], indent=1, allow_nan=False, default=str)
    return "\n\n".join(RENDERERS[format](sheet) for sheet in sheets)


def as_text(sheet: Sheet) -> str:
    """Aligned columns; the best has a star."""
    lines = [sheet.head] + [[c.text + " *" * c.best for c in row] for row in sheet.texts()]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = ["  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    body = [("\n" if i in sheet.breaks else "") + line for i, line in enumerate(aligned[1:])]
    above = [sheet.title, *sheet.above, ""]
    return "\n".join([*above, aligned[0], "-" * len(aligned[0]), *body, *([""] if sheet.notes else []), *sheet.notes])


def as_markdown(sheet: Sheet) -> str:
    """A pipe table; the best is bold."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rows = [line([_bold(cell, "**{}**", _escape_markdown) for cell in row]) for row in sheet.texts()]
    rule = line(["---:" if numeric else "---" for numeric in sheet.numeric])
    paragraphs = [f"### {_escape_markdown(sheet.title)}"]
    paragraphs += ["  \n".join(map(_escape_markdown, sheet.above))] if sheet.above else []
    paragraphs += ["\n".join([line([_escape_markdown(name) for name in sheet.head]), rule, *rows])]
    return "\n\n".join(paragraphs + (["  \n".join(map(_escape_markdown, sheet.notes))] if sheet.notes else []))


def as_latex(sheet: Sheet) -> str:
    """A booktabs table; the best is bold. Needs booktabs and adjustbox, compiles with pdflatex, and shrinks
    where it is larger than a page."""
    rows = []
    for i, row in enumerate(sheet.texts()):
        rows += [r"\addlinespace"] if i in sheet.breaks else []
        rows.append(" & ".join(_bold(cell, r"\textbf{{{}}}", _latex_cell) for cell in row) + r" \\")
    small = [rf"\par\smallskip\footnotesize {' '.join(f'{_escape_latex(note)}.' for note in sheet.notes)}"]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escape_latex('. '.join([sheet.title, *sheet.above]))}}}",
            r"\begin{adjustbox}{max width=\textwidth, max totalheight=0.8\textheight}",
            rf"\begin{{tabular}}{{{''.join('r' if numeric else 'l' for numeric in sheet.numeric)}}}",
            r"\toprule",
            " & ".join(map(_escape_latex, sheet.head)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            *(small if sheet.notes else []),
            r"\end{table}",
        ]
    )


def as_html(sheet: Sheet) -> str:
    """A section with a table; the best is bold. What repeats stays, in grey: a page may break anywhere."""
    rows = [
        f"<tr{' class=group' if i in sheet.breaks else ''}>{_html_cells(sheet, row, short)}</tr>"
        for i, (row, short) in enumerate(zip(sheet.rows, sheet.texts(), strict=True))
    ]
    head = [f"<th{_html_class(numeric, False)}>{html.escape(name)}</th>" for name, numeric in _columns(sheet)]
    return "\n".join(
        [
            f'<section id="{html.escape(sheet.name)}">',
            f"<h2>{html.escape(sheet.title)}</h2>",
            *[f'<p class="shared">{html.escape(line)}</p>' for line in sheet.above],
            "<table>",
            f"<thead><tr>{''.join(head)}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
            "</table>",
            *[f'<p class="note">{html.escape(note)}</p>' for note in sheet.notes],
            "</section>",
        ]
    )


def _columns(sheet: Sheet) -> list[tuple[str, bool]]:
    return list(zip(sheet.head, sheet.numeric, strict=True))


def _html_cells(sheet: Sheet, row: Sequence[Cell], short: Sequence[Cell]) -> str:
    return "".join(
        f"<td{_html_class(numeric, shown != cell)}>{_bold(cell, '<b>{}</b>', html.escape)}</td>"
        for cell, shown, numeric in zip(row, short, sheet.numeric, strict=True)
    )


def _html_class(numeric: bool, again: bool) -> str:
    return " class=number" if numeric else " class=again" if again else ""


def as_csv(records: Sequence[dict[str, Any]]) -> str:
    """Records with a header line. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    sink = io.StringIO()
    names = list(records[0]) if records else []
    # Texts are quoted, whatever they hold: a bare carriage return would end the line.
    writer = csv.DictWriter(sink, names, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writeheader()
    writer.writerows({name: _unformula(value) for name, value in record.items()} for record in records)
    return sink.getvalue().rstrip("\n")


RENDERERS: dict[str, Callable[[Sheet], str]] = {
    "text": as_text, "markdown": as_markdown, "latex": as_latex, "html": as_html,
}  # fmt: skip


def _plain(sheet: Sheet) -> dict[str, Any]:
    return {
        "name": sheet.name,
        "title": sheet.title,
        "shared": sheet.above,
        "notes": sheet.notes,
        "rows": sheet.records,
    }


def _bold(cell: Cell, template: str, escape: Callable[[str], str]) -> str:
    return template.format(escape(cell.text)) if cell.best else escape(cell.text)


def _unformula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple(FORMULA)) else value


def _escape_markdown(text: str) -> str:
    """An underscore within a word is none of Markdown's business."""
    return re.sub(r"([\\`*{}\[\]<>#|~$&]|(?<!\w)_|_(?!\w))", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "†": r"\dag{}", "|": r"\textbar{}", '"': r"\textquotedblright{}", "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]\d+)?( ± (\d+(\.\d+)?(e[+-]\d+)?|\?))?")


def _escape_latex(text: str) -> str:
    """Text that pdflatex prints as it is; a letter that it has no font for is written as its code point."""
    escaped = "".join(_LATEX.get(c, c if 32 <= ord(c) < 127 else f"[U+{ord(c):04X}]") for c in text)
    return escaped.replace("--", "-{}-")  # not a dash


def _latex_cell(text: str) -> str:
    """A number in mathematics, so that its minus and its power of ten are real ones."""
    if not _NUMBER.fullmatch(text):
        return _escape_latex(text)
    powers = re.sub(r"e([+-])0*(\d+)", lambda m: rf" \times 10^{{{m[1].replace('+', '')}{m[2]}}}", text)
    return f"${powers.replace('±', chr(92) + 'pm')}$"
