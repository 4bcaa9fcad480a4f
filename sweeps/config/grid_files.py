"""Finds a grid's file by its path, or a shipped grid by its name."""

import contextlib
import os.path
from importlib import resources
from pathlib import Path

from sweeps.text import did_you_mean, misspelt

SHIPPED = Path(str(resources.files("sweeps") / "grids"))
"""The folder of the grids that come with this package."""
PREFIX, ENDING = "grid_", ".yaml"


class NoSuchGrid(ValueError):
    """There is no file and no shipped grid of this name. The message is one line."""


def short_names() -> list[str]:
    """Return the short names of the shipped grids: `quick` for grid_quick.yaml."""
    return sorted(file.name.removeprefix(PREFIX).removesuffix(ENDING) for file in SHIPPED.glob(f"*{ENDING}"))


def find_file(grid: str) -> Path:
    """Return a grid's file: an existing path, or else the grid of this name that is shipped with this package.

    A name without a folder may lack `.yaml` and `grid_`: `quick` is grid_quick.yaml, here or among the shipped grids.

    Raises:
        NoSuchGrid: none of them exists.
    """
    path = Path(grid)
    with contextlib.suppress(RuntimeError):  # "~nobody": there is no such user
        path = path.expanduser()
    bare = path.name == grid
    exists = os.path.exists(path)  # returns False for a name that no file can have; Path.exists raises
    if exists and not (bare and os.path.isdir(path)):
        return path
    stem = grid.removesuffix(ENDING)
    for name in (grid, f"{stem}{ENDING}", f"{PREFIX}{stem}{ENDING}") if bare else ():
        for candidate in (Path(name), SHIPPED / name):
            if os.path.isfile(candidate):
                return candidate
    if exists:
        return path  # a folder, which cannot be read as a grid
    raise NoSuchGrid(f"{grid}: no such file, and no shipped grid of that name{_hint(path.name)}")


def _hint(name: str) -> str:
    """Return the shipped grid of which a name is a misspelling, or else the names of all."""
    stem = name.removesuffix(ENDING)
    names = {name: f"{PREFIX}{short}{ENDING}" for short in short_names() for name in (short, PREFIX + short)}
    files = [names[name] for name in misspelt(stem, names)]
    return did_you_mean(files) or f" ({', '.join(dict.fromkeys(names.values()))})"
