"""What a Ray of our own needs of this machine; a private folder serves where some of it cannot be used.

Ray takes the folder for temporary files and the home folder as they are. Where it cannot use them, it fails in a
traceback, some of them a minute later.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps.ledger.storage import TEMPORARY, is_stale, temporary_name
from sweeps.plan.unit import PlacementError
from sweeps.text import error_line, is_utf8, one_line

LONGEST = 107
"""Bytes that the path of a socket may have."""

SOCKET = f"session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
"""The longest path that a socket has in Ray's folder."""

ROOM = 16 * 2**20
"""Bytes that must be free for Ray's logs: those of a short sweep have half a megabyte."""

PLACES = ("/tmp", "/var/tmp", "/dev/shm")
PREFIX = "sweeps-ray-"
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
TOKEN = secrets.token_hex(32)  # one for all sessions of this process: Ray reads it once


@contextmanager
def served() -> Iterator[str | None]:
    """Give the folder for Ray's files, None where its own will do. What Ray cannot use here is served from a private
    folder until the end of the block, and a line says so.

    Raises:
        PlacementError: there is no place for a private folder, the token's file that the user names is of no use, or
            Ray cannot run in the current folder.
    """
    if not is_utf8(os.getcwd()):
        why = "the name of the current folder is not UTF-8, which Ray needs"
        raise PlacementError(f"{why}; run from another folder, or with --inline")
    files, token = _trouble(_try_ray_folder), _trouble(_try_token)
    troubles = [trouble for trouble in (files, token) if trouble]
    if not troubles:
        yield None
        return
    if token and os.environ.get(TOKEN_PATH):  # other processes have the same; no token of ours will do
        raise PlacementError(f"{token}; mend or unset {TOKEN_PATH}")
    folder = _private_folder()
    try:
        print(one_line(f"{folder} serves Ray until the sweep ends: {'; '.join(troubles)}"), flush=True)
        if token:
            path = folder / "token"
            path.touch(mode=0o600)
            path.write_text(TOKEN)
            os.environ[TOKEN_PATH] = str(path)
        yield str(folder / "ray") if files else None
    finally:
        if token:
            os.environ.pop(TOKEN_PATH, None)
        shutil.rmtree(folder, ignore_errors=True)


def _trouble(attempt: Callable[[], object]) -> str | None:
    """Return what an attempt says that fails."""
    try:
        attempt()
    except (OSError, RuntimeError) as error:  # a RuntimeError: there is no home folder
        return error_line(error)
    return None


def _try_ray_folder() -> None:
    """Use the folder that Ray would take by itself. Raises OSError where it could not."""
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    place = os.environ[name] if name else "/tmp"
    try:
        _try(place)
    except OSError as error:
        raise OSError(f"{name or 'temporary files'} is {place!r}: {error.strerror or error}") from error


def _try(place: str) -> None:
    """Use a folder for temporary files as Ray would. Raises OSError where it could not."""
    folder = Path(place) / "ray"
    if not folder.is_absolute():
        raise OSError("not a whole path")
    if not is_utf8(place):
        raise OSError("not UTF-8")
    if (size := len(str(folder / SOCKET).encode())) > LONGEST:
        raise OSError(f"{size - LONGEST} bytes too long for Ray's sockets")
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise OSError("the folder ray in it is another user's")
    if shutil.disk_usage(folder).free < ROOM:
        raise OSError(f"less than {ROOM >> 20} MB are free")
    with tempfile.TemporaryFile(dir=folder) as file:  # a quota is not told in advance
        file.write(bytes(2**20))


def _try_token() -> None:
    """Read or make the token that guards Ray's ports, where Ray will. Raises OSError or RuntimeError."""
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    named = os.environ.get(TOKEN_PATH) or None
    path = Path.home() / ".ray" / "auth_token" if named is None else Path(named).expanduser()
    try:
        if named is None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path.parent).close()
        elif not path.read_text().strip():
            raise OSError("it is empty")
    except (OSError, ValueError) as error:  # a ValueError: it is no text
        raise OSError(f"the token of Ray's ports, {path}: {getattr(error, 'strerror', None) or error}") from error


def _private_folder() -> Path:
    """Make a folder that is this user's alone, and remove those that killed drivers of this host left behind.

    Raises:
        PlacementError: there is no place for it.
    """
    reasons = []
    named = os.environ.get("TMPDIR", "")
    for place in dict.fromkeys([*([named] if os.path.isabs(named) else []), *PLACES]):
        folder = None
        try:
            _sweep(Path(place))
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            _try(str(folder))
            (folder / temporary_name("driver")).touch()
            return folder
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
    raise PlacementError(f"no place for Ray's files; set TMPDIR to a short path with room ({'; '.join(reasons)})")


def _sweep(place: Path) -> None:
    """Remove the private folders of drivers of this host that are gone."""
    with suppress(OSError):  # another driver does the same
        for owner in place.glob(f"{PREFIX}*/*{TEMPORARY}"):
            if is_stale(owner.name) and owner.stat().st_uid == os.geteuid():
                shutil.rmtree(owner.parent, ignore_errors=True)
