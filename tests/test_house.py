"""The house's rules: imports run one way, and what plans or reports imports neither torch nor ray."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "sklearn", "scipy", "torchvision", "pandas", "matplotlib")


def imports(path):
    """Modules of this project that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            yield from [(package, module)] if module else [(package, alias.name) for alias in node.names]


def test_imports_run_downwards():
    """The contract stands in pyproject.toml, under importlinter."""
    done = subprocess.run(["lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_model_core_knows_nothing_of_the_sweeps():
    known = {"mtvae", "torch", "pydantic", "pydantic_core"} | set(sys.stdlib_module_names)
    used = {package for path in (ROOT / "mtvae").rglob("*.py") for package, _ in imports(path)}
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


def test_hooks_are_the_checks_of_ci():
    """pre-commit's hooks run what .ci/run runs after the tests, by the programs that are installed, and download
    nothing."""
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    _, checks = (ROOT / ".ci" / "run").read_text().split("python -m pytest\n")
    entries = [shlex.split(hook["entry"]) for hook in local["hooks"]]
    assert entries == [shlex.split(line) for line in checks.splitlines()]


def test_pre_commit_takes_the_hooks(tmp_path, monkeypatch):
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path))
    done = subprocess.run(["pre-commit", "validate-config"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lower_bounds_are_the_versions_tested():
    """`tests/gpu` ran with another torch, and its torchvision, than constraints.txt pins."""
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").split()
    pinned = dict(line.split("==") for line in lines)
    of_the_gpu = {"torch": "2.11", "torchvision": "0.26"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = dict(re.match(r"([\w-]+)(?:\[\w+\])?(?:>=(.*))?$", text.lower()).groups() for text in declared)
    assert bounds.pop("pydantic-core") is None  # pydantic pins its version
    assert bounds == {name: of_the_gpu.get(name, ".".join(pinned[name].split(".")[:2])) for name in bounds}
