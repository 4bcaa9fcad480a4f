"""glibc's malloc in processes that train: it keeps the memory that tensors free for the next ones."""

import os
import platform
import sys
from itertools import pairwise

MALLOC = {
    "MALLOC_ARENA_MAX": "1",  # a trial is a thread, which glibc would give memory of its own, kept by other rules
    "MALLOC_TRIM_THRESHOLD_": str(2**30),  # bytes that may lie free before some go back to the kernel
    "MALLOC_MMAP_MAX_": "0",  # large tensors have mappings of their own by default, which are never kept
}
"""Environment variables that glibc reads when a process starts; other systems ignore them.

By default much of the freed memory goes back, and the kernel clears each page anew at every step (benchmarks/speed.md).
"""


def malloc_settings() -> dict[str, str]:
    """Return the settings of `MALLOC` that the environment does not have; a user's own values stay."""
    return {name: value for name, value in MALLOC.items() if name not in os.environ}


def restart_with_malloc_settings() -> None:
    """Replace this process by the same command with `malloc_settings` in its environment.

    A command that trains in its own process needs this, because glibc reads the settings only at the start. Nothing
    happens where they are there already, or without glibc. A program that runs `sweeps.run` in its own process is left
    alone, because all that it did before would be done again.
    """
    missing = malloc_settings()
    is_script = [os.path.basename(argument) for argument in sys.orig_argv[1:2]] == ["mtvae-sweeps"]
    is_command = is_script or ("-m", "sweeps.run") in pairwise(sys.orig_argv)
    if missing and is_command and platform.libc_ver()[0] == "glibc":
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | missing)
