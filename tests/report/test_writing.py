"""`--write` on a committed sweep: its files, its page, and LaTeX that compiles."""

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
from sweeps.report.writing import ORIGINS, origins, write

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the report of results/digits, which holds no kept model, and return its folder and the printed lines."""
    results = tmp_path_factory.mktemp("results")
    (results / "digits").mkdir()
    for name in ("units.parquet", "grid.yaml"):
        shutil.copy(ROOT / "results" / "digits" / name, results / "digits" / name)
    printed = write(open_ledger(results, "digits"), "digits", ReportRequest())
    return results / "digits" / "report", printed


def test_all_sheets_formats_and_figures_are_written(written):
    folder, printed = written
    names = {path.name for path in folder.glob("*.*")}
    later = {"priors", "samples", "given_pixels"}
    kinds = set(KINDS) - later - {"published", "search"}  # digits are not MNIST, and this sweep has no other
    assert names == {f"{k}.{e}" for k in kinds for e in ("txt", "md", "tex", "csv", "json")} | {"index.html"}
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert figures == {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert {"curves-gaussian_vae-1-multi_decoder", "losses-vqvae-1", "exponents-vqvae-1"} <= figures
    assert printed[1:] == ["no pictures: no model was kept"]
    assert len(json.loads((folder / "table.json").read_text())[0]["rows"]) == 18


def test_stages_of_writing_are_printed_on_stderr(ledger, tiny, plan, capsys):
    """A program that reads stdout sees only the lines on what was written."""
    ledger.write_grid(tiny)
    ledger.write(plan.units[0], {"unconditioned_per_pixel": 0.1, "latent_loss": 1.0, "collapsed": False})
    write(ledger, "tiny", ReportRequest(format="json"))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "tiny: reading the units",
        "tiny: drawing figures",
        "tiny: saving 1 figure as PNG and PDF",
        "tiny: making 4 tables",
        "tiny: writing 23 files",
    ]


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
    """Every sheet that `--write` made here, and every committed one, is a page without an error or an overfull box."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex on this machine")
    folder, _ = written
    files = [*sorted(folder.glob("*.tex")), *sorted((ROOT / "results").glob("*/report/*.tex"))]
    assert {file.stem for file in files} == set(KINDS) - {"search"}  # no committed report is of a search
    inputs = "\n".join(f"\\input{{{file}}}\\clearpage" for file in files)
    (tmp_path / "all.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{booktabs,adjustbox}}\\begin{{document}}{inputs}\\end{{document}}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"], cwd=tmp_path, capture_output=True
    )
    log = done.stdout.decode(errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log
    assert "too large" not in log


def test_where_the_numbers_come_from():
    table = read_table(open_ledger(ROOT / "results", "digits"), extra_columns=ORIGINS)
    lines = origins(table)
    assert lines[0] == "90 units"
    assert re.fullmatch(r"code: [0-9a-f]{10}", lines[1])
    assert lines[2] == "device: cpu"
    assert "torch 2." in lines[3]
    assert re.match(r"1\.\d\d hours of training, 2026-11-20 to 2026-11-20", lines[4])


def test_the_origin_repeats_what_the_units_say(tiny, ledger, plan):
    """Uncommitted changes, processors and hosts are named where units record them, and not otherwise."""
    recorded = [
        {"git_commit": "a" * 40, "git_dirty": False},
        {"git_commit": "a" * 40, "git_dirty": True, "processor": "A <b>\x1b[2J", "host": "node1"},
        {"git_commit": None, "git_dirty": None, "processor": "B", "host": "node1"},
    ]
    ledger.write_grid(tiny)
    for n, (unit, record) in enumerate(zip(plan.units, recorded, strict=False), 1):
        ledger.write(unit, record | {"device": "cpu", "collapsed": False})
        lines = origins(read_table(ledger, extra_columns=ORIGINS))
        if n == 1:
            assert lines[1:3] == ["code: aaaaaaaaaa", "device: cpu"]
            assert not any(line.startswith(("processor", "host")) for line in lines)
    assert lines[1] == "code: aaaaaaaaaa (1), aaaaaaaaaa* (1), no checkout (1) (*: with uncommitted changes)"
    assert lines[3:5] == [r"processor: not recorded (1), A <b>\x1b[2J (1), B (1)", "host: not recorded (1), node1 (2)"]
