"""Figures of priors that need no images: rate against distortion, and errors against the number of given pixels."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtvae.config import UNCONDITIONED
from mtvae.config.generation import STAGE as SAMPLES
from mtvae.config.prior import STAGE as PRIOR
from sweeps.analysis.columns import data_text
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.config.labels import setting_texts
from sweeps.report.figures.drawing import (
    DASHES,
    MARKERS,
    PALETTE,
    Canvas,
    apply_style,
    file_name,
    labels,
    model_text,
    row_style,
    short_setting,
    unused_name,
)
from sweeps.report.tables.given_pixels_sheet import COLUMN

MOST_LINES = 12
"""The most rows in one figure of given pixels."""


def prior_figures(table: Table) -> dict[str, Figure]:
    """Return the figures of a table's priors by file name without ending; none without priors.

    The table must have been read with the column `given_pixels`.
    """
    found: dict[str, Figure] = {}
    with apply_style():
        priors = table.later.get(PRIOR)
        rated = [] if priors is None else [row for row in priors.shown if row.sample("bits_per_image") is not None]
        if priors is not None and rated:
            found["rate-distortion"] = _rate_distortion(table, priors, rated)
        samples = table.later.get(SAMPLES)
        several = samples is not None and len({data_text(row.settings) for row in samples.rows}) > 1
        for group in [] if samples is None else samples.groups:
            assert samples is not None
            rows = [row for row in group if samples.shows(row) and _entries(row)]
            pages = _pages(rows)
            for i, own in enumerate(pages, 1):
                s = rows[0].settings
                name = file_name("given-pixels", data_text(s) if several else "", s["family"], s["configuration"])
                page = f" (figure {i} of {len(pages)})" if len(pages) > 1 else ""
                found[unused_name(name, found)] = _given_pixels(samples, own, page)
    return found


def _pages(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    """Return the rows method by method, at most `MOST_LINES` on a page; on one page if all fit there."""
    pages: list[list[TableRow]] = []
    before = None
    for row in rows:
        other_method = len(rows) > MOST_LINES and row.settings["method"] != before
        if not pages or other_method or len(pages[-1]) == MOST_LINES:
            pages.append([])
        pages[-1].append(row)
        before = row.settings["method"]
    return pages


def _rate_distortion(models: Table, priors: Table, rows: Sequence[TableRow]) -> Figure:
    """Draw each prior's bits per image against its model's squared error per pixel, fold by fold and as means.

    A model has a line of its own colour through its priors, and a prior a marker.
    """
    canvas = Canvas("rate and distortion", ("", "bits per image of the latent space", "squared error per pixel"))
    axes = canvas.axes[0]
    texts = {row.key: _prior_text(row, priors) for row in rows}
    kinds = list(dict.fromkeys(texts.values()))
    for i, model in enumerate([row for row in models.rows if row.key in {priors.models[row.key] for row in rows}]):
        style = row_style(i) | {"linestyle": DASHES[(i + i // len(PALETTE)) % len(DASHES)]}
        points = []
        for row in [row for row in rows if priors.models[row.key] == model.key]:
            bits, error = row.sample("bits_per_image"), row.sample(UNCONDITIONED.name, "per_pixel")
            if bits is None or error is None:
                canvas.left_out.append(priors.label(row))
                continue
            folds = sorted(bits.by_fold.keys() & error.by_fold.keys())
            points.append((bits.mean, error.mean))
            own = {"color": style["color"], "marker": MARKERS[kinds.index(texts[row.key]) % len(MARKERS)]}
            x, y = [bits.by_fold[k] for k in folds], [error.by_fold[k] for k in folds]
            axes.plot(x, y, **own, linestyle="", markersize=2.5, alpha=0.5)
            axes.plot(*points[-1], **own, linestyle="", markersize=7)
        if points:
            (line,) = axes.plot(*zip(*sorted(points), strict=True), **style | {"marker": "", "linewidth": 1})
            canvas.show(
                f"{short_setting(data_text(model.settings))}, {models.label(model)}", model, len(model.folds), line
            )
    for kind, marker in zip(kinds, itertools.cycle(MARKERS)):
        (handle,) = axes.plot([], [], color="grey", linestyle="", marker=marker, markersize=7)
        canvas.shown.append((kind, handle))
    return canvas.finish("xy", "large: the mean over the folds; small: each fold", "lower left is better")


def _prior_text(row: TableRow, priors: Table) -> str:
    """Return the settings of a row's prior that tell it from other priors, or its kind."""
    names = [name for name in priors.columns if name.startswith(f"{PRIOR}.") and name != "prior.kind"]
    different = setting_texts(row.settings, [name for name in names if row.settings.get(name) is not None])
    return ", ".join([str(row.settings["prior.kind"]), *different])


def _given_pixels(samples: Table, rows: Sequence[TableRow], page: str) -> Figure:
    """Draw the hidden error, the coverage and the CRPS of each row against the number of given pixels.

    The pixels are chosen by the sampler of the row's training; the table has the other samplers.
    """
    panels = {"hidden_error": "squared error at hidden pixels", "coverage": "coverage of 90 %", "crps": "CRPS"}
    canvas = Canvas(
        f"{model_text(rows[0])}: samples given pixels{page}",
        *[("", "given pixels", text) for text in panels.values()],
    )
    names = labels(samples)
    for i, row in enumerate(rows):
        for axes, score in zip(canvas.axes, panels, strict=True):
            handle = _draw_line(axes, row, row.settings["sampler"], score, i)
        canvas.show(names[row.key], row, len(row.folds), handle)
    canvas.axes[1].axhline(0.9, color="black", linewidth=0.8)
    notes = ("means over the folds, of pixels by the sampler of the training", "open: it never drew so many pixels")
    return canvas.finish("", *notes)


def _draw_line(axes: Axes, row: TableRow, sampler: str, score: str, i: int) -> object:
    """Draw the means over the folds of one score, and return the line's handle."""
    of_count: dict[int, list[float]] = {}
    trained: dict[int, bool] = {}
    for entry in _entries(row):
        if entry["pixels_by"] == sampler:
            of_count.setdefault(entry["pixels"], []).append(entry[score])
            trained[entry["pixels"]] = entry["trained"]
    counts = sorted(of_count)
    means = [sum(of_count[count]) / len(of_count[count]) for count in counts]
    style = row_style(i)
    (handle,) = axes.plot(counts, means, **style)
    open_ones = [(count, mean) for count, mean in zip(counts, means, strict=True) if not trained[count]]
    if open_ones:
        axes.plot(*zip(*open_ones, strict=True), **style | {"linestyle": "", "markerfacecolor": "white", "zorder": 4})
    return handle


def _entries(row: TableRow) -> list[dict[str, Any]]:
    return [entry for record in row.folds.values() for entry in record.get(COLUMN) or ()]
