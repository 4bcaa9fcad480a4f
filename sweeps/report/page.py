"""One self-contained HTML page: tables, figures and where the numbers come from."""

from base64 import b64encode
from collections.abc import Mapping, Sequence

from sweeps.report.tables.sheet import Sheet
from sweeps.report.templating import fill


def page(
    title: str, sheets: Sequence[Sheet], figures: Mapping[str, bytes], origins: Sequence[str], notes: Sequence[str]
) -> str:
    """Return the page as HTML: the first sheet, the figures, the other sheets.

    Args:
        figures: PNG by name.
        origins: lines on what made the numbers.
        notes: lines on what is missing.
    """
    links = [(sheet.name, sheet.title) for sheet in sheets]
    links[1:1] = [("figures", "figures")] if figures else []
    images = {name: b64encode(png).decode() for name, png in figures.items()}
    return fill("page.html", title=title, links=links, sheets=sheets, figures=images, origins=origins, notes=notes)
