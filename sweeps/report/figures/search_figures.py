"""Figures of a search: the best so far, the importance of the searched settings, and each setting against the score."""

from collections.abc import Sequence
from itertools import accumulate
from math import inf
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sweeps.analysis.results import Table
from sweeps.analysis.search_results import Part, Result, parts_of
from sweeps.analysis.searched import Searched
from sweeps.config.search import Choices, Dimension, Range
from sweeps.config.settings import Value
from sweeps.report.figures.drawing import Canvas, apply_style, file_name, list_note, make_logarithmic, row_style
from sweeps.report.figures.importance import LEAST, importance
from sweeps.report.tables.search_notes import objective_text
from sweeps.text import one_line, value_text

PANELS = 4
"""The most settings in one figure."""


def search_figures(table: Table) -> tuple[dict[str, Figure], list[str]]:
    """Return the figures of a table's search by file name without ending, and lines on those that cannot be made.

    The table must have been read with the column `seconds`.
    """
    searched = table.searched
    if searched is None:
        return {}, []
    parts = parts_of(table)
    if not any(result.state == "complete" for part in parts for result in part.results):
        return {}, ["no figures of the search: no configuration is complete"]
    found: dict[str, Figure] = {}
    reasons: list[str] = []
    with apply_style():
        found["search-progress"] = _progress(searched, parts)
        drawn = _importances(searched, parts)
        if drawn is None:
            reasons.append(f"no importance of the searched settings: fewer than {LEAST} complete configurations")
        else:
            found["search-importance"] = drawn
        found |= _settings(searched, parts)
    return found, reasons


def _name(searched: Searched, part: Part) -> str:
    """Return how a legend calls a part."""
    return "the search" if searched.description.each is None else f"{searched.description.each} {value_text(part.each)}"


def _axis_text(searched: Searched) -> str:
    return fill(one_line(objective_text(searched)), 34)


def _progress(searched: Searched, parts: Sequence[Part]) -> Figure:
    """Draw each configuration's mean, and the best so far as a line, against trainings and hours.

    Configurations stand in the order in which they were asked for, after the rows of the grid.
    """
    score = _axis_text(searched)
    canvas = Canvas(
        "search: the best so far", ("", "trained units", score), ("", "hours of training, summed over workers", score)
    )
    minimize = searched.description.objective.minimize
    for i, part in enumerate(parts):
        trained = [result for result in part.results if result.row is not None and result.row.folds]
        units = list(accumulate(float(len(_records(result))) for result in trained))
        seconds = [sum(float(record.get("seconds") or 0.0) for record in _records(result)) for result in trained]
        hours = [total / 3600 for total in accumulate(seconds)]
        handle = None
        for axes, x in zip(canvas.axes, (units, hours), strict=True):
            handle = _draw_progress(axes, x, trained, minimize, row_style(i)) or handle
        if handle is not None:
            canvas.shown.append((_name(searched, part), handle))
    return canvas.finish(
        "",
        "line: the best mean over all folds so far; dots: each complete configuration, where its last fold was done",
        "configurations stand in the order in which they were asked for, rows of the grid first",
    )


def _mean(result: Result) -> float:
    """Return the mean of a configuration that has one."""
    assert result.mean is not None
    return result.mean


def _records(result: Result) -> list[dict[str, Any]]:
    return [] if result.row is None else list(result.row.folds.values())


def _draw_progress(axes: Axes, x: Sequence[float], results: Sequence[Result], minimize: bool, style: Any) -> Any:
    """Draw one part, and return its line; None if it has no complete configuration."""
    better = min if minimize else max
    nothing = inf if minimize else -inf
    means = [_mean(r) if r.is_candidate else nothing for r in results]
    best = list(accumulate(means, better))
    points = [(at, _mean(r)) for at, r in zip(x, results, strict=True) if r.state == "complete"]
    line = [(at, value) for at, value in zip(x, best, strict=True) if value != nothing]
    if not points:
        return None
    axes.plot(*zip(*points, strict=True), linestyle="", marker=style["marker"], color=style["color"], alpha=0.45)
    if not line:
        return None
    return axes.plot(*zip(*line, strict=True), drawstyle="steps-post", color=style["color"], ls=style["linestyle"])[0]


