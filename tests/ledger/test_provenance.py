"""What a record says of the code that made it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path):
    """Make a committed copy of the code, with a results folder that git tracks and one that it ignores."""
    for name in ("mtvae", "sweeps"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".gitignore").write_text("__pycache__\nignored/\n")
    for folder in ("results", "ignored"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "units.parquet").write_text("before")
    git = ["git", "-C", tmp_path, "-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def is_dirty(checkout):
    code = "import json; from sweeps.ledger.provenance import provenance; print(json.dumps(provenance()))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=checkout, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True)
    return json.loads(done.stdout)["git_dirty"]


def test_only_changed_code_makes_a_checkout_dirty(checkout):
    """A sweep writes into results/, which may be committed: its own units do not make the next one dirty."""
    assert is_dirty(checkout) is False
    for name in ("results/units.parquet", "ignored/units.parquet", "new.txt", ".gitignore"):
        with (checkout / name).open("a") as file:
            file.write("\nlater/\n")
    assert is_dirty(checkout) is False
    with (checkout / "mtvae" / "__init__.py").open("a") as file:
        file.write("\n")
    assert is_dirty(checkout) is True
