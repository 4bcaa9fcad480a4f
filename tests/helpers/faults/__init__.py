"""Make calls of the operating system (open, read, rename, fsync, ...) fail on purpose, in any library of a process."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

KINDS = {"open": 1, "read": 2, "rename": 4, "fsync": 8, "list": 16, "write": 32, "unlink": 64}
SHORT = -1
"""Stands in the place of an errno: the read returns fewer bytes than it was asked for."""

ERRORS = {
    "open": (errno.EACCES, errno.EMFILE, errno.ESTALE, errno.EIO),
    "read": (errno.EIO, errno.ESTALE, SHORT),
    "rename": (errno.EACCES, errno.ESTALE, errno.ENOSPC),
    "fsync": (errno.EIO, errno.ENOSPC),
    "list": (errno.EACCES, errno.EMFILE, errno.ESTALE),
    "write": (errno.ENOSPC, errno.EIO),
    "unlink": (errno.EACCES, errno.EIO),
}


def compiled(folder):
    """Build the library in a folder, and return its path; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = Path(folder) / "faults.so"
    source = Path(__file__).with_name("preload.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def with_faults(library, *command):
    """Run a Python command with the library in front of all others."""
    environment = os.environ | {"LD_PRELOAD": str(library)}
    return subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True, timeout=600
    )


class Fault:
    """Lets the nth call of a kind on paths that contain `part` fail, as long as the context lasts.

    The process must have the library in front of all others. `calls` says afterwards how many calls were counted.
    """

    def __init__(self, part, kind, nth=0, error=errno.EIO):
        self.library = ctypes.CDLL(None)
        self.arguments = os.fsencode(part), KINDS[kind], ctypes.c_long(nth), error

    def __enter__(self):
        self.library.faults_arm(*self.arguments)
        return self

    def __exit__(self, *_):
        self.calls = self.library.faults_count()
        self.library.faults_arm(b"", 0, ctypes.c_long(0), 0)
