"""Names of temporary files, which tell the process that made them."""

import os
import secrets
import socket
from pathlib import Path

TEMPORARY = ".tmp"


def temporary_name(name: str) -> str:
    """Return a name that only this process uses. It tells `Storage.sweep_temporary` whether the process still runs."""
    return f"{name}.{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY}"


def is_stale(name: str) -> bool:
    """Return whether a `temporary_name` belongs to a process of this host that has ended."""
    pid = process_here(name)
    return pid is not None and has_ended(pid)


def process_here(name: str) -> int | None:
    """Return the id of the process that made a `temporary_name`; None if it ran on another host."""
    stem, _, pid = name.removesuffix(TEMPORARY).rpartition("-")[0].rpartition("-")
    return int(pid) if stem.endswith(f".{socket.gethostname()}") and pid.isdigit() else None


def has_ended(pid: int) -> bool:
    """Return whether there is no process of this host with this id, or only a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it runs, as another user
        return False
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Return whether a process has ended and its parent has not asked how; in a container nobody may ever ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):  # not Linux, or it is gone by now
        return False
