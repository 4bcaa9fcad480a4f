"""How figures look: names and labels, styles, and a canvas with a legend and notes.

Rows differ by colour, line style and marker, so that they can be told apart in grey print too. Text of Parquet files is
shown as it is, never as markup.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sweeps.analysis.columns import LABEL_COLUMNS, data_text
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.config.labels import Labels, setting_texts
from sweeps.report.tables.cells import setting_text

Style = dict[str, Any]

DPI = 150
HEIGHT = 3.8  # inches
WIDE = 20  # an axis is logarithmic where its highest value is more than this many times its lowest
PALETTE = ("#E69F00", "#44AA99", "#D55E00", "#0072B2", "#882255", "#332288")  # lightness L* 71, 64, 54, 46, 32, 22
DASHES = ((0, (5, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), (0, (9, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 1)))
MARKERS = "os^vDP<>p*h"  # 11 markers and 6 colours have no common divisor, so pairs repeat only after 66 rows
RC_PARAMS: Any = {
    "text.parse_math": False,
    "font.size": 8.5,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
}
RC_PARAMS |= {"axes.spines.right": False, "lines.markersize": 4, "lines.linewidth": 1.3, "pdf.fonttype": 42}
RC_PARAMS |= {"legend.frameon": False, "legend.handlelength": 3.5}


@contextmanager
def apply_style() -> Iterator[None]:
    """Apply `RC_PARAMS`, whatever the user's matplotlibrc says. Texts hold no mathematics."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC_PARAMS)
        yield


def save(figure: Figure) -> dict[str, bytes]:
    """Return a figure as {"png": bytes, "pdf": bytes}: the same bytes for the same data and matplotlib."""
    saved = {}
    with apply_style():
        for kind, volatile in (("png", ["Software"]), ("pdf", ["CreationDate", "Creator", "Producer"])):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=dict.fromkeys(volatile))
            saved[kind] = buffer.getvalue()
    return saved


def labels(table: Table, *without: str) -> dict[str, str]:
    """Return a short label for each row, by key: the settings that tell it from the other rows of its model.

    Args:
        without: settings to leave out, because a title names them.
    """
    by_key: dict[str, str] = {}
    for rows in table.groups:
        names = Labels([row.settings for row in rows], LABEL_COLUMNS).names
        by_key |= {row.key: _label(row, [name for name in names if name not in without]) for row in rows}
    return by_key


def _label(row: TableRow, names: Sequence[str]) -> str:
    """Return the settings in words, after "baseline", or after the method where `names` has it or nothing else."""
    if row.family.own:  # a plug-in's class takes one method only, so nothing is compared with it as a baseline
        return ", ".join(setting_texts(row.settings, names)) or short_setting(row.family.name.rpartition(":")[2])
    baseline = row.is_baseline
    method = "baseline" if baseline else short_setting(row.settings["method"]).replace("_", " ")
    parts = setting_texts(row.settings, [name for name in names if name != "method"])
    return ", ".join([method, *parts] if baseline or "method" in names or not parts else parts)


def short_setting(value: object) -> str:
    """Return a setting as a grid file writes it, on one line and cut to a title's length."""
    return setting_text(value)[:40]


def model_text(row: TableRow) -> str:
    """Return a row's data set (by its name), family and configuration, for titles."""
    s = row.settings
    return (
        f"{short_setting(data_text(s))}, {short_setting(s['family'])} configuration {short_setting(s['configuration'])}"
    )


def file_name(*parts: object) -> str:
    """Return parts joined by hyphens, with every character that is no letter, digit, "_" or "-" replaced."""
    return "-".join(re.sub(r"[^\w-]+", "_", str(part), flags=re.ASCII)[:40] for part in parts if part != "")


def unused_name(name: str, used: Mapping[str, object]) -> str:
    """Return the name, with a number behind it where it is taken."""
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, len(used) + 3))) if n not in used)


def row_style(i: int, baseline: bool = False) -> Style:
    """Return the style of the i-th row, or of the i-th baseline."""
    if baseline:
        return {"color": "black", "linestyle": "-", "marker": MARKERS[i % 11] if i else "", "zorder": 3}
    return {"color": PALETTE[i % 6], "linestyle": DASHES[i % 6], "marker": MARKERS[i % 11]}


class Canvas:
    """A figure in the making: panels side by side, a legend beside them, notes below them."""

    def __init__(self, title: str, *panels: tuple[str, str, str]):
        """Make empty panels. `panels`: title, label of the x axis, label of the y axis."""
        self.figure = Figure(figsize=(max(8.0, 3.3 * len(panels) + 2.2), HEIGHT), layout="constrained")
        self.axes: list[Axes] = list(self.figure.subplots(1, len(panels), squeeze=False)[0])
        self.figure.suptitle(title, fontsize=10)
        for axes, (head, x, y) in zip(self.axes, panels, strict=True):
            axes.set_title(head, fontsize=9)
            axes.set_xlabel(x)
            axes.set_ylabel(y)
        self.shown: list[tuple[str, Any]] = []
        self.left_out: list[str] = []

    def show(self, text: str, row: TableRow, folds: int, handle: Any) -> None:
        """Add a row to the legend, with the number of folds where some are missing."""
        stopped = ", stopped" if row.stopped else ""
        text += "" if folds == row.folds_wanted else f" ({folds}/{row.folds_wanted}\N{NO-BREAK SPACE}folds{stopped})"
        self.shown.append((text, handle))

    def finish(self, losses: str, *notes: str) -> Figure:
        """Add legend and notes, and return the figure. `losses`: the axes that show a loss, "y" or "xy"."""
        for axes in self.axes:
            for name in losses:
                _logarithmic_if_wide(axes, name)
        width = 32 if len(self.axes) > 1 else 46
        texts = [fill(text.replace(" = ", "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"), width) for text, _ in self.shown]
        handles = [handle for _, handle in self.shown]
        legend = self.figure.legend(handles, ["-"] * len(texts), loc="outside right center")
        for entry, text in zip(legend.get_texts(), texts, strict=True):
            entry.set_text(text)  # set afterwards, because a legend leaves out texts that begin with "_"
        self.figure.set_figheight(max(HEIGHT, 0.8 + 0.18 * sum(1 + text.count("\n") for text in texts)))
        notes = (*notes, list_note("left out, without results", self.left_out))
        self.figure.supxlabel(
            fill(" ".join(note[0].upper() + note[1:] + "." for note in notes if note), 55 * len(self.axes) + 35),
            fontsize=7.5,
        )
        return self.figure


def _logarithmic_if_wide(axes: Axes, name: str) -> None:
    low, high = getattr(axes.dataLim, f"interval{name}")
    if 0 < low * WIDE < high:
        make_logarithmic(axes, name, low, high)


def make_logarithmic(axes: Axes, name: str, low: float, high: float) -> None:
    """Make an axis logarithmic, with plain numbers at its ticks. `low`, `high`: about where it begins and ends."""
    axis = getattr(axes, f"{name}axis")
    axes.set(**{f"{name}scale": "log"})
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def list_note(head: str, items: Sequence[str], most: int = 8) -> str:
    """Return a note that names items, at most `most` of them; empty without items."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{head}: {'; '.join(items[:most])}{more}" if items else ""
