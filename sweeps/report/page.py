"""One self-contained HTML page: tables, figures and where the numbers come from."""

import base64
import html
from collections.abc import Mapping, Sequence
from importlib import resources

from sweeps.report.tables.formats import as_html
from sweeps.report.tables.sheet import Sheet


def page(
    title: str, sheets: Sequence[Sheet], figures: Mapping[str, bytes], origins: Sequence[str], notes: Sequence[str]
) -> str:
    """The page: the first sheet, the figures, the other sheets.

    Args:
        figures: PNG by name.
        origins: lines on what made the numbers.
        notes: lines on what is missing.
    """
    links = [(sheet.name, sheet.title) for sheet in sheets]
    links[1:1] = [("figures", "figures")] if figures else []
    anchors = [f'<a href="#{html.escape(name)}">{html.escape(text)}</a>' for name, text in links]
    parts = [as_html(sheet) for sheet in sheets]
    parts[1:1] = [_figures(figures)] if figures else []
    body = [f"<h1>{html.escape(title)}</h1>", f"<nav>{' '.join(anchors)}</nav>"]
    body += [f'<p class="note">{html.escape(line)}</p>' for line in notes]
    body += [*parts, "<footer><h2>origin</h2>", *[f"<p>{html.escape(line)}</p>" for line in origins], "</footer>"]
    style = resources.files("sweeps.report").joinpath("page.css").read_text()
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            # Nothing on the page may run or load, whatever a results file made it say.
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
            "style-src 'unsafe-inline'\">",
            f"<title>{html.escape(title)}</title>",
            f"<style>{style}</style></head><body>",
            *body,
            "</body></html>",
        ]
    )


def _figures(figures: Mapping[str, bytes]) -> str:
    images = [_figure(name, png) for name, png in figures.items()]
    return "\n".join(['<section id="figures"><h2>figures</h2>', *images, "</section>"])


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return (
        f'<figure><img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
    )
