"""A file that says which units a command runs at the moment, for the status that another command prints."""

import json
import time
from collections.abc import Mapping

from sweeps.ledger.storage import Storage, StorageError
from sweeps.ledger.temporary import TEMPORARY, is_stale, temporary_name
from sweeps.plan.unit import UnitId, parse_unit_name

NAME = "running"
WRITE_SECONDS = 5.0  # least time between two writes
OLD_SECONDS = 600.0  # after which a file of another host counts as left behind by a killed command


class RunningFile:
    """The file of this process. Like any temporary file it is removed later if the process is killed.

    An error of the results folder is left to those who write results: the status is a convenience.
    """

    def __init__(self, storage: Storage):
        self.storage, self.name = storage, temporary_name(NAME)
        self.written_at, self.units = -WRITE_SECONDS, frozenset[str]()

    def note(self, running: Mapping[str, float]) -> None:
        """Write the running units, by name, with the parts of them that are trained.

        It is written at once when a unit starts or ends (not in an object store, where a write takes long), and from
        time to time while they train.
        """
        changed = self.storage.local and running.keys() != self.units
        if changed or time.monotonic() - self.written_at > WRITE_SECONDS:
            self.written_at, self.units = time.monotonic(), frozenset(running)
            try:
                self.storage.write(self.name, json.dumps({"at": time.time(), "units": dict(running)}).encode())
            except StorageError:
                return

    def remove(self) -> None:
        """Remove the file: nothing runs any more."""
        try:
            self.storage.remove(self.name)
        except StorageError:
            return


def running_units(storage: Storage) -> dict[UnitId, float] | None:
    """Return the units that commands run now, with the parts of them that are trained; None if no command runs."""
    found: dict[UnitId, float] | None = None
    for name in storage.names(""):
        if not name.startswith(f"{NAME}.") or not name.endswith(TEMPORARY) or is_stale(name):
            continue
        try:
            content = json.loads(storage.try_read(name) or b"{}")
            if time.time() - content["at"] > OLD_SECONDS:
                continue
            ids = {parse_unit_name(unit): float(part) for unit, part in content["units"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):  # another program's file
            continue
        found = (found or {}) | {id_: part for id_, part in ids.items() if id_ is not None}
    return found
