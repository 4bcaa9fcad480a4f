"""The cells of the notebook `results/example.ipynb` still print what it shows.

`python tests/end_to_end/test_example.py` runs the cells and writes what they print into the notebook.
"""

import ast
import contextlib
import io
import json
from pathlib import Path

import pandas as pd
import pytest

import sweeps

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "results" / "example.ipynb"


def execute(cells):
    """Return what each code cell prints, with the value of its last expression, as a notebook would show it."""
    names, shown = {}, []
    with pd.option_context("display.width", 130, "display.max_columns", 20, "display.max_rows", 60):
        for cell in cells:
            tree = ast.parse("".join(cell["source"]))
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(tree, "<cell>", "exec"), names)
                if last is not None:
                    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
                    if value is not None:
                        print(value)
            shown.append(printed.getvalue())
    return shown


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def output(cell):
    return "".join("".join(part["text"]) for part in cell["outputs"])


@pytest.mark.parametrize("where", ["the checkout", "its own folder", "elsewhere", "its own folder, with a wheel"])
def test_it_prints_what_it_shows_anywhere(where, tmp_path, monkeypatch):
    """The cells find the results beside the package, or from the current folder where a wheel is installed."""
    monkeypatch.chdir({"the checkout": ROOT, "elsewhere": tmp_path}.get(where, NOTEBOOK.parent))
    if "wheel" in where:
        monkeypatch.setattr(sweeps, "__file__", str(tmp_path / "site-packages" / "sweeps" / "__init__.py"))
    cells = code_cells(json.loads(NOTEBOOK.read_text()))
    assert len(cells) >= 4
    assert execute(cells) == [output(cell) for cell in cells]
    assert str(ROOT) not in NOTEBOOK.read_text()


if __name__ == "__main__":
    notebook = json.loads(NOTEBOOK.read_text())
    cells = code_cells(notebook)
    for i, (cell, text) in enumerate(zip(cells, execute(cells), strict=True), 1):
        stream = {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
        cell |= {"execution_count": i, "outputs": [stream] if text else []}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
