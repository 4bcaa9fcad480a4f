"""What the configurations of a sweep are compared by: the objective's value, as a unit's record has it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mtvae.config import FAMILIES, OF_OUTPUTS, SCALES, UNCONDITIONED, Family, Metric
from sweeps.config.search import Objective
from sweeps.ledger.schema import UNIT_SCHEMA

_SHARED = {metric.name: metric for metric in OF_OUTPUTS}
_VALIDATION = ("history", "best_epoch", *[f"{UNCONDITIONED.name}_{scale}" for scale in SCALES])


def objective_columns(objective: Objective) -> tuple[str, ...]:
    """Return the columns of a record from which `objective_value` reads."""
    return readable_columns(_VALIDATION if objective.score_on == "validation" else [objective.column])


def objective_value(objective: Objective, record: Mapping[str, Any], family: Family | None = None) -> float | None:
    """Return the objective's value on the fold of a record; None if the record's stage does not measure it.

    On the validation set it is the error at the best epoch. The history has reconstruction errors in the scale of the
    training loss, so an error that was summed over the image is divided by the image's size.

    Args:
        family: the record's family; None: the one that the record names, which may import a plug-in.
    """
    if objective.score_on == "test":
        return finite_number(record.get(objective.column))
    if not record.get("history"):
        return None
    family = family or FAMILIES[record["family"]]
    metric = _SHARED.get(objective.metric) or family.metric(objective.metric)
    if metric is None or metric.in_history is None:
        return None
    epoch: Mapping[str, float] = record["history"][record["best_epoch"] - 1]
    value = finite_number(epoch.get(f"selection_{metric.in_history}"))
    return value if value is None else value / _scale(metric, record, family)


def _scale(metric: Metric, record: Mapping[str, Any], family: Family) -> int:
    """Return the factor between a term of the training loss and its value per pixel; 1 for other metrics."""
    if not metric.scaled or family.scale == "per_pixel":
        return 1
    per_image, per_pixel = (float(record[f"{UNCONDITIONED.name}_{scale}"]) for scale in ("per_image", "per_pixel"))
    return round(per_image / per_pixel)


def readable_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return columns of the schema; `declarations` brings the columns of plug-in families and of stages."""
    known = [name if name in UNIT_SCHEMA.names else "declarations" for name in names]
    return tuple(dict.fromkeys(["family", *known]))


def finite_number(value: object) -> float | None:
    """Return a finite number; None for anything else. Earlier versions recorded scores that were not finite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
