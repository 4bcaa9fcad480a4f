"""Jinja2 templates of HTML, LaTeX and Markdown files. Every value is escaped for the format that it is put into."""

from functools import cache
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sweeps.report.tables.escaping import LatexSource, cell_in_latex, escape_latex, escape_markdown


def _latex(value: object) -> str:
    return value if isinstance(value, LatexSource) else escape_latex(str(value))


# Braces are LaTeX's own, so that its templates have other delimiters than Jinja2's.
OPTIONS: dict[str, dict[str, Any]] = {
    ".html": {"autoescape": True},
    ".md": {"finalize": lambda value: escape_markdown(str(value))},
    ".tex": {
        "finalize": _latex,
        "block_start_string": r"\BLOCK{", "block_end_string": "}",
        "variable_start_string": r"\VAR{", "variable_end_string": "}",
        "comment_start_string": r"\COMMENT{", "comment_end_string": "}",
    },
}  # fmt: skip


def fill(template: str, **values: object) -> str:
    """Return a template of `sweeps/report/templates` with its values, without the last line's line break.

    Args:
        template: the file's name; its ending (.html, .tex, .md) decides how values are escaped.
    """
    environment = _environment(PurePath(template).suffix)
    return environment.get_template(template).render(values).removesuffix("\n")


@cache
def _environment(suffix: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("sweeps.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **OPTIONS[suffix],
    )
    environment.filters["in_latex"] = cell_in_latex
    return environment
