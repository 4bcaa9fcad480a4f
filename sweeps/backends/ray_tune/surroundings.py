"""Folders that Ray needs on this machine; if it cannot use one of them, a private folder takes its place.

Ray does not check the folder for temporary files and the home folder. If it cannot use them, it fails with a traceback,
in some cases a minute later.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sweeps.ledger.temporary import TEMPORARY, is_stale, temporary_name
from sweeps.plan.unit import PlacementError
from sweeps.text import error_line, is_utf8, one_line

MAX_SOCKET_PATH = 107
"""Bytes that the path of a socket may have on Linux."""

LONGEST_SOCKET = f"session_2026-01-01_00-00-00_000000_{os.getpid()}/sockets/plasma_store"
"""The longest path of a socket below Ray's folder."""

MIN_FREE_BYTES = 16 * 2**20
"""Bytes that must be free for Ray's logs: those of a short sweep take half a megabyte."""

PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # where a private folder may be made
PREFIX = "sweeps-ray-"  # of a private folder's name
TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"
TOKEN = secrets.token_hex(32)  # the same for all sessions of this process: Ray reads it once


@contextmanager
def ray_folder() -> Iterator[str | None]:
    """Yield the folder for Ray's files; None if Ray's own choice can be used.

    If Ray cannot use its folder or its token's file, a private folder takes their place until the block ends, and a
    line says so.

    Raises:
        PlacementError: no private folder can be made, the token's file that the user names cannot be used, or Ray
            cannot run in the current folder.
    """
    if not is_utf8(os.getcwd()):
        why = "the name of the current folder is not UTF-8, which Ray needs"
        raise PlacementError(f"{why}; run from another folder, or with --inline")
    folder_error, token_error = _error_of(_try_ray_folder), _error_of(_try_token)
    errors = [error for error in (folder_error, token_error) if error]
    if not errors:
        yield None
        return
    if token_error and os.environ.get(TOKEN_PATH):  # other processes use that token, so ours cannot replace it
        raise PlacementError(f"{token_error}; mend or unset {TOKEN_PATH}")
    folder = _private_folder()
    try:
        print(one_line(f"Ray uses {folder} until the sweep ends: {'; '.join(errors)}"), flush=True)
        if token_error:
            path = folder / "token"
            path.touch(mode=0o600)
            path.write_text(TOKEN)
            os.environ[TOKEN_PATH] = str(path)
        yield str(folder / "ray") if folder_error else None
    finally:
        if token_error:
            os.environ.pop(TOKEN_PATH, None)
        shutil.rmtree(folder, ignore_errors=True)


def _error_of(attempt: Callable[[], object]) -> str | None:
    """Return the message of the error that an attempt raises; None if it succeeds."""
    try:
        attempt()
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        return error_line(error)
    return None


def _try_ray_folder() -> None:
    """Use the folder that Ray would choose by itself. Raises OSError if Ray could not use it."""
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    place = os.environ[name] if name else "/tmp"
    try:
        _try(place)
    except OSError as error:
        raise OSError(f"{name or 'temporary files'} is {place!r}: {error.strerror or error}") from error


def _try(place: str) -> None:
    """Use a folder for temporary files as Ray would. Raises OSError if Ray could not use it."""
    folder = Path(place) / "ray"
    if not folder.is_absolute():
        raise OSError("not an absolute path")
    if not is_utf8(place):
        raise OSError("not UTF-8")
    if (size := len(str(folder / LONGEST_SOCKET).encode())) > MAX_SOCKET_PATH:
        raise OSError(f"{size - MAX_SOCKET_PATH} bytes too long for Ray's sockets")
    folder.mkdir(parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise OSError("the folder ray in it belongs to another user")
    if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        raise OSError(f"less than {MIN_FREE_BYTES >> 20} MB are free")
    with tempfile.TemporaryFile(dir=folder) as file:  # only writing shows that a quota is used up
        file.write(bytes(2**20))


def _try_token() -> None:
    """Read the token that guards Ray's ports, or try to write it, where Ray will. Raises OSError or RuntimeError."""
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
    except (OSError, ValueError) as error:  # ValueError: it is not text
        raise OSError(f"the token of Ray's ports, {path}: {getattr(error, 'strerror', None) or error}") from error


def _private_folder() -> Path:
    """Make a folder for this user alone, and remove those that killed drivers of this host left behind.

    Raises:
        PlacementError: no place can be used.
    """
    reasons = []
    named = os.environ.get("TMPDIR", "")
    for place in dict.fromkeys([*([named] if os.path.isabs(named) else []), *PLACES]):
        folder = None
        try:
            _remove_stale_folders(Path(place))
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            _try(str(folder))
            (folder / temporary_name("driver")).touch()
            return folder
        except OSError as error:
            reasons.append(f"{place}: {error.strerror or error}")
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
    raise PlacementError(f"no place for Ray's files; set TMPDIR to a short path with room ({'; '.join(reasons)})")


def _remove_stale_folders(place: Path) -> None:
    """Remove the private folders of drivers of this host that have ended."""
    with suppress(OSError):  # another driver may remove them at the same time
        for owner in place.glob(f"{PREFIX}*/*{TEMPORARY}"):
            if is_stale(owner.name) and owner.stat().st_uid == os.geteuid():
                shutil.rmtree(owner.parent, ignore_errors=True)
