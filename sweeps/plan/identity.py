"""What identifies a configuration: a hash of every setting that can change its numbers, so that the same work is
recognised in any grid, and a change of settings is never mistaken for it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sweeps.config.settings import LEAVES, Settings, Value, flatten
from sweeps.data.datasets import declared

KEY_VERSION = 1

UNCOUNTED = frozenset(
    {
        "data.root",
        "data.max_skipped",  # whether the readable images will do, not which they are
        "training.checkpoint_seconds",
        "training.cuda_graph",
        "resources.cpus",
        "resources.gpus",
        "resources.memory",
        "keep_models",
    }
)
"""Settings that do not change a unit's numbers: where things are and who computes them."""

NAMING = sorted(LEAVES, key=UNCOUNTED.__contains__)
"""The settings in the order in which labels try them: the others only where those that count tell no rows apart."""

NEUTRAL: dict[str, Value] = {"training.deterministic": False}
"""Settings added since KEY_VERSION 1, with the value at which a unit's numbers are what they were before the setting
existed. At that value a setting stays out of the hash, so that a newer version never orphans done work."""


def counted(flat: Mapping[str, Value]) -> dict[str, Value]:
    """The resolved settings that make up a unit's identity: applicable, counted, and not at a neutral value."""
    return {
        path: value
        for path, value in flat.items()
        if value is not None and path not in UNCOUNTED and not (path in NEUTRAL and NEUTRAL[path] == value)
    }


def key_of(settings: Settings, flat: Mapping[str, Value] | None = None) -> str:
    """12 hex digits: the hash of the counted settings, the data set's declared fingerprint and KEY_VERSION.

    Args:
        flat: the flattened settings, where they are at hand.
    """
    described = declared(settings.data)
    identity = counted(flatten(settings) if flat is None else flat) | {
        "": KEY_VERSION,
        "data.fingerprint": described.fingerprint if described else None,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def as_plain(settings: Settings) -> dict[str, Any]:
    """Settings as JSON-able values by dotted path, without what does not apply."""
    flat = flatten(settings)
    return {p: list(v) if isinstance(v, tuple) else v for p, v in flat.items() if v is not None}
