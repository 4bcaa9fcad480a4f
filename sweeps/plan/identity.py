"""What identifies a configuration: a hash of every setting that can change its numbers, so that the same work is
recognised in any grid, and a change of settings is never mistaken for it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mtvae.config.setting import NO_VALUE
from sweeps.config.settings import SETTING_INFO, Settings, Value, flatten
from sweeps.config.stages import TRAINING, Stage, stages_of
from sweeps.data.datasets import declared
from sweeps.plan.unit import Unit

KEY_VERSION = 1


NAMING = sorted(SETTING_INFO, key=lambda path: not SETTING_INFO[path].in_key)
"""The settings in the order in which labels try them: the others only where those that count tell no rows apart."""


_COUNTS = frozenset(path for path, about in SETTING_INFO.items() if about.in_key)
_NEUTRAL = frozenset(path for path, about in SETTING_INFO.items() if about.neutral is not NO_VALUE)


def key_settings(flat: Mapping[str, Value]) -> dict[str, Value]:
    """The resolved settings that make up a unit's identity: applicable, counted, and not at a neutral value."""
    return {
        path: value
        for path, value in flat.items()
        if value is not None and path in _COUNTS and not (path in _NEUTRAL and SETTING_INFO[path].is_neutral(value))
    }


def key_of(settings: Settings, flat: Mapping[str, Value] | None = None) -> str:
    """12 hex digits: the hash of the key settings, the data set's declared fingerprint and KEY_VERSION.

    Args:
        flat: the flattened settings, where they are at hand.
    """
    described = declared(settings.data)
    identity = key_settings(flatten(settings) if flat is None else flat) | {
        "": KEY_VERSION,
        "data.fingerprint": described.fingerprint if described else None,
    }
    return _hash(identity)


def _hash(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def twin(settings: Settings) -> Settings | None:
    """Return the configuration that says the same images in the other way: a limit that is all of them, and no limit.
    None where there is none."""
    if (limit := _other_limit(settings)) is None:
        return None
    return settings.model_copy(update={"data": settings.data.model_copy(update={"limit": limit[0]})})


def twin_key(settings: Settings) -> str | None:
    """Return the key of `twin`, at less cost: its images, and so their fingerprint, are the same."""
    limit = _other_limit(settings)
    return None if limit is None else key_of(settings, flatten(settings) | {"data.limit": limit[0]})


def _other_limit(settings: Settings) -> tuple[int | None] | None:
    """The limit of `twin`, alone in a tuple."""
    limit, described = settings.data.limit, declared(settings.data)
    if described is None or limit not in (None, described.images):
        return None
    return (described.images if limit is None else None,)


def stage_key(settings: Settings, stage: Stage, parents: Sequence[str]) -> str:
    """12 hex digits for a stage after the training: the hash of the settings that it reads, of its parents' keys, which
    stand for everything that they depend on, and of KEY_VERSION."""
    read = {path: v for path, v in key_settings(flatten(settings)).items() if path.partition(".")[0] in stage.reads}
    return _hash(read | {"": KEY_VERSION, "stage": stage.name, "parents": list(parents)})


def units_of(settings: Settings, flat: Mapping[str, Value] | None = None, label: str = "") -> list[Unit]:
    """All units of a configuration: stage by stage, and in each fold by fold. `flat`: as `key_of`."""
    key, folds = key_of(settings, flat), range(settings.folds.n_splits)
    keys = {TRAINING: key}
    units = [Unit(key, fold, settings, label) for fold in folds]
    for stage in stages_of(settings):
        if stage.name == TRAINING:
            continue
        parents = list(dict.fromkeys([TRAINING, *stage.requires]))
        key = keys[stage.name] = stage_key(settings, stage, [keys[name] for name in parents])
        required = [tuple((keys[name], fold) for name in parents) for fold in folds]
        units += [Unit(key, fold, settings, label, stage.name, required[fold]) for fold in folds]
    return units


def as_plain(settings: Settings) -> dict[str, Any]:
    """Settings as JSON-able values by dotted path, without what does not apply."""
    flat = flatten(settings)
    return {p: list(v) if isinstance(v, tuple) else v for p, v in flat.items() if v is not None}
