"""Text that fits a terminal's width: columns fold their text, and no line is broken by the terminal itself."""

import io
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

GAP = 2
"""Spaces between two columns."""


def terminal_width(stream: TextIO | None = None) -> int | None:
    """Return the columns of the terminal on stdout or another stream; None without one, where nothing is folded."""
    return shutil.get_terminal_size().columns if (stream or sys.stdout).isatty() else None


def as_text(drawn: RenderableType, width: int) -> str:
    """Return what rich draws as plain text, without spaces at the ends of lines."""
    sink = io.StringIO()
    Console(file=sink, width=width, color_system=None, legacy_windows=False).print(drawn)
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines())


def columns(rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Return a line for each row: aligned columns of which the last one folds; without a width, two spaces apart."""
    if not rows:
        return ""
    if width is None:
        return "\n".join("  ".join(row) for row in rows)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, GAP, 0, 0))
    for i in range(len(rows[0])):
        table.add_column(no_wrap=i < len(rows[0]) - 1, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return as_text(table, width)


def folded(lines: Sequence[str], width: int | None) -> list[str]:
    """Return lines folded at words; without a width, as they are. An indented line keeps its indentation."""
    if width is None:
        return list(lines)
    found = []
    for line in lines:
        indent = " " * min(len(line) - len(line.lstrip()), width // 2)
        parts = as_text(Text(line.lstrip(), overflow="fold"), width - len(indent)).split("\n")
        found += [indent + part if part else part for part in parts]
    return found
