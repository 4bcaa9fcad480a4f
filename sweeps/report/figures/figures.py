"""Figures of a sweep from its ledger alone: validation curves, the effect of the exponent, and both losses by fold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mtvae.config import CONDITIONED, ERROR_AXIS, UNCONDITIONED, Method, Metric
from sweeps.analysis.results import Table, TableRow
from sweeps.report.figures.drawing import (
    MARKERS,
    Canvas,
    Style,
    apply_style,
    file_name,
    labels,
    listed,
    model_text,
    plain,
    style,
    unused,
)

CURVES, POINTS = 6, 22  # rows of one figure that can still be told apart, beside the baseline


def figures(table: Table) -> dict[str, Figure]:
    """The figures of a table that was read with `extra_columns=("history",)`, by names that are fit for files.

    For each model (data set, family, configuration): its curves, exponents and losses, as far as there is data. A row
    without data is named under each figure that it is missing from.

    Raises:
        KeyError: the table was read without the histories.
    """
    found: dict[str, Figure] = {}
    several = len({row.settings["dataset"] for row in table.rows}) > 1
    short = labels(table, "method")
    with apply_style():
        for rows in table.groups:
            model = [rows[0].settings[name] for name in ("dataset", "family", "configuration")]
            group = _Group(table, _side_by_side(rows), file_name(*model[not several :]), short)
            for name, figure in (*_curve_figures(group), *_exponent_figures(group), *_loss_figures(group)):
                found[unused(name, found)] = figure
    return found


def footnote(method: Method) -> str:
    """A method's footnote as a note below a figure; empty where it has none."""
    return f"{UNCONDITIONED.name}: from {method.footnote}" if method.footnote else ""


def _latent(row: TableRow) -> Metric | None:
    """The metric of a row's family that stands against the reconstruction: its first that is trained on."""
    return next((metric for metric in row.family.metrics if metric.term and metric.tabulated), None)


def _words(metric: Metric) -> str:
    return metric.name.replace("_", " ")


@dataclass(frozen=True)
class _Group:
    """The rows of one model, its name in file names, and by key what rows are called where a title says the method."""

    table: Table
    rows: list[TableRow]
    name: str
    labels: dict[str, str]

    @property
    def shown(self) -> list[TableRow]:
        """The rows to draw."""
        return [row for row in self.rows if self.table.shows(row)]

    def style(self, row: TableRow) -> Style:
        """The same in all figures of the group."""
        alike = [r.key for r in self.rows if r.is_baseline == row.is_baseline]
        return style(alike.index(row.key), row.is_baseline)

    def baselines(self, rows: Iterable[TableRow]) -> list[TableRow]:
        """The baselines of rows, each once."""
        found = [self.table.baseline(row) for row in rows]
        return list({row.key: row for row in found if row is not None}.values())


def _side_by_side(rows: Sequence[TableRow]) -> list[TableRow]:
    """Rows of one method and sampler together, so that neighbours in a figure are neighbours in style."""
    place = {method: i for i, method in enumerate(dict.fromkeys(row.settings["method"] for row in rows))}
    return sorted(rows, key=lambda row: (place[row.settings["method"]], str(row.settings.get("sampler"))))


def _pages(rows: list[TableRow], size: int) -> list[tuple[str, list[TableRow]]]:
    """All rows, or where they are more than `size` those of each sampler, in pieces of `size`, with the sampler."""
    if len(rows) <= size:
        return [("", rows)]
    pages: list[tuple[str, list[TableRow]]] = []
    for sampler in dict.fromkeys(row.settings.get("sampler") for row in rows):
        own = [row for row in rows if row.settings.get("sampler") == sampler]
        pages += [("" if sampler is None else plain(sampler), own[i : i + size]) for i in range(0, len(own), size)]
    return pages


