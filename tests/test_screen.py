"""Text that fits a terminal: no line is longer than the screen, and nothing of it gets lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.report.tables.on_screen import on_screen
from sweeps.report.tables.sheet import Cell, Sheet
from sweeps.screen import columns, folded

VALUES = [
    ["vqvae", "none", "training.lr 0.003", "1/5", "0.259138 ± 1.7e-03", "0.0764 ± ?", "per pixel"],
    ["vqvae", "none", "training.lr 0.001", "5/5", "0.345710 ± 1.1e-02", "0.0354 ± 1.5e-07", "per pixel"],
    ["gaussian_vae", "multi_decoder", "exact, training.lr 0.001", "5/5", "22.5695 ± 1.0e+00", "-", "per image"],
]
HEAD = ["family", "method", "settings", "folds", "unconditioned", "latent loss", "error"]
SHEET = Sheet(
    "table",
    "many",
    HEAD,
    [[Cell(text, text == "5/5") for text in row] for row in VALUES],
    [False] * 7,
    ["data: limit 300, sample first"],
    frozenset({2}),
    2,
    ["mean ± population variance over the folds"],
)


@pytest.mark.parametrize("width", [30, 40, 60, 80, 160])
def test_a_table_fits_and_keeps_its_words(width):
    """Every number keeps its sign of spread on its line, and every word of every cell is there."""
    text = on_screen([SHEET], width)
    assert max(map(len, text.split("\n"))) <= width
    words = {word for row in VALUES for cell in row for word in cell.split()} | set(" ".join(HEAD[2:]).split())
    shown = text.split()
    if width >= 60:
        assert words <= set(shown) | {"settings"}
    assert not any(line.rstrip().endswith("±") for line in text.split("\n"))
    assert shown.count("*") == 2


def test_a_table_that_fits_is_as_in_a_file():
    from sweeps.report.tables.formats import as_text

    assert on_screen([SHEET], 200) == as_text(SHEET)


def test_narrow_tables_name_their_model_once():
    lines = on_screen([SHEET], 80).split("\n")
    assert lines.count("vqvae  none") == 1 and lines.count("gaussian_vae  multi_decoder") == 1


@given(st.lists(st.text("abc ±/,.", max_size=90), max_size=4), st.integers(20, 100))
def test_folded_lines_fit_and_lose_nothing(lines, width):
    found = folded(lines, width)
    assert all(len(line) <= width for line in found)
    assert "".join("".join(found).split()) == "".join("".join(lines).split())
    assert folded(lines, None) == lines


def test_columns_fold_the_last_one():
    rows = [["key", "5/5", "a label of some words  unconditioned 0.1"], ["another", "4/5 (1 failed)", "b"]]
    assert columns(rows, None).split("\n")[1] == "another  4/5 (1 failed)  b"
    assert columns(rows, 40).split("\n") == [
        "key      5/5             a label of some",
        "                         words",
        "                         unconditioned",
        "                         0.1",
        "another  4/5 (1 failed)  b",
    ]
    assert columns([], 40) == ""
