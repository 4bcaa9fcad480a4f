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
    for name in ("pyproject.toml", "README.md", "LICENSE", "mtvae_sweeps.py"):
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
    assert (wheel / "mtvae_sweeps.py").read_text() == (ROOT / "mtvae_sweeps.py").read_text()
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


@pytest.fixture
def other_sweeps(tmp_path):
    """Return a folder in which another distribution has a package `sweeps`, as W&B's has."""
    about = tmp_path / "other" / "sweeps-0.3.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: sweeps\nVersion: 0.3.0\n")
    (about / "top_level.txt").write_text("sweeps\n")
    return about.parent


def run_installed(wheel, tmp_path, *arguments):
    path = ":".join(map(str, (wheel, *tmp_path.glob("other"))))
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_the_console_script_is_the_module(wheel, tmp_path):
    """It works without a name clash, and its hint names the script."""
    (entry_points,) = wheel.glob("*.dist-info/entry_points.txt")
    assert "mtvae-sweeps = mtvae_sweeps:main" in entry_points.read_text()
    done = run_installed(wheel, tmp_path, "mtvae_sweeps", "run", "quick", "--status")
    assert done.returncode == 0
    assert done.stderr.endswith("resumes the sweep: mtvae-sweeps run quick\n")
    assert len(done.stderr.splitlines()) == 1


def test_another_package_of_the_name_is_told(wheel, tmp_path, other_sweeps):
    line = (
        "mtvae-sweeps and sweeps have a package of one name, sweeps, and overwrite each other: "
        "python -m pip uninstall sweeps, then install mtvae-sweeps again\n"
    )
    for command in ("run", "report"):
        done = run_installed(wheel, tmp_path, "mtvae_sweeps", command)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", line)
    done = run_installed(wheel, tmp_path, "sweeps.run", "--version")
    assert (done.returncode, done.stdout) == (0, f"mtvae-sweeps {mtvae.__version__}\n")
    assert done.stderr == f"warning: {line}"


def test_a_damaged_package_is_one_line(wheel, tmp_path):
    """Another distribution's file stands where ours was. (A missing one would be found in an editable installation.)"""
    shutil.copytree(wheel, tmp_path / "damaged")
    (tmp_path / "damaged" / "sweeps" / "text.py").write_text("")
    done = run_installed(tmp_path / "damaged", tmp_path, "mtvae_sweeps", "run", "quick")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("the package sweeps is damaged (") and len(done.stderr.splitlines()) == 1


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
