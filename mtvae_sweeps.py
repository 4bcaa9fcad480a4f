"""Starts the commands `mtvae-sweeps run` and `mtvae-sweeps report` from outside the package `sweeps`.

Another distribution of the package index, `sweeps` by Weights & Biases, has a package of the same name. Two installed
distributions with one package overwrite each other's files. This module finds that out before it imports `sweeps`.
"""

import os
import sys
from importlib import metadata

OURS, PACKAGE = "mtvae-sweeps", "sweeps"


def owners() -> list[str]:
    """Return the names of the installed distributions that have a package `sweeps`."""
    found = [
        dist.name.lower().replace("_", "-")
        for dist in metadata.distributions()
        if PACKAGE in (dist.read_text("top_level.txt") or "").split()
    ]
    return sorted(set(found))


def name_clash(installed: list[str]) -> str:
    """Return one line that says what to uninstall, or an empty text if no other owner can overwrite our files."""
    others = [name for name in installed if name != OURS]
    if OURS not in installed or not others:
        return ""
    return (
        f"{OURS} and {', '.join(others)} have a package of one name, {PACKAGE}, and overwrite each other: "
        f"python -m pip uninstall {' '.join(others)}, then install {OURS} again"
    )


def main() -> None:
    """Run the console script, or end with exit code 2 if another distribution has changed `sweeps`."""
    if clash := name_clash(owners()):
        print(clash, file=sys.stderr)
        sys.exit(2)
    if not sys.flags.safe_path:  # as `python -m` does, so that a grid finds the plug-ins of the current folder
        sys.path.insert(0, os.curdir)
    try:
        from sweeps.run.console import start
    except ImportError as error:  # pip removed the files that the other distribution had overwritten
        if (error.name or "").partition(".")[0] != PACKAGE:
            raise
        print(f"the package {PACKAGE} is damaged ({error}): install {OURS} again", file=sys.stderr)
        sys.exit(2)
    start()


if __name__ == "__main__":
    main()
