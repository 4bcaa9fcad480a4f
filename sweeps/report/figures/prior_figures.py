"""Figures of priors that need no images: rate against distortion, and errors against the number of given pixels."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtvae.config import UNCONDITIONED
from mtvae.config.generation import STAGE as SAMPLES
from mtvae.config.prior import STAGE as PRIOR
from sweeps.analysis.columns import data_text
from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.report.figures.drawing import Canvas, apply_style, file_name, labels, model_text, row_style, unused_name
from sweeps.report.tables.given_pixels_sheet import COLUMN

MOST_LINES = 12
"""The most lines in one figure of given pixels, one for each row and sampler."""


def prior_figures(table: Table) -> dict[str, Figure]:
    """Return the figures of a table's priors by file name without ending; none without priors.

    The table must have been read with the column `given_pixels`.
    """
    found: dict[str, Figure] = {}
    with apply_style():
        priors = table.later.get(PRIOR)
        rated = [] if priors is None else [row for row in priors.shown if row.sample("bits_per_image") is not None]
        if priors is not None and rated:
            found["rate-distortion"] = _rate_distortion(priors, rated)
        samples = table.later.get(SAMPLES)
        several = samples is not None and len({data_text(row.settings) for row in samples.rows}) > 1
        for group in [] if samples is None else samples.groups:
            assert samples is not None
            rows = [row for row in group if samples.shows(row) and _entries(row)]
            pages = _pages(rows)
            for i, lines in enumerate(pages, 1):
                s = rows[0].settings
                name = file_name("given-pixels", data_text(s) if several else "", s["family"], s["configuration"])
                page = f" (figure {i} of {len(pages)})" if len(pages) > 1 else ""
                found[unused_name(name, found)] = _given_pixels(samples, lines, page)
    return found


def _pages(rows: Sequence[TableRow]) -> list[list[tuple[TableRow, str]]]:
    """Return the rows with each of their samplers, method by method, at most `MOST_LINES` on a page."""
    pages: list[list[tuple[TableRow, str]]] = []
    before = None
    lines_of = {row.key: [(row, sampler) for sampler in _samplers(row)] for row in rows}
    every = sum(map(len, lines_of.values()))
    for row in rows:
        other_method = every > MOST_LINES and row.settings["method"] != before
        if not pages or other_method or len(pages[-1]) + len(lines_of[row.key]) > MOST_LINES:
            pages.append([])
        pages[-1] += lines_of[row.key]
        before = row.settings["method"]
    return pages


def _rate_distortion(priors: Table, rows: Sequence[TableRow]) -> Figure:
    """Draw each prior's bits per image against its model's squared error per pixel, fold by fold and as means."""
    canvas = Canvas("rate and distortion", ("", "bits per image of the latent space", "squared error per pixel"))
    names = labels(priors)
    models = list(dict.fromkeys(model_text(row) for row in rows))
    for i, row in enumerate(rows):
        bits = row.sample("bits_per_image")
        error = row.sample(UNCONDITIONED.name, "per_pixel")
        if bits is None or error is None:
            canvas.left_out.append(names[row.key])
            continue
        folds = sorted(bits.by_fold.keys() & error.by_fold.keys())
        style = row_style(i) | {"linestyle": ""}
        canvas.axes[0].plot(
            [bits.by_fold[k] for k in folds],
            [error.by_fold[k] for k in folds],
            **style | {"markersize": 2.5, "alpha": 0.5},
        )
        (handle,) = canvas.axes[0].plot([bits.mean], [error.mean], **style | {"markersize": 7})
        text = names[row.key] if len(models) == 1 else f"{model_text(row)}: {names[row.key]}"
        canvas.show(text, row, len(folds), handle)
    return canvas.finish("xy", "large: the mean over the folds; small: each fold", "lower left is better")


def _given_pixels(samples: Table, lines: Sequence[tuple[TableRow, str]], page: str) -> Figure:
    """Draw the hidden error, the coverage and the CRPS of rows and samplers against the number of given pixels."""
    panels = {"hidden_error": "squared error at hidden pixels", "coverage": "coverage of 90 %", "crps": "CRPS"}
    canvas = Canvas(
        f"{model_text(lines[0][0])}: samples given pixels{page}",
        *[("", "given pixels", text) for text in panels.values()],
    )
    names = labels(samples)
    for i, (row, sampler) in enumerate(lines):
        for axes, score in zip(canvas.axes, panels, strict=True):
            handle = _draw_line(axes, row, sampler, score, i)
        canvas.show(f"{names[row.key]}, pixels by {sampler}", row, len(row.folds), handle)
    canvas.axes[1].axhline(0.9, color="black", linewidth=0.8)
    return canvas.finish("", "means over the folds", "open: the training never drew this sampler with so many pixels")


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


def _samplers(row: TableRow) -> Iterable[str]:
    return dict.fromkeys(str(entry["pixels_by"]) for entry in _entries(row))
