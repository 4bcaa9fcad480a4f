"""Sheets in every format show the same cells, hostile ones included, and their LaTeX compiles."""

import csv
import html
import html.parser
import io
import json
import shutil
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.report.tables.escaping import cell_in_latex, escape_latex, escape_markdown
from sweeps.report.tables.formats import FORMATS, as_csv, as_html, as_latex, as_markdown, as_text, render
from sweeps.report.tables.sheet import Cell, Sheet

HOSTILE = r"""<script>alert(1)</script> =cmd()|' -x \input{/etc/passwd} $\alpha$ a_b #1 100% ^~ "q" `x` ± † 中 é"""


def sheet(text="plain", value="0.0028 ± 8.8e-09"):
    rows = [[Cell("vqvae"), Cell(text), Cell(value, best=True)], [Cell("vqvae"), Cell(text), Cell("-")]]
    return Sheet(
        "table", text, ["family", "settings", "loss"], rows, [False, False, True], ["shared"], frozenset({1}), 1,
        [text], lambda: [{"settings": text, "loss": 0.1}],
    )  # fmt: skip


def test_repeats_of_leading_columns_are_left_out():
    assert [row[0].text for row in sheet().rows_without_repeats()] == ["vqvae", ""]
    assert "vqvae   plain     0.0028 ± 8.8e-09 *" in as_text(sheet())


class Texts(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


@given(st.text(min_size=1))
def test_html_shows_any_text_as_it_is(text):
    plain, reader = Texts(), Texts()
    plain.feed(as_html(sheet()))
    reader.feed(as_html(sheet(text)))
    assert reader.tags == plain.tags
    assert "".join(reader.texts).count(text.replace("\r\n", "\n").replace("\r", "\n")) >= 1 or "\r" in text


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_csv_keeps_any_text_and_holds_no_formula(text):
    (row,) = csv.DictReader(io.StringIO(as_csv([{"settings": text, "loss": -0.5}]), newline=""))
    dangerous = text[0] in "=+-@\t\r"
    assert row["settings"] == ("'" + text if dangerous else text)
    assert row["loss"] == "-0.5"


def test_json_is_full_precision_and_standard():
    (shown,) = json.loads(render([sheet(HOSTILE)], "json"))
    assert shown["rows"] == [{"settings": HOSTILE, "loss": 0.1}]
    with pytest.raises(ValueError, match="JSON compliant"):
        render([Sheet("x", "x", [], [], [], make_records=lambda: [{"loss": float("nan")}])], "json")


def test_csv_holds_one_table():
    with pytest.raises(ValueError, match="one table"):
        render([sheet(), sheet()], "csv")


def test_markdown_keeps_its_columns():
    lines = [line for line in as_markdown(sheet("a | b <b> *x* a_b")).splitlines() if line.startswith("| ")]
    assert lines[0] == "| family | settings | loss |"
    assert lines[2] == r"| vqvae | a \| b \<b\> \*x\* a_b | **0.0028 ± 8.8e-09** |"


def test_latex_writes_numbers_as_numbers():
    assert cell_in_latex(Cell("0.0028 ± 8.8e-09")) == r"$0.0028 \pm 8.8 \times 10^{-9}$"
    assert cell_in_latex(Cell("-1.5e+10")) == r"$-1.5 \times 10^{10}$"
    assert cell_in_latex(Cell("0.5 ± ?")) == r"$0.5 \pm ?$"
    assert cell_in_latex(Cell("a_b")) == r"a\_b"
    assert r"\input" not in as_latex(sheet(HOSTILE))


def test_latex_prints_the_best_in_bold():
    r"""Numbers need \mathbf, because \textbf does not reach into mathematics."""
    assert r"& $\mathbf{0.0028} \pm 8.8 \times 10^{-9}$ \\" in as_latex(sheet())
    assert cell_in_latex(Cell("-1.5", best=True)) == r"$\mathbf{-1.5}$"
    assert cell_in_latex(Cell("0.5 ± ? †", best=True)) == r"\textbf{0.5 $\pm$ ? \dag{}}"


@pytest.mark.parametrize("name", ["html", "latex", "markdown"])
def test_template_syntax_in_values_stays_text(name):
    """No format evaluates a cell that looks like a template."""
    text = r"{{ 1 + 1 }} {% if x %} \VAR{1 + 1} \BLOCK{if x} {# y #}"
    plain, shown = render([sheet("XY")], name), render([sheet(text)], name)
    escaped = {"html": html.escape(text), "latex": escape_latex(text), "markdown": escape_markdown(text)}[name]
    assert shown == plain.replace("XY", escaped)


def test_text_needs_no_template_engine():
    """The default format starts without the 40 ms that importing Jinja2 takes."""
    code = "import sys, sweeps.report.__main__; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.fixture
def pdflatex(tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine")

    def compile(body):
        preamble = "\\documentclass{article}\\usepackage{booktabs,adjustbox}\\begin{document}"
        (tmp_path / "t.tex").write_text(f"{preamble}\n{body}\n\\end{{document}}")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")

    return compile


def test_latex_compiles_with_hostile_cells(pdflatex):
    done = pdflatex(as_latex(sheet(HOSTILE)))
    assert done.returncode == 0, done.stdout[-2000:]


@settings(max_examples=200)
@given(st.text(max_size=30))
def test_every_format_takes_any_text(text):
    for name in FORMATS:
        assert isinstance(render([sheet(text)], name), str)
