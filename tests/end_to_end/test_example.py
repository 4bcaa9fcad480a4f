"""The cells of the notebook `results/example.ipynb` still print what it shows.

`python tests/end_to_end/test_example.py` runs the cells and writes what they print into the notebook.
"""

import ast
import contextlib
import io
import json
import os
from pathlib import Path

import pandas as pd

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


def test_the_cells_print_what_the_notebook_shows(monkeypatch):
    monkeypatch.chdir(ROOT)
    cells = code_cells(json.loads(NOTEBOOK.read_text()))
    assert len(cells) >= 4
    assert execute(cells) == [output(cell) for cell in cells]


if __name__ == "__main__":
    os.chdir(ROOT)
    notebook = json.loads(NOTEBOOK.read_text())
    cells = code_cells(notebook)
    for i, (cell, text) in enumerate(zip(cells, execute(cells), strict=True), 1):
        stream = {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
        cell |= {"execution_count": i, "outputs": [stream] if text else []}
    NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
