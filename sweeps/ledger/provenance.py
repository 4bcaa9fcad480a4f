"""Provenance: which code, package versions and machine made a result."""

import json
import platform
import re
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import mtvae
from sweeps import __version__

PROJECT = "mtvae-sweeps"
CODE = [Path(mtvae.__file__).parent, Path(__file__).parents[1]]
"""The folders of the code that results depend on: a changed page or committed result makes no checkout dirty."""
PACKAGES = ("torch", "numpy", "scikit-learn", "torchvision", "pyarrow", "ray")


def _git(*arguments: str | Path) -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", here, *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def provenance() -> dict[str, Any]:
    """Return the columns `git_commit`, `git_dirty` and `versions`.

    The first two are null outside a checkout of this code. `versions` begins with this project's own version, because
    an installed wheel has no commit.
    """
    # An installed copy may lie in a venv inside somebody else's repository, so only a file that git tracks counts.
    tracked = _git("ls-files", "--error-unmatch", Path(__file__)) is not None
    status = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE) if tracked else None
    versions = {PROJECT: __version__} | {package: version for package in PACKAGES if (version := _version(package))}
    return {
        "git_commit": _git("rev-parse", "HEAD") if tracked else None,
        "git_dirty": None if status is None else bool(status),
        "versions": json.dumps(versions),
    }


@cache
def machine() -> dict[str, str]:
    """Return the columns `processor` and `host` of the machine that this process runs on."""
    try:
        model = re.search(r"^model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        model = None
    return {"processor": model[1] if model else platform.processor() or platform.machine(), "host": platform.node()}
