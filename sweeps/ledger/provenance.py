"""What code, which packages and which machine made a result."""

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

OURS = "mtvae-sweeps"
CODE = [Path(mtvae.__file__).parent, Path(__file__).parents[1]]
"""The folders of the code that results depend on: a change of a page or of committed results makes nothing dirty."""
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
    """The columns `git_commit`, `git_dirty` (null outside a checkout of this code) and `versions`, which names this
    project's own version first: an installed wheel has no commit."""
    # An installed copy may lie inside somebody else's repository (a venv there): only a tracked file counts.
    ours = _git("ls-files", "--error-unmatch", Path(__file__)) is not None
    status = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE) if ours else None
    versions = {OURS: __version__} | {package: version for package in PACKAGES if (version := _version(package))}
    return {
        "git_commit": _git("rev-parse", "HEAD") if ours else None,
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
