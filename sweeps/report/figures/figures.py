"""Figures made from the ledger alone: validation curves, the effect of the exponent, and both losses by fold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtvae.config import CONDITIONED, ERROR_AXIS, UNCONDITIONED, Method, Metric
from sweeps.analysis.columns import data_text
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.report.figures.drawing import (
    MARKERS,
    Canvas,
    Style,
    apply_style,
    file_name,
    labels,
    list_note,
    model_text,
    row_style,
    short_setting,
    unused_name,
)

MOST_PANELS = 6  # of one figure of curves
CURVES, POINTS = 6, 22  # the most rows of one figure that can be told apart, besides the baseline


def figures(table: Table) -> dict[str, Figure]:
    """Return the figures of a table that was read with `extra_columns=("history",)`, by file name without ending.

    Each model (data set, family, configuration) has figures of its curves, exponents and losses where it has the data.
    A figure names the rows that it lacks.

    Raises:
        KeyError: the table was read without the histories.
    """
    found: dict[str, Figure] = {}
    several = len({data_text(row.settings) for row in table.rows}) > 1
    short = labels(table, "method")
    with apply_style():
        for rows in table.groups:
            model = [data_text(rows[0].settings), *[rows[0].settings[name] for name in ("family", "configuration")]]
            group = _Group(table, _by_method_and_sampler(rows), file_name(*model[not several :]), short)
            for name, figure in (*_curve_figures(group), *_exponent_figures(group), *_loss_figures(group)):
                found[unused_name(name, found)] = figure
    return found


def footnote(method: Method) -> str:
    """Return a method's footnote as a note below a figure; empty where it has none."""
    return f"{UNCONDITIONED.name}: from {method.footnote}" if method.footnote else ""


def _latent_metric(row: TableRow) -> Metric | None:
    """Return the metric that is plotted against the reconstruction: the family's first that is trained on."""
    return next((metric for metric in row.family.metrics if metric.term and metric.tabulated), None)


def _axis(metric: Metric) -> str:
    """Return the label of an axis of a plug-in's metric: its own, or its name and unit."""
    return metric.axis or (f"{_metric_title(metric)} ({metric.unit})" if metric.unit else _metric_title(metric))


def _metric_title(metric: Metric) -> str:
    return metric.name.replace("_", " ")


@dataclass(frozen=True)
class _Group:
    """The rows of one model, its name in file names, and labels by key for figures whose title names the method."""

    table: Table
    rows: list[TableRow]
    name: str
    labels: dict[str, str]

    @property
    def shown(self) -> list[TableRow]:
        """The rows to draw."""
        return [row for row in self.rows if self.table.shows(row)]

    def style(self, row: TableRow) -> Style:
        """Return a row's style, which is the same in all figures of the group."""
        alike = [r.key for r in self.rows if r.is_baseline == row.is_baseline]
        return row_style(alike.index(row.key), row.is_baseline and not row.family.own)

    def baselines(self, rows: Iterable[TableRow]) -> list[TableRow]:
        """Return the baselines of rows, each once."""
        found = [self.table.baseline(row) for row in rows]
        return list({row.key: row for row in found if row is not None}.values())


def _by_method_and_sampler(rows: Sequence[TableRow]) -> list[TableRow]:
    """Return rows sorted by method and sampler, so that neighbours in a figure have neighbouring styles."""
    place = {method: i for i, method in enumerate(dict.fromkeys(row.settings["method"] for row in rows))}
    return sorted(rows, key=lambda row: (place[row.settings["method"]], str(row.settings.get("sampler"))))


def _pages(rows: list[TableRow], size: int) -> list[tuple[str, list[TableRow]]]:
    """Return all rows if they are at most `size`, else each sampler's in pieces of `size`, with the sampler."""
    if len(rows) <= size:
        return [("", rows)]
    pages: list[tuple[str, list[TableRow]]] = []
    for sampler in dict.fromkeys(row.settings.get("sampler") for row in rows):
        own = [row for row in rows if row.settings.get("sampler") == sampler]
        pages += [
            ("" if sampler is None else short_setting(sampler), own[i : i + size]) for i in range(0, len(own), size)
        ]
    return pages


def term_histories(row: TableRow, term: str) -> NDArray[np.float64]:
    """Return a term of the histories, (folds, epochs), without folds that lack it or end before the others."""
    histories = [[(epoch or {}).get(term) for epoch in result["history"] or ()] for result in row.folds.values()]
    whole = [values for values in histories if values and all(v is not None and isfinite(v) for v in values)]
    longest = max(map(len, whole), default=0)
    return np.array([values for values in whole if len(values) == longest], dtype=float)


