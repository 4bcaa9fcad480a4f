"""Identity of configurations: a hash of every setting that can change the numbers.

So the same work is recognised in any grid, and work with other settings is never mistaken for it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mtvae.config import FAMILIES
from mtvae.config.setting import NO_VALUE
from sweeps.config.labels import DATA_NAME
from sweeps.config.settings import SETTING_INFO, Settings, Value, flatten
from sweeps.config.stages import TRAINING, Stage, stages_of
from sweeps.data.datasets import declared
from sweeps.plan.unit import Unit

KEY_VERSION = 1


LATER_SETTINGS = tuple(path for path, info in SETTING_INFO.items() if info.stage)
"""The settings that only later stages read."""

LABEL_ORDER = sorted(
    (path for path in SETTING_INFO if path not in LATER_SETTINGS),
    key=lambda path: not (SETTING_INFO[path].in_key or path == DATA_NAME),
)
"""The settings in the order in which labels try them: those that are part of the training's key, with `data.name`
behind `data.dataset`, then the others. Those of later stages are left out."""

_IN_KEY = frozenset(path for path, info in SETTING_INFO.items() if info.in_key)
WITH_NEUTRAL_VALUE = frozenset(path for path, info in SETTING_INFO.items() if info.neutral is not NO_VALUE)


def key_settings(flat: Mapping[str, Value]) -> dict[str, Value]:
    """Return the resolved settings that are part of the training's key: they apply, and have no neutral value."""
    return {path: value for path, value in _key_settings(flat).items() if path not in LATER_SETTINGS}


def _key_settings(flat: Mapping[str, Value]) -> dict[str, Value]:
    """Return the resolved settings that are part of a key: they apply, and are not at a neutral value."""
    return {
        path: value
        for path, value in flat.items()
        if value is not None
        and (path in _IN_KEY or path not in SETTING_INFO)  # the sizes that only a plug-in has
        and not (path in WITH_NEUTRAL_VALUE and SETTING_INFO[path].is_neutral(value, flat))
    }


def key_of(settings: Settings, flat: Mapping[str, Value] | None = None) -> str:
    """Return 12 hex digits: the hash of the key settings, the data set's declared fingerprint and KEY_VERSION.

    Args:
        flat: the flattened settings, if the caller has them already.
    """
    declaration = declared(settings.data)
    identity = key_settings(flatten(settings) if flat is None else flat) | {
        "": KEY_VERSION,
        "data.fingerprint": declaration.fingerprint if declaration else None,
    }
    version = FAMILIES[settings.family].version
    return _hash(identity if version is None else identity | {"family.version": version})


def _hash(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def with_equivalent_limit(settings: Settings) -> Settings | None:
    """Return the configuration with the equivalent `data.limit`, which has the same images; None if there is none.

    No limit, and a limit that is the number of all images, are equivalent.
    """
    if (limit := _equivalent_limit(settings)) is None:
        return None
    return settings.model_copy(update={"data": settings.data.model_copy(update={"limit": limit[0]})})


def key_with_equivalent_limit(settings: Settings) -> str | None:
    """Return the key of the configuration with the equivalent `data.limit`, without building it; None if there is none.

    It has the same images, and so the same fingerprint.
    """
    limit = _equivalent_limit(settings)
    return None if limit is None else key_of(settings, flatten(settings) | {"data.limit": limit[0]})


def _equivalent_limit(settings: Settings) -> tuple[int | None] | None:
    """Return a tuple of the equivalent `data.limit` alone, because that may be None; None if there is none."""
    limit, declaration = settings.data.limit, declared(settings.data)
    if declaration is None or limit not in (None, declaration.images):
        return None
    return (declaration.images if limit is None else None,)


def stage_key(settings: Settings, stage: Stage, parents: Sequence[str]) -> str:
    """Return 12 hex digits that identify a stage after the training.

    They are the hash of the settings that the stage reads, of its parents' keys, which stand for everything that the
    parents depend on, and of KEY_VERSION.
    """
    read = {path: v for path, v in _key_settings(flatten(settings)).items() if path.partition(".")[0] in stage.reads}
    return _hash(read | {"": KEY_VERSION, "stage": stage.name, "parents": list(parents)})


def units_of(
    settings: Settings, flat: Mapping[str, Value] | None = None, label: str = "", later_label: str = ""
) -> list[Unit]:
    """Return all units of a configuration, stage by stage and fold by fold.

    Args:
        flat: as in `key_of`.
        label: of the training.
        later_label: of later stages, which shows their own settings too.
    """
    key, folds = key_of(settings, flat), range(settings.folds.n_splits)
    keys = {TRAINING: key}
    units = [Unit(key, fold, settings.without_later, label) for fold in folds]
    for stage in stages_of(settings):
        if stage.name == TRAINING:
            continue
        key = keys[stage.name] = stage_key(settings, stage, [keys[name] for name in stage.parents])
        required = [tuple((keys[name], fold) for name in stage.parents) for fold in folds]
        units += [Unit(key, fold, settings, later_label or label, stage.name, required[fold]) for fold in folds]
    return units


def json_settings(settings: Settings) -> dict[str, Any]:
    """Return settings as values for JSON, by dotted path, without those that do not apply."""
    flat = flatten(settings)
    return {p: list(v) if isinstance(v, tuple) else v for p, v in flat.items() if v is not None}
