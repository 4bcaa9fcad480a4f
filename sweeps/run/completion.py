"""What a shell completes on the command line: grids and settings."""

import os
from pathlib import Path

from sweeps.config.grid_files import short_names
from sweeps.config.settings import FIELDS


def complete_grid(incomplete: str) -> list[str]:
    """Return the shipped grids, grid files and folders whose name begins so."""
    folder, _, begin = incomplete.rpartition("/")
    here = Path(folder or ("/" if "/" in incomplete else ".")).expanduser()
    before = incomplete[: len(incomplete) - len(begin)]
    found = [] if before else [name for name in short_names() if name.startswith(begin)]
    try:
        entries = sorted(os.scandir(here), key=lambda entry: entry.name)
    except OSError:
        return found
    for entry in entries:
        if entry.name.startswith(begin) and not entry.name.startswith("."):
            if entry.is_dir():
                found.append(f"{before}{entry.name}/")
            elif entry.name.endswith((".yaml", ".yml")):
                found.append(f"{before}{entry.name}")
    return found


def complete_setting(incomplete: str) -> list[str]:
    """Return the settings whose path begins so, each with its `=`."""
    return [f"{path}=" for path in FIELDS if path.startswith(incomplete)]
