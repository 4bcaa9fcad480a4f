"""Helpers that disturb a sweep and check that it left nothing behind. benchmarks/chaos.py uses them too."""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

SET_CHILD_SUBREAPER = 36  # prctl(2)


def wait_for_a_new_checkpoint(process, folder, deadline=120):
    """Wait until the process has saved a unit or has ended, at most `deadline` seconds; then wait a moment more."""
    began, until = time.time(), time.monotonic() + deadline
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):  # a checkpoint is removed when its unit is done
            if any(path.stat().st_mtime > began for path in folder.glob("*.pt")):
                time.sleep(0.3)
                return
        time.sleep(0.05)


def temporary_files(ledger):
    """Return the names of files that a killed writer may have left anywhere in a sweep's folder."""
    return [path.name for path in Path(ledger.storage.root).rglob("*") if path.suffix in (".tmp", ".pt")]


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Adopt processes that lose their parent, so that none escapes notice, as long as the context lasts."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def descendants() -> dict[int, str]:
    """Return the living descendants of this process: process number -> command line."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            parents[int(folder.name)] = int(parent)
            if state != "Z":
                lines[int(folder.name)] = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")

    def is_ours(pid):
        while pid in parents and pid != os.getpid():
            pid = parents[pid]
        return pid == os.getpid()

    return {pid: line for pid, line in lines.items() if pid != os.getpid() and is_ours(pid)}


def orphans(known, pattern="", deadline=30):
    """Return the descendants that are not `known` and do not end by themselves within `deadline` seconds."""
    until = time.monotonic() + deadline
    while True:
        left = {p: line for p, line in descendants().items() if p not in known and pattern in line}
        if not left or time.monotonic() > until:
            return left
        reap(known)
        time.sleep(0.1)


def reap(known):
    """Wait for adopted processes that ended, because Ray's workers take a node that is a zombie for alive.

    `known` are this process's own children, for which other code waits.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid() and int(folder.name) not in known:
                os.waitpid(int(folder.name), os.WNOHANG)
