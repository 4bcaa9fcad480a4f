"""What this machine has to train with, and whether it suffices."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweeps.config.settings import Settings
from sweeps.text import number_text, size_text

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Machine:
    """Cores that this process may use, and bytes of memory that are free; None where they cannot be told."""

    cores: int
    free: int | None

    @classmethod
    def here(cls) -> "Machine":
        """Return what this process may use. A container's limit counts where it is lower than the machine."""
        return cls(len(os.sched_getaffinity(0)), free_bytes(MEMINFO, CGROUP))


def free_bytes(meminfo: Path, cgroup: Path) -> int | None:
    """Return the bytes that new processes can take: the kernel's MemAvailable, or what a container's limit leaves."""
    found = []
    try:
        lines = meminfo.read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    except (OSError, ValueError, IndexError):  # not Linux
        pass
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            found.append(int((cgroup / limit).read_text()) - int((cgroup / used).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return max(min(found), 0) if found else None


def warnings(machine: Machine, rows: Sequence[Settings], worker: int, shared: int, workers: int) -> list[str]:
    """Return a line each if the memory or the cores of this machine do not suffice for a sweep.

    Args:
        rows: the configurations that are to be trained.
        worker: bytes of the largest worker.
        shared: bytes that all workers share, the images among them.
        workers: how many units train at a time.
    """
    lines = []
    needed = workers * worker + shared
    if machine.free is not None and needed > machine.free:
        fitting = max((machine.free - shared) // worker, 0)
        way_out = f"--workers {fitting} fits" if fitting else "not even one worker fits"
        lines.append(
            f"warning: {workers} at a time take about {size_text(needed)} of memory, and "
            f"{size_text(machine.free)} are free on this machine: {way_out}"
        )
    cpus = max((row.resources.cpus for row in rows), default=0.0)
    if workers * cpus > machine.cores:
        lines.append(
            f"warning: {workers} at a time with {number_text(cpus)} cores each want "
            f"{number_text(workers * cpus)} cores, and this machine has {machine.cores}: they slow each other down"
        )
    return lines