def curve(row: TableRow, term: str) -> NDArray[np.float64]:
    """A term of the histories, (folds, epochs). Folds that lack it, or end before the others, are not among them."""
    found = [[(epoch or {}).get(term) for epoch in result["history"] or ()] for result in row.folds.values()]
    whole = [values for values in found if values and all(v is not None and isfinite(v) for v in values)]
    longest = max(map(len, whole), default=0)
    return np.array([values for values in whole if len(values) == longest], dtype=float)


def _curve_figures(group: _Group) -> Iterator[tuple[str, Figure]]:
    """Of each method against the baseline (thesis, figs. 4.2, 4.4 to 4.6); of the baselines where nothing else is."""
    methods = dict.fromkeys(row.settings["method"] for row in group.shown)
    compared = dict.fromkeys(row.settings["method"] for row in group.shown if not row.is_baseline)
    for method in compared or methods:
        pages = _pages([row for row in group.shown if row.settings["method"] == method], CURVES)
        for i, (sampler, rows) in enumerate(pages, 1):
            title = f"{model_text(rows[0])}: {plain(method)} {sampler}".rstrip()
            title += f" (figure {i} of {len(pages)})" if len(pages) > 1 else ""
            figure = _curves(group, rows, title)
            if figure is not None:
                yield file_name("curves", group.name, method, sampler), figure


def _curves(group: _Group, rows: Sequence[TableRow], title: str) -> Figure | None:
    latent = _latent(rows[0])
    panels = {} if latent is None else {f"selection_{latent.term}": (_words(latent), "epoch", latent.axis)}
    panels["selection_unconditioned"] = ("unconditioned reconstruction", "epoch", ERROR_AXIS[rows[0].scale])
    canvas = Canvas(title, *panels.values())
    for row in [*group.baselines(rows), *rows]:
        curves = [curve(row, term) for term in panels]
        if not all(map(len, curves)):
            canvas.left_out.append(group.labels[row.key])
            continue
        drawn = [_band(*pair, group.style(row)) for pair in zip(canvas.axes, curves, strict=True)]
        canvas.show(group.labels[row.key], row, min(map(len, curves)), drawn[0])
    if not canvas.shown:
        return None
    alone = [group.labels[r.key] for r in rows if not r.is_baseline and not group.baselines([r])]
    return canvas.finish(
        "y",
        "images that pick the epoch; line: mean over the folds, band: lowest to highest fold",
        footnote(rows[0].method),
        listed("without a baseline", alone),
    )


