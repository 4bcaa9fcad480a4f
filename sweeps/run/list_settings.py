"""The command's `--settings`: it prints the settings that a pattern names."""

import shutil
import sys

from mtvae.config import FAMILIES, is_plug_in
from sweeps.config import reference
from sweeps.config.suggestions import suggest_setting
from sweeps.text import one_line

MOST_COLUMNS = 100
"""The longest line on a wide terminal, because longer lines are hard to read."""


def list_settings(pattern: str | None) -> int:
    """Print all settings, or those that a pattern names, and return the exit code: 2 if it names none.

    A plug-in's `package.module:Class` in place of the pattern names the settings of its sizes.
    """
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    if pattern is not None and is_plug_in(pattern):
        try:
            print(reference.plug_in_listing(FAMILIES[pattern], min(columns, MOST_COLUMNS)))
        except KeyError as error:
            print(one_line(f"--settings {error.args[0]}"), file=sys.stderr)
            return 2
        return 0
    paths = reference.find(pattern or "*")
    if not paths:
        print(one_line(f"--settings {pattern}: no such setting{suggest_setting(pattern or '')}"), file=sys.stderr)
        return 2
    print(reference.listing(paths, min(columns, MOST_COLUMNS)))
    return 0
