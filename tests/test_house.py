"""The house's rules: imports run one way, and what plans or reports imports neither torch nor ray."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "sklearn", "scipy", "torchvision", "pandas", "matplotlib")
ORDER = [  # a module may import those before it, never those after it
    ["yamlfile", "seeds", "provenance", "statistics", "imagefile", "wording", "sheet", "remote"],
    ["readers"],
    ["imagefolder"],
    ["data", "folds", "formats"],
    ["settings"],
    ["grid"],
    ["plan", "storage"],
    ["schema", "redo", "choosing"],
    ["unitfile"],
    ["ledger", "checkpoint", "stopping", "models"],
    ["compaction", "table", "progress", "job", "tensorboard", "deaths"],
    ["nodes", "trial"],
    ["footprint"],
    ["shares"],
    ["trials"],
    ["sharding"],
    ["describe", "comparison", "cells", "claims"],
    ["views", "published"],
    ["verdicts"],
    ["drawing", "export", "sheets", "page"],
    ["figures"],
    ["pictures"],
    ["writing"],
    ["report", "inline", "cluster"],
    ["run", "frames"],
]


def imports(path):
    """Modules of this project that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            yield from [(package, module)] if module else [(package, alias.name) for alias in node.names]


def test_arrows_go_one_way():
    rank = {name: i for i, names in enumerate(ORDER) for name in names}
    modules = {path.stem for path in (ROOT / "sweeps").glob("*.py")} - {"__init__"}
    assert modules == rank.keys()
    wrong = [
        f"{name} imports {module}"
        for name in modules
        for package, module in imports(ROOT / "sweeps" / f"{name}.py")
        if package == "sweeps" and rank[module] >= rank[name]
    ]
    assert wrong == []


def test_the_model_core_knows_nothing_of_the_sweeps():
    known = {"mtvae", "torch", "pydantic"} | set(sys.stdlib_module_names)
    used = {package for path in (ROOT / "mtvae").glob("*.py") for package, _ in imports(path)}
    assert used <= known


def imported(code):
    listing = f"import sys\n{code}\nprint(*sorted(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[-2].split()


@pytest.mark.parametrize(
    "arguments",
    [
        ["sweeps.run", "--help"],
        ["sweeps.run", "grid_quick.yaml", "--dry-run"],
        ["sweeps.run", "grid_quick.yaml", "--status"],
        ["sweeps.report", "--help"],
        ["sweeps.report"],
    ],
    ids=" ".join,
)
def test_plans_and_reports_import_nothing_heavy(arguments, tmp_path):
    module, *rest = arguments
    where = [] if "--help" in rest else ["--results", str(tmp_path)]
    code = (
        f"import runpy, contextlib\nsys.argv = {['x', *rest, *where]}\n"
        f"with contextlib.suppress(SystemExit): runpy.run_module({module!r}, run_name='__main__')"
    )
    assert imported(code) == []


def test_the_torch_free_core_is_torch_free():
    assert imported("import mtvae.config, mtvae.cost") == []


def test_constraints_name_nothing_but_versions():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 20
    assert [line for line in lines if line.count("==") != 1 or set("/@: ") & set(line)] == []