def _curve_figures(group: _Group) -> Iterator[tuple[str, Figure]]:
    """Yield each method's curves beside its baselines (thesis, figs. 4.2, 4.4 to 4.6).

    Where all rows are baselines, yield theirs.
    """
    methods = dict.fromkeys(row.settings["method"] for row in group.shown)
    compared = dict.fromkeys(row.settings["method"] for row in group.shown if not row.is_baseline)
    for method in compared or methods:
        pages = _pages([row for row in group.shown if row.settings["method"] == method], CURVES)
        for i, (sampler, rows) in enumerate(pages, 1):
            what = "terms and metrics" if rows[0].family.own else f"{short_setting(method)} {sampler}".rstrip()
            title = f"{model_text(rows[0])}: {what}"
            title += f" (figure {i} of {len(pages)})" if len(pages) > 1 else ""
            figure = _curves(group, rows, title)
            if figure is not None:
                yield file_name("curves", group.name, method, sampler), figure


def _curves(group: _Group, rows: Sequence[TableRow], title: str) -> Figure | None:
    panels = _curve_panels(rows)
    if not panels:
        return None
    canvas = Canvas(title, *panels.values())
    for row in [*group.baselines(rows), *rows]:
        curves = [term_histories(row, term) for term in panels]
        if not all(map(len, curves)):
            canvas.left_out.append(group.labels[row.key])
            continue
        drawn = [_draw_band(*pair, group.style(row)) for pair in zip(canvas.axes, curves, strict=True)]
        canvas.show(group.labels[row.key], row, min(map(len, curves)), drawn[0])
    if not canvas.shown:
        return None
    without_baseline = [group.labels[r.key] for r in rows if not r.is_baseline and not group.baselines([r])]
    return canvas.finish(
        "y",
        "validation set; line: mean over the folds, band: lowest to highest fold",
        footnote(rows[0].method),
        list_note("without a baseline", without_baseline),
    )


def _curve_panels(rows: Sequence[TableRow]) -> dict[str, tuple[str, str, str]]:
    """Return title, x axis and y axis of each panel of a family's curves, by the column of the history.

    A plug-in's class has a panel for each of its terms and metrics that was measured on the validation set.
    """
    row = rows[0]
    if row.family.own:
        panels = {f"selection_{m.in_history}": (_metric_title(m), "epoch", _axis(m)) for m in row.family.metrics}
        measured = [name for name in panels if any(len(term_histories(r, name)) for r in rows)]
        return {name: panels[name] for name in measured[:MOST_PANELS]}
    latent = _latent_metric(row)
    panels = {} if latent is None else {f"selection_{latent.term}": (_metric_title(latent), "epoch", latent.axis)}
    return panels | {"selection_unconditioned": ("unconditioned reconstruction", "epoch", ERROR_AXIS[row.scale])}


