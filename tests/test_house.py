"""The rules of the house: imports run one way, and commands that plan or report import neither torch nor ray."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import searching
import yaml

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "ray", "sklearn", "scipy", "torchvision", "pandas", "matplotlib", "optuna")


def imports(path):
    """Yield (package, module) of the `from` imports of a file, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            yield from [(package, module)] if module else [(package, alias.name) for alias in node.names]


def test_imports_run_downwards():
    """The contracts in pyproject.toml, under importlinter, are kept."""
    done = subprocess.run(["lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_two_test_files_share_a_name():
    """Pytest imports test files by their names alone, and stops before the first test if two are the same."""
    names = Counter(path.name for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("test_*.py"))
    assert [name for name, n in names.items() if n > 1] == []


def test_the_models_import_nothing_of_the_sweeps():
    """`mtvae` imports only itself, torch, pydantic, scikit-learn for a mixture, and the standard library."""
    allowed = {"mtvae", "torch", "pydantic", "pydantic_core", "sklearn"} | set(sys.stdlib_module_names)
    used = {package for path in (ROOT / "mtvae").rglob("*.py") for package, _ in imports(path)}
    assert used <= allowed


def heavy_modules_after(code):
    """Run code in a new process, and return which of the heavy modules it has imported."""
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
    module, *options = arguments
    results = [] if "--help" in options else ["--results", str(tmp_path)]
    code = (
        f"import runpy, contextlib\nsys.argv = {['x', *options, *results]}\n"
        f"with contextlib.suppress(SystemExit): runpy.run_module({module!r}, run_name='__main__')"
    )
    assert heavy_modules_after(code) == []


@pytest.mark.parametrize("option", ["--dry-run", "--status"])
def test_plans_of_searches_import_nothing_heavy(option, tmp_path):
    (tmp_path / "search.yaml").write_text(searching.SEARCH)
    arguments = ["x", str(tmp_path / "search.yaml"), option, "--results", str(tmp_path)]
    code = (
        f"import runpy, contextlib\nsys.argv = {arguments}\n"
        "with contextlib.suppress(SystemExit): runpy.run_module('sweeps.run', run_name='__main__')"
    )
    assert heavy_modules_after(code) == []


def test_declarations_and_costs_import_nothing_heavy():
    assert heavy_modules_after("import mtvae.config, mtvae.cost") == []


def test_a_search_imports_optuna_only_to_propose():
    assert heavy_modules_after("import sweeps.search.space, sweeps.search.study") == []


def test_constraints_name_nothing_but_versions():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(lines) > 20
    assert [line for line in lines if line.count("==") != 1 or set("/@: ") & set(line)] == []


def test_hooks_are_the_checks_of_ci():
    """pre-commit's hooks run the checks that .ci/run runs after the tests.

    They use the installed programs and download nothing.
    """
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local"
    assert {hook["language"] for hook in local["hooks"]} == {"system"}
    _, checks = (ROOT / ".ci" / "run").read_text().split("python -m pytest\n")
    entries = [shlex.split(hook["entry"]) for hook in local["hooks"]]
    assert entries == [shlex.split(line) for line in checks.splitlines()]


def test_pre_commit_accepts_its_configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path))
    done = subprocess.run(["pre-commit", "validate-config"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_lower_bounds_are_the_versions_tested():
    """The lower bounds of the dependencies are the pinned versions, or the older ones that the GPU tests ran with.

    `tests/gpu` ran with an older torch and torchvision than constraints.txt pins.
    """
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").split()
    pinned = dict(line.split("==") for line in lines)
    ran_on_gpu = {"torch": "2.11", "torchvision": "0.26"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    bounds = dict(re.match(r"([\w-]+)(?:\[\w+\])?(?:>=(.*))?$", text.lower()).groups() for text in declared)
    assert bounds.pop("pydantic-core") is None  # pydantic pins its version
    assert bounds == {name: ran_on_gpu.get(name, ".".join(pinned[name].split(".")[:2])) for name in bounds}
