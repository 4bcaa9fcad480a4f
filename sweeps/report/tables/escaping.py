"""Text and cells as Markdown and LaTeX source that shows them as they are."""

import re

from sweeps.report.tables.sheet import Cell


class LatexSource(str):
    """LaTeX source, which must not be escaped again."""

    __slots__ = ()


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "†": r"\dag{}", "|": r"\textbar{}", '"': r"\textquotedblright{}", "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}  # fmt: skip
_NUMBER = re.compile(r"([+-]?\d+(?:\.\d+)?(?:e[+-]\d+)?)(?: ± (\d+(?:\.\d+)?(?:e[+-]\d+)?|\?))?")
"""A number, and the spread behind its ±."""


def escape_markdown(text: str) -> str:
    """Return text as Markdown. An underscore within a word has no meaning there and stays."""
    return re.sub(r"([\\`*{}\[\]<>#|~$&]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def escape_latex(text: str) -> str:
    """Return text for pdflatex. A letter that pdflatex has no font for is written as its code point."""
    escaped = "".join(_LATEX.get(c, c if 32 <= ord(c) < 127 else f"[U+{ord(c):04X}]") for c in text)
    return escaped.replace("--", "-{}-")  # two hyphens would print as a dash


def cell_in_latex(cell: Cell) -> LatexSource:
    """Return a cell as LaTeX: a number in mathematics, for a real minus and power of ten; the best in bold.

    `\\textbf` does not reach into mathematics, so a number's bold mean is `\\mathbf`.
    """
    number = _NUMBER.fullmatch(cell.text)
    if number is None:
        text = escape_latex(cell.text)
        return LatexSource(rf"\textbf{{{text}}}" if cell.best else text)
    mean, spread = number.groups()
    mean = _power_of_ten(mean)
    mean = rf"\mathbf{{{mean}}}" if cell.best else mean
    return LatexSource(f"${mean}$" if spread is None else rf"${mean} \pm {_power_of_ten(spread)}$")


def _power_of_ten(number: str) -> str:
    return re.sub(r"e([+-])0*(\d+)", lambda m: rf" \times 10^{{{m[1].replace('+', '')}{m[2]}}}", number)
