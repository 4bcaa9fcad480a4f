"""`--write` on the sweep that is committed: files, page, and LaTeX that compiles."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sweeps.analysis.results import read_table
from sweeps.ledger.ledger import open_ledger
from sweeps.report.contents import KINDS, ReportRequest
from sweeps.report.page import page
from sweeps.report.writing import origins, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a report of results/digits, which holds no kept model."""
    results = tmp_path_factory.mktemp("results")
    (results / "digits").mkdir()
    for name in ("units.parquet", "grid.yaml"):
        shutil.copy(ROOT / "results" / "digits" / name, results / "digits" / name)
    said = write(open_ledger(results, "digits"), "digits", ReportRequest())
    return results / "digits" / "report", said


def test_every_sheet_in_every_format_and_every_figure_twice(written):
    folder, said = written
    names = {path.name for path in folder.glob("*.*")}
    assert names == {f"{k}.{e}" for k in KINDS for e in ("txt", "md", "tex", "csv", "json")} | {"index.html"}
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert figures == {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert {"curves-gaussian_vae-1-multi_decoder", "losses-vqvae-1", "exponents-vqvae-1"} <= figures
    assert said[1:] == ["no pictures: no model was kept"]
    assert len(json.loads((folder / "table.json").read_text())[0]["rows"]) == 18


class Loaded(HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_holds_everything_and_loads_nothing(written):
    folder, _ = written
    text = (folder / "index.html").read_text()
    reader = Loaded()
    reader.feed(text)
    assert "script" not in reader.tags
    assert {source.partition(",")[0].partition("#")[0] for source in reader.sources} == {"", "data:image/png;base64"}
    assert text.count("<img ") == len(list((folder / "figures").glob("*.png")))
    assert "default-src 'none'" in text
    assert "no pictures: no model was kept" in text
    assert "90 units" in text


def test_hostile_text_stays_text_on_the_page():
    hostile = "<script>alert(1)</script>"
    reader = Loaded()
    reader.feed(page(hostile, [], {'"><script>': b""}, [hostile], [hostile]))
    assert "script" not in reader.tags


def test_the_latex_of_every_sheet_compiles(written, tmp_path):
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine")
    folder, _ = written
    inputs = "\n".join(f"\\input{{{folder}/{kind}.tex}}\\clearpage" for kind in KINDS)
    (tmp_path / "all.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{booktabs,adjustbox}}\\begin{{document}}{inputs}\\end{{document}}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    assert "Overfull" not in said
    assert "too large" not in said


def test_where_the_numbers_come_from():
    table = read_table(
        open_ledger(ROOT / "results", "digits"),
        extra_columns=("git_commit", "git_dirty", "versions", "device", "seconds", "finished_at"),
    )
    lines = origins(table)
    assert lines[0] == "90 units"
    assert re.fullmatch(r"code: [0-9a-f]{10} \(\*: with uncommitted changes\)", lines[1])
    assert lines[2] == "device: cpu"
    assert "torch 2." in lines[3]
    assert re.match(r"1\.\d\d hours of training, 2026-11-20 to 2026-11-20", lines[4])
