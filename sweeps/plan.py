"""Units, their identity, and what a sweep still has to do.

A unit's key is a hash of every setting that can change its numbers, so that the same work is recognised in any grid,
and a change of settings is never mistaken for it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sweeps.config.grid import Grid
from sweeps.config.settings import Settings, Value, flatten
from sweeps.data.datasets import declared, image_count, test_half_count
from sweeps.data.splits import fold_sizes

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

NEUTRAL: dict[str, Value] = {"training.deterministic": False}
"""Settings added since KEY_VERSION 1, with the value at which a unit's numbers are what they were before the setting
existed. At that value a setting stays out of the hash, so that a newer version never orphans done work."""

UnitId = tuple[str, int]
"""(key, fold): what the ledger knows a unit by."""


def counted(settings: Settings) -> dict[str, Value]:
    """The resolved settings that make up a unit's identity: applicable, counted, and not at a neutral value."""
    flat = flatten(settings)
    return {
        path: value
        for path, value in flat.items()
        if value is not None and path not in UNCOUNTED and not (path in NEUTRAL and NEUTRAL[path] == value)
    }


def key_of(settings: Settings) -> str:
    """12 hex digits: the hash of the counted settings, the data set's declared fingerprint and KEY_VERSION."""
    described = declared(settings.data)
    identity = counted(settings) | {
        "": KEY_VERSION,
        "data.fingerprint": described.fingerprint if described else None,
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def long_name(settings: Settings) -> str:
    """A configuration in a reader's words, for showing only."""
    parts: list[object] = [settings.family, settings.configuration, settings.method]
    parts += [part for part in (settings.sampler,) if part]
    if settings.exponent is not None:
        parts.append(f"a={settings.exponent:g}")
    if settings.soft_adapt.variant is not None:
        parts.append(f"SoftAdapt {settings.soft_adapt.variant}")
    return " ".join(map(str, parts))


class PlacementError(RuntimeError):
    """The resources that units ask for are not there; the message says which."""


@dataclass(frozen=True)
class Unit:
    """One configuration on one fold: one training, the thing that is done or not done."""

    key: str
    fold: int
    settings: Settings

    @property
    def id(self) -> UnitId:
        return self.key, self.fold

    @property
    def name(self) -> str:
        """Of this unit's files, without their endings."""
        return f"{self.key}-fold{self.fold}"

    @cached_property
    def images_to_train(self) -> int:
        """Images that pass through the training step: training part x epochs; fewer where files are skipped."""
        folds = self.settings.folds
        n, half = image_count(self.settings.data), test_half_count(self.settings.source)
        return fold_sizes(n, folds, self.fold, half).train * self.settings.training.epochs

    def with_gpus(self, share: float) -> "Unit":
        """The same unit, given another share of a GPU."""
        resources = self.settings.resources.model_copy(update={"gpus": share})
        return replace(self, settings=self.settings.model_copy(update={"resources": resources}))

    def __str__(self) -> str:
        return f"{long_name(self.settings)}, fold {self.fold} ({self.name})"


@dataclass(frozen=True)
class Plan:
    """The units of a grid against what the ledger holds. `chosen`: those of them that count, None for all."""

    grid: Grid
    done: frozenset[UnitId]
    failed: frozenset[UnitId]
    chosen: frozenset[UnitId] | None = None

    @cached_property
    def rows(self) -> list[list[Unit]]:
        """The units of each configuration, in the grid's order."""
        rows = []
        for settings in self.grid.rows:
            key = key_of(settings)
            rows.append([Unit(key, fold, settings) for fold in range(settings.folds.n_splits)])
        if self.chosen is None:
            return rows
        chosen = [[unit for unit in row if unit.id in self.chosen] for row in rows]
        return [row for row in chosen if row]

    @cached_property
    def units(self) -> list[Unit]:
        return [unit for row in self.rows for unit in row]

    def missing(self, retry: bool = False) -> list[Unit]:
        """Units to train: neither done nor failed, with `retry` the failed ones too. A done unit never counts as
        failed. Fold by fold through all rows, so that an early stop leaves every row with about as many folds."""
        skip = self.done if retry else self.done | self.failed
        return sorted((unit for unit in self.units if unit.id not in skip), key=lambda unit: unit.fold)

    def of(self, units: Sequence[Unit]) -> "Plan":
        """The same of these units alone."""
        return replace(self, chosen=frozenset(unit.id for unit in units))

    def again(self, units: Sequence[Unit]) -> "Plan":
        """The same with these units to be trained, whatever the ledger holds of them."""
        ids = {unit.id for unit in units}
        return replace(self, done=self.done - ids, failed=self.failed - ids)

    def count(self, ids: frozenset[UnitId]) -> int:
        """How many of this plan's units are among `ids`."""
        return sum(unit.id in ids for unit in self.units)

    @property
    def still_failed(self) -> list[Unit]:
        """Units that failed and were not done since."""
        return [unit for unit in self.units if unit.id in self.failed - self.done]


def seconds_left(missing: Sequence[Unit], seconds_by_key: Mapping[str, Sequence[float]]) -> tuple[float, int]:
    """Seconds of one worker that the missing units will take, by the mean of the done units of their own configuration,
    and how many units have no such measurement."""
    known = [seconds_by_key[unit.key] for unit in missing if seconds_by_key.get(unit.key)]
    return sum(sum(measured) / len(measured) for measured in known), len(missing) - len(known)


def as_plain(settings: Settings) -> dict[str, Any]:
    """Settings as JSON-able values by dotted path, without what does not apply."""
    flat = flatten(settings)
    return {p: list(v) if isinstance(v, tuple) else v for p, v in flat.items() if v is not None}
