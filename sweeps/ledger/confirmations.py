"""Configurations of a search that are trained again on new splits and with new seeds, as a file.

DIR/<sweep>/confirm.json    which configurations, and with which seed; their units are in the ledger like all others

The choice of a search used the sweep's folds. A confirmation has the same settings with another `seed`, so its folds
had no part in the choice.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import json_object
from sweeps.text import error_line

CONFIRM_FILE = "confirm.json"


@dataclass(frozen=True)
class Confirmation:
    """A configuration that is trained again.

    Attributes:
        of: the key of the training that it repeats.
        key: the key of its own training.
        seed: its `seed`. All other settings are those of the configuration that it repeats.
    """

    of: str
    key: str
    seed: int


def write_confirmations(storage: Storage, confirmations: Sequence[Confirmation]) -> None:
    """Write the file unless it holds exactly these."""
    held = {"confirmations": [asdict(confirmation) for confirmation in confirmations]}
    data = (json.dumps(held, indent=1, allow_nan=False) + "\n").encode()
    storage.write_if_changed(CONFIRM_FILE, data)


def read_confirmations(storage: Storage) -> tuple[list[Confirmation], str]:
    """Return the confirmations and "", or none and how the file is damaged.

    Raises:
        StorageError: the machine cannot read the file now.
    """
    data = storage.try_read(CONFIRM_FILE)
    if data is None:
        return [], ""
    try:
        return [
            Confirmation(str(v["of"]), str(v["key"]), int(v["seed"])) for v in json_object(data)["confirmations"]
        ], ""
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [], f"it holds no confirmations: {type(error).__name__}: {error_line(error)}"[:200]
