"""What disturbs a sweep in the middle, and how one sees that it left nothing behind. Also for benchmarks/chaos.py."""

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

SET_CHILD_SUBREAPER = 36  # prctl(2)


def wait_for_a_new_checkpoint(process, folder, deadline=120):
    """Until the process has ended, or has saved a unit since this was called; then a moment more."""
    began, until = time.time(), time.monotonic() + deadline
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):  # a checkpoint goes when its unit is done
            if any(path.stat().st_mtime > began for path in folder.glob("*.pt")):
                time.sleep(0.3)
                return
        time.sleep(0.05)


def temporary_files(ledger):
    """What a killed writer may have left anywhere in a sweep's folder."""
    return [path.name for path in Path(ledger.storage.root).rglob("*") if path.suffix in (".tmp", ".pt")]


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """While it lasts, processes that lose their parent become children of this one, so that none escapes notice."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def descendants() -> dict[int, str]:
    """The living processes below this one, and their command lines."""
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
    """Processes below this one besides the known, once those that end by themselves have: seconds at most."""
    until = time.monotonic() + deadline
    while True:
        left = {p: line for p, line in descendants().items() if p not in known and pattern in line}
        if not left or time.monotonic() > until:
            return left
        reap(known)
        time.sleep(0.1)


def reap(known):
    """Waits for the adopted that ended: Ray's workers end when their node is gone, which a zombie is not.

    `known`: this process's own children, for which somebody else waits.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state == "Z" and int(parent) == os.getpid() and int(folder.name) not in known:
                os.waitpid(int(folder.name), os.WNOHANG)
