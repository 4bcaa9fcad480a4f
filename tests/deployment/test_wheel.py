"""The wheel holds everything that is installed where there is no checkout."""

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import mtvae
import sweeps
from sweeps.ledger.provenance import provenance

ROOT = Path(__file__).parents[2]
PACKAGES = ("mtvae", "sweeps")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel of this checkout without downloads, and return a folder with what it installs."""
    source, built, installed = (tmp_path_factory.mktemp(name) for name in ("source", "built", "installed"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", built, source]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (file,) = built.glob("*.whl")
    zipfile.ZipFile(file).extractall(installed)
    return installed


def test_the_wheel_holds_every_file(wheel):
    """The wheel holds every file of both packages, and the licence."""
    files = {p.relative_to(ROOT) for n in PACKAGES for p in (ROOT / n).rglob("*") if p.is_file()}
    files = {path for path in files if path.suffix != ".pyc"}
    assert {Path("mtvae/py.typed"), Path("sweeps/py.typed"), Path("sweeps/grids/grid_quick.yaml")} <= files
    assert files == {p.relative_to(wheel) for n in PACKAGES for p in (wheel / n).rglob("*") if p.is_file()}
    (licence,) = wheel.glob("*.dist-info/licenses/LICENSE")
    assert licence.read_text() == (ROOT / "LICENSE").read_text()


def test_a_wheel_knows_its_version(wheel, tmp_path):
    """A record made by an installed wheel names the version, because it cannot name a commit."""
    code = (
        "import json, mtvae, sweeps; from importlib.metadata import version\n"
        "from sweeps.ledger.provenance import provenance\n"
        "print(json.dumps([sweeps.__file__, mtvae.__version__, version('mtvae-sweeps'), provenance()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(wheel), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    file, ours, installed, recorded = json.loads(done.stdout)
    assert file == str(wheel / "sweeps" / "__init__.py")
    assert ours == installed == sweeps.__version__
    assert json.loads(recorded["versions"])["mtvae-sweeps"] == sweeps.__version__
    assert (recorded["git_commit"], recorded["git_dirty"]) == (None, None)


def test_the_version_has_one_source():
    """Both packages, the records, pyproject.toml and the changelog agree on the version."""
    assert mtvae.__version__ == sweeps.__version__ == json.loads(provenance()["versions"])["mtvae-sweeps"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"] and "version" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mtvae.__version__"}
    assert f"\n## {mtvae.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_is_valid_and_current():
    citation = ROOT / "CITATION.cff"
    command = ["check-jsonschema", "--builtin-schema", "vendor.citation-file-format", citation]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert yaml.safe_load(citation.read_text())["version"] == mtvae.__version__