def _importances(searched: Searched, parts: Sequence[Part]) -> Figure | None:
    """Draw the importance of each setting as bars; None if no part has enough complete configurations."""
    minimize = searched.description.objective.minimize
    own = {path: d for path, d in searched.description.space.items() if path != searched.description.each}
    drawn = []
    left_out: dict[str, None] = {}
    for i, part in enumerate(parts):
        found, without = importance(part.results, own, minimize)
        left_out |= dict.fromkeys(without)
        if found:
            drawn.append((i, part, found))
    if not drawn:
        return None
    paths = [path for path in own if any(path in found for _, _, found in drawn)][::-1]
    canvas = Canvas("search: importance of the settings", ("", "importance (PED-ANOVA)", ""))
    (axes,) = canvas.axes
    height = 0.8 / len(drawn)
    for j, (i, part, found) in enumerate(drawn):
        at = [k + 0.4 - height * (j + 0.5) for k, path in enumerate(paths) if path in found]
        bars = axes.barh(at, [found[p] for p in paths if p in found], height=height * 0.9, color=row_style(i)["color"])
        canvas.shown.append((_name(searched, part), bars))
    axes.set_yticks(range(len(paths)), paths)
    axes.set_xlim(0, 1)
    axes.grid(axis="y", visible=False)
    return canvas.finish(
        "",
        "how much a setting decides whether a configuration is among the best tenth; they add up to 1",
        list_note("without an importance, because only some configurations have them", list(left_out)),
    )


def _settings(searched: Searched, parts: Sequence[Part]) -> dict[str, Figure]:
    """Draw each searched setting against the score, a panel each."""
    space = searched.description.space
    used = [path for path in space if any(path in r.params and r.state == "complete" for p in parts for r in p.results)]
    pages = [used[i : i + PANELS] for i in range(0, len(used), PANELS)]
    figures = {}
    for i, paths in enumerate(pages, 1):
        title = "search: score of each complete configuration" + (f" ({i} of {len(pages)})" if len(pages) > 1 else "")
        score = _axis_text(searched)
        canvas = Canvas(title, *[("", path, score if j == 0 else "") for j, path in enumerate(paths)])
        for axes in canvas.axes[1:]:
            axes.sharey(canvas.axes[0])
        for j, part in enumerate(parts):
            handle = None
            for axes, path in zip(canvas.axes, paths, strict=True):
                handle = _draw_setting(axes, path, space[path], part, row_style(j)) or handle
            if handle is not None:
                canvas.shown.append((_name(searched, part), handle))
        best = [part.ranked[0] for part in parts if part.ranked]
        for axes, path in zip(canvas.axes, paths, strict=True):
            own = [result for result in best if path in result.params]
            if own:
                at = [_place(space[path], result.params[path]) for result in own]
                ring = axes.plot(at, [_mean(r) for r in own], "o", ms=11, mfc="none", mec="black", mew=1.2)[0]
        if best:
            canvas.shown.append(("the best", ring))
        figures[file_name("search-settings", i if len(pages) > 1 else "")] = canvas.finish(
            "y", "mean over all folds; configurations that a race has stopped are not shown"
        )
    return figures


def _draw_setting(axes: Axes, path: str, dimension: Dimension, part: Part, style: Any) -> Any:
    """Draw a part's complete configurations, and return the markers; None if none has the setting."""
    shown = [r for r in part.results if r.state == "complete" and path in r.params]
    _prepare(axes, dimension)
    if not shown:
        return None
    at = [_place(dimension, result.params[path]) for result in shown]
    marked = {"linestyle": "", "marker": style["marker"], "color": style["color"], "alpha": 0.7}
    return axes.plot(at, [_mean(result) for result in shown], **marked)[0]


def _prepare(axes: Axes, dimension: Dimension) -> None:
    """Give an axis the choices of a setting, or its range, logarithmic where the space is."""
    if isinstance(dimension, Choices):
        texts = [fill(one_line(value_text(value)), 14) for value in dimension.values]
        crowded = len(texts) > 3
        axes.set_xticks(range(len(texts)), texts, rotation=30 if crowded else 0, ha="right" if crowded else "center")
        axes.set_xlim(-0.5, len(texts) - 0.5)
        return
    if dimension.log:
        make_logarithmic(axes, "x", dimension.low, dimension.high)
    axes.set_xlim(*_around(dimension))


def _around(dimension: Range) -> tuple[float, float]:
    """Return the bounds of a range with a margin, so that markers on a bound are whole."""
    if dimension.log:
        margin = (dimension.high / dimension.low) ** 0.04
        return dimension.low / margin, dimension.high * margin
    margin = 0.04 * (dimension.high - dimension.low)
    return dimension.low - margin, dimension.high + margin


def _place(dimension: Dimension, value: Value) -> float:
    """Return where a value stands on its axis."""
    if isinstance(dimension, Choices):
        texts = [value_text(choice) for choice in dimension.values]
        return float(texts.index(value_text(value)))
    return float(value)
