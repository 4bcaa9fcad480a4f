"""Sheets as text that fits a terminal's width: what is too wide is folded within its column, or set as a list."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sweeps.report.tables.formats import as_text
from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.screen import GAP, folded
from sweeps.screen import as_text as drawn_text

INDENT = "  "
JOINED = "\ue000"
"""Stands for a space at which no line is folded, until the text is drawn: rich folds at every kind of space."""


def on_screen(sheets: Sequence[Sheet], width: int) -> str:
    """Return sheets as text of which no line is longer than `width`."""
    return "\n\n".join(_sheet_text(sheet, width) for sheet in sheets)


def _sheet_text(sheet: Sheet, width: int) -> str:
    """Return a sheet as in a file if its table fits; else with its model above its rows, or a list for each row."""
    plain = as_text(sheet)
    table = plain.split("\n")[len(sheet.above) + 2 : len(plain.split("\n")) - len(sheet.notes)]
    if max(map(len, table), default=0) <= width:
        body = table
    else:
        body = _grouped(sheet, width, False) or _grouped(sheet, width, True) or _listed(sheet, width)
        body += [""] if sheet.notes else []
    return "\n".join([*folded([sheet.title, *sheet.above], width), "", *body, *folded(sheet.notes, width)])


def _groups(sheet: Sheet) -> list[tuple[str, list[list[str]]]]:
    """Return the rows without their leading columns, with the texts of those as a heading where they change."""
    found: list[tuple[str, list[list[str]]]] = []
    for row in sheet.rows:
        heading = "  ".join(cell.text for cell in row[: sheet.keys])
        if not found or found[-1][0] != heading:
            found.append((heading, []))
        found[-1][1].append([_marked(cell) for cell in row[sheet.keys :]])
    return found


def _marked(cell: Cell) -> str:
    """Return a cell's text, in which nothing is folded behind a sign of spread or before a star."""
    return cell.text.replace("± ", f"±{JOINED}") + f"{JOINED}*" * cell.best


def _grouped(sheet: Sheet, width: int, settings_above: bool) -> list[str]:
    """Return the lines of a table whose columns fold between words; none if a column is too narrow for its words.

    Args:
        settings_above: whether a row's settings stand on a line of their own above its numbers.
    """
    head, groups = sheet.head[sheet.keys :], _groups(sheet)
    first = 1 if settings_above and head[:1] == ["settings"] else 0
    head = head[first:]
    texts = [[name, *(row[i + first] for _, rows in groups for row in rows)] for i, name in enumerate(head)]
    least = [max(len(word) for text in column for word in text.split()) for column in texts]
    indent = INDENT * (1 + first)
    room = width - len(indent) - GAP * (len(head) - 1)
    if not head or sum(least) > room:
        return []
    widths = _shared(least, [max(map(len, column)) for column in texts], room)
    ruled = min(width, sum(widths) + GAP * (len(head) - 1) + len(indent))
    lines = [*_table([head], widths, indent), "-" * ruled]
    for i, (heading, rows) in enumerate(groups):
        lines += ([""] if i else []) + folded([heading] if heading else [], width)
        for row in rows:
            lines += folded([INDENT + row[0]] if first else [], width) + _table([row[first:]], widths, indent)
    return lines


def _shared(least: Sequence[int], most: Sequence[int], room: int) -> list[int]:
    """Share a line out: each column gets its least width, then those that lack least get what they lack."""
    widths = list(least)
    for i in sorted(range(len(widths)), key=lambda i: most[i] - least[i]):
        widths[i] += min(max(most[i] - least[i], 0), room - sum(widths))
    return widths


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int], indent: str) -> list[str]:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for width in widths:
        table.add_column(width=width, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    text = drawn_text(table, sum(widths) + GAP * len(widths)).replace(JOINED, " ")
    return [indent + line if line else line for line in text.split("\n")]


def _listed(sheet: Sheet, width: int) -> list[str]:
    """Return a list of names and values for each row."""
    lines = []
    for i, row in enumerate(sheet.rows):
        heading = "  ".join(cell.text for cell in row[: sheet.keys + 1])
        named = list(zip(sheet.head, row, strict=True))[sheet.keys + 1 :]
        values = [f"{name} {_marked(cell)}".replace(" ", JOINED) for name, cell in named]
        lines += ([""] if i else []) + folded([heading, INDENT + "  ".join(values)], width)
    return [line.replace(JOINED, " ") for line in lines]