def _band(axes: Axes, values: NDArray[np.float64], look: Style) -> Any:
    """Draws (folds, epochs) as a mean and a band, and returns the line."""
    epochs = np.arange(1, values.shape[1] + 1)
    if len(values) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=look["color"], alpha=0.15, linewidth=0)
    every = max(1, len(epochs) // 8)
    start = max(MARKERS.find(look["marker"]), 0) * every // CURVES % every  # so that markers do not hide each other
    return axes.plot(epochs, values.mean(0), markevery=(start, every), **look)[0]


def _exponent_figures(group: _Group) -> Iterator[tuple[str, Figure]]:
    """Each score against the power law's exponent, a line for each sampler (and whatever else is swept)."""
    rows = [r for r in group.shown if r.method.power_law and isfinite(r.settings.get("exponent") or nan)]
    exponents = sorted({float(row.settings["exponent"]) for row in rows})
    if len(exponents) < 2:
        return
    latent, error = _latent(rows[0]), ERROR_AXIS[rows[0].scale]
    outputs = (UNCONDITIONED.name, CONDITIONED.name)
    panels = {name: (f"{name} reconstruction", "exponent a", error) for name in outputs}
    panels |= {} if latent is None else {latent.name: (_words(latent), "exponent a", latent.axis)}
    canvas = Canvas(f"{model_text(rows[0])}: {plain(rows[0].settings['method'])}", *panels.values())
    names = labels(group.table, "method", "exponent")
    series: dict[str, list[TableRow]] = {}
    for row in rows:
        if row.sample(UNCONDITIONED.name) is None:
            canvas.left_out.append(group.labels[row.key])
        else:
            series.setdefault(names[row.key], []).append(row)
    for row in group.baselines(rows):
        _horizontals(canvas, list(panels), row, group)
    canvas.axes[1].sharey(canvas.axes[0])
    canvas.axes[0].set_xticks(exponents[:: len(exponents) // 9 + 1])
    for axes in canvas.axes[1:]:
        axes.sharex(canvas.axes[0])
    for i, (name, own) in enumerate(series.items()):
        shift = 0.012 * (exponents[-1] - exponents[0]) * (i - (len(series) - 1) / 2)
        drawn = [
            _with_bars(axes, own, metric, shift, style(i)) for axes, metric in zip(canvas.axes, panels, strict=True)
        ]
        canvas.shown.append((name, drawn[0]))
    rows = [row for own in series.values() for row in own if not row.complete]
    few = [f"{group.labels[row.key]} {len(row.folds)}/{row.folds_wanted}" for row in rows]
    notes = "points: mean over the folds, side by side; bars: its 95 % interval", listed("folds missing", few)
    if series:
        yield file_name("exponents", group.name), canvas.finish("y", *notes)


def _with_bars(axes: Axes, rows: Sequence[TableRow], metric: str, shift: float, look: Style) -> Any:
    """Draws the mean of each row at its exponent, with its interval where it can be told. Returns the line."""
    rows = sorted(rows, key=lambda row: float(row.settings["exponent"]))
    points = [(float(row.settings["exponent"]), sample) for row in rows if (sample := row.sample(metric)) is not None]
    x = np.array([exponent for exponent, _ in points]) + shift
    bars = [sample.half_width() or np.nan for _, sample in points]
    return axes.errorbar(x, [sample.mean for _, sample in points], bars, capsize=2.5, elinewidth=0.9, **look)[0]


def _horizontals(canvas: Canvas, metrics: Sequence[str], row: TableRow, group: _Group) -> None:
    """A baseline's mean as a line across the panels that it has a score for, its interval as a band."""
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
    """The tabulated reconstruction against the latent loss: a small marker for each fold, a big one for the mean."""
    latent, error = _latent(group.rows[0]), ERROR_AXIS[group.rows[0].scale]
    names = labels(group.table)
    if latent is None:
        return
    pages = _pages(group.shown, POINTS)
    for i, (sampler, rows) in enumerate(pages, 1):
        title = f"{model_text(rows[0])}: both losses" + (f" (figure {i} of {len(pages)})" if len(pages) > 1 else "")
        canvas = Canvas(title, ("", latent.axis, f"unconditioned reconstruction\n({error})"))
        canvas.axes[0].locator_params(axis="x", nbins=7)
        for row in rows:
            x, y = row.sample(latent.name), row.sample(UNCONDITIONED.name)
            folds = [] if x is None or y is None else sorted(x.by_fold.keys() & y.by_fold.keys())
            if x is None or y is None or not folds:
                canvas.left_out.append(names[row.key])
                continue
            points = np.array([(x.by_fold[fold], y.by_fold[fold]) for fold in folds])
            canvas.show(names[row.key], row, len(folds), _cloud(canvas.axes[0], points, group.style(row)))
        untrained = " ".join(dict.fromkeys(filter(None, (footnote(row.method) for row in rows))))
        if canvas.shown:
            yield (
                file_name("losses", group.name, sampler),
                canvas.finish("xy", "the tabulated images; small: a fold, big: the mean over the folds", untrained),
            )


def _cloud(axes: Axes, points: NDArray[np.float64], look: Style) -> Any:
    """Draws (folds, 2) small and their mean big, and returns the big one."""
    look = look | {"linestyle": "", "marker": look["marker"] or "X"}
    axes.plot(*points.T, alpha=0.55, **(look | {"markersize": 4, "markeredgewidth": 0}))
    return axes.plot(*points.mean(0)[:, None], **(look | {"markersize": 8, "markeredgecolor": "white"}))[0]