def _draw_band(axes: Axes, values: NDArray[np.float64], line_style: Style) -> Any:
    """Draw (folds, epochs) as a mean and a band, and return the line."""
    epochs = np.arange(1, values.shape[1] + 1)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=line_style["color"], alpha=0.15, linewidth=0)
    every = max(1, len(epochs) // 8)
    start = max(MARKERS.find(line_style["marker"]), 0) * every // CURVES % every  # keeps markers apart
    return axes.plot(epochs, values.mean(0), markevery=(start, every), **line_style)[0]


def _exponent_figures(group: _Group) -> Iterator[tuple[str, Figure]]:
    """Yield a figure of the scores against the power law's exponent, a line per combination of other settings."""
    rows = [r for r in group.shown if r.method.power_law and isfinite(r.settings.get("exponent") or nan)]
    exponents = sorted({float(row.settings["exponent"]) for row in rows})
    if len(exponents) < 2:
        return
    latent, error = _latent_metric(rows[0]), ERROR_AXIS[rows[0].scale]
    outputs = (UNCONDITIONED.name, CONDITIONED.name)
    panels = {name: (f"{name} reconstruction", "exponent a", error) for name in outputs}
    panels |= {} if latent is None else {latent.name: (_metric_title(latent), "exponent a", latent.axis)}
    canvas = Canvas(f"{model_text(rows[0])}: {short_setting(rows[0].settings['method'])}", *panels.values())
    names = labels(group.table, "method", "exponent")
    series: dict[str, list[TableRow]] = {}
    for row in rows:
        if row.sample(UNCONDITIONED.name) is None:
            canvas.left_out.append(group.labels[row.key])
        else:
            series.setdefault(names[row.key], []).append(row)
    for row in group.baselines(rows):
        _draw_baseline(canvas, list(panels), row, group)
    canvas.axes[1].sharey(canvas.axes[0])
    canvas.axes[0].set_xticks(exponents[:: len(exponents) // 9 + 1])
    for axes in canvas.axes[1:]:
        axes.sharex(canvas.axes[0])
    for i, (name, own) in enumerate(series.items()):
        shift = 0.012 * (exponents[-1] - exponents[0]) * (i - (len(series) - 1) / 2)
        drawn = [
            _draw_means(axes, own, metric, shift, row_style(i))
            for axes, metric in zip(canvas.axes, panels, strict=True)
        ]
        canvas.shown.append((name, drawn[0]))
    incomplete = [
        f"{group.labels[r.key]} {len(r.folds)}/{r.folds_wanted}"
        for own in series.values()
        for r in own
        if not r.complete
    ]
    notes = "points: mean over the folds, side by side; bars: its 95 % interval", list_note("folds missing", incomplete)
    if series:
        yield file_name("exponents", group.name), canvas.finish("y", *notes)


def _draw_means(axes: Axes, rows: Sequence[TableRow], metric: str, shift: float, line_style: Style) -> Any:
    """Draw each row's mean at its exponent, with its 95 % interval where it has two folds, and return the line."""
    rows = sorted(rows, key=lambda row: float(row.settings["exponent"]))
    points = [(float(row.settings["exponent"]), sample) for row in rows if (sample := row.sample(metric)) is not None]
    x = np.array([exponent for exponent, _ in points]) + shift
    bars = [sample.half_width() or np.nan for _, sample in points]
    return axes.errorbar(x, [sample.mean for _, sample in points], bars, capsize=2.5, elinewidth=0.9, **line_style)[0]


def _draw_baseline(canvas: Canvas, metrics: Sequence[str], row: TableRow, group: _Group) -> None:
    """Draw a baseline's mean as a line and its interval as a band, in each panel whose metric it has."""
    handle = None
    for axes, metric in zip(canvas.axes, metrics, strict=True):
        sample = row.sample(metric)
        if sample is not None:
            half = sample.half_width() or 0.0
            axes.axhspan(sample.mean - half, sample.mean + half, color="black", alpha=0.08, linewidth=0)
            handle = axes.axhline(sample.mean, **group.style(row))
    if handle is None:
        canvas.left_out.append(group.labels[row.key])
    else:
        canvas.show(group.labels[row.key], row, len(row.folds), handle)


def _loss_figures(group: _Group) -> Iterator[tuple[str, Figure]]:
    """Yield figures of the reconstruction against the latent loss: a small marker per fold, a big one for the mean."""
    pair = _loss_axes(group.rows[0])
    names = labels(group.table)
    if pair is None:
        return
    (x_metric, x_axis), (y_metric, y_axis) = pair
    pages = _pages(group.shown, POINTS)
    for i, (sampler, rows) in enumerate(pages, 1):
        title = f"{model_text(rows[0])}: {'two scores' if rows[0].family.own else 'both losses'}" + (
            f" (figure {i} of {len(pages)})" if len(pages) > 1 else ""
        )
        canvas = Canvas(title, ("", x_axis, y_axis))
        canvas.axes[0].locator_params(axis="x", nbins=7)
        for row in rows:
            x, y = row.sample(x_metric), row.sample(y_metric)
            folds = [] if x is None or y is None else sorted(x.by_fold.keys() & y.by_fold.keys())
            if x is None or y is None or not folds:
                canvas.left_out.append(names[row.key])
                continue
            points = np.array([(x.by_fold[fold], y.by_fold[fold]) for fold in folds])
            canvas.show(names[row.key], row, len(folds), _draw_points(canvas.axes[0], points, group.style(row)))
        footnotes = " ".join(dict.fromkeys(filter(None, (footnote(row.method) for row in rows))))
        if canvas.shown:
            yield (
                file_name("losses", group.name, sampler),
                canvas.finish("xy", "test folds; small marker: one fold, big: the mean over the folds", footnotes),
            )


def _loss_axes(row: TableRow) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Return two metrics with their axes, which are plotted against each other; None if the family lacks a second."""
    if row.family.own:
        first_two = [(metric.name, _axis(metric)) for metric in row.family.metrics[:2]]
        return (first_two[0], first_two[1]) if len(first_two) == 2 else None
    latent = _latent_metric(row)
    if latent is None:
        return None
    error = f"unconditioned reconstruction\n({ERROR_AXIS[row.scale]})"
    return (latent.name, latent.axis), (UNCONDITIONED.name, error)


def _draw_points(axes: Axes, points: NDArray[np.float64], marker_style: Style) -> Any:
    """Draw (folds, 2) with small markers and their mean with a big one, and return the big one."""
    marked = marker_style | {"linestyle": "", "marker": marker_style["marker"] or "X"}
    axes.plot(*points.T, alpha=0.55, **(marked | {"markersize": 4, "markeredgewidth": 0}))
    return axes.plot(*points.mean(0)[:, None], **(marked | {"markersize": 8, "markeredgecolor": "white"}))[0]
