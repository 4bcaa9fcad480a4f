"""What a search reads from a unit's record: the objective's value, the numbers that constraints bound, the seconds."""

import math
from collections.abc import Iterable, Mapping, Sequence

from mtvae.config import FAMILIES, OF_OUTPUTS, SCALES, UNCONDITIONED, Metric
from sweeps.config.measured import KNOWN_BEFORE
from sweeps.config.search import Constraint, Objective, Search
from sweeps.config.settings import Settings
from sweeps.ledger.schema import UNIT_SCHEMA
from sweeps.plan.work_source import Record

_SHARED = {metric.name: metric for metric in OF_OUTPUTS}
_VALIDATION = ("history", "best_epoch", *[f"{UNCONDITIONED.name}_{scale}" for scale in SCALES])


def objective_columns(objective: Objective) -> tuple[str, ...]:
    """Return the columns of a record from which `objective_value` reads."""
    return _readable(_VALIDATION if objective.score_on == "validation" else [objective.column])


def search_columns(search: Search) -> tuple[str, ...]:
    """Return the columns of a record that a search needs."""
    bounded = [constraint.name for constraint in search.constraints if not constraint.known]
    return _readable([*objective_columns(search.objective), *bounded, "seconds"])


def objective_value(objective: Objective, record: Record) -> float | None:
    """Return the objective's value on the fold of a record; None if the record's stage does not measure it.

    On the validation set it is the error at the best epoch. The history has reconstruction errors in the scale of the
    training loss, so an error that was summed over the image is divided by the image's size.
    """
    if objective.score_on == "test":
        return _number(record.get(objective.column))
    if not record.get("history"):
        return None
    family = FAMILIES[record["family"]]
    metric = _SHARED.get(objective.metric) or family.metric(objective.metric)
    if metric is None or metric.term is None:
        return None
    epoch: Mapping[str, float] = record["history"][record["best_epoch"] - 1]
    value = _number(epoch.get(f"selection_{metric.term}"))
    return value if value is None else value / _scale(metric, record)


def _scale(metric: Metric, record: Record) -> int:
    """Return the factor between a term of the training loss and its value per pixel; 1 for other metrics."""
    if not metric.scaled or FAMILIES[record["family"]].scale == "per_pixel":
        return 1
    per_image, per_pixel = (float(record[f"{UNCONDITIONED.name}_{scale}"]) for scale in ("per_image", "per_pixel"))
    return round(per_image / per_pixel)


def bounded_numbers(search: Search, record: Record) -> dict[str, float]:
    """Return the numbers of a record that constraints bound, by the constraint's name."""
    names = [constraint.name for constraint in search.constraints if not constraint.known]
    found = {name: _number(record.get(name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def known_numbers(settings: Settings) -> dict[str, float]:
    """Return the numbers of a configuration that are known without training it."""
    return {name: getattr(settings.cost, name) for name in KNOWN_BEFORE}


def violations(constraints: Iterable[Constraint], numbers: Mapping[str, float]) -> dict[str, float]:
    """Return by how much each constraint is missed, by its text. Those whose number is not there are left out."""
    return {
        constraint_text(constraint): constraint.violation(numbers[constraint.name])
        for constraint in constraints
        if constraint.name in numbers
    }


def constraint_text(constraint: Constraint) -> str:
    """Return a constraint as a grid file would write it."""
    return f"{constraint.name} {constraint.operator} {constraint.bound:g}"


def _readable(names: Sequence[str]) -> tuple[str, ...]:
    """Return columns of the schema; `declarations` brings the columns of plug-in families and of stages."""
    known = [name if name in UNIT_SCHEMA.names else "declarations" for name in names]
    return tuple(dict.fromkeys(["family", *known]))


def _number(value: object) -> float | None:
    """Return a finite number; None for anything else. Earlier versions recorded scores that were not finite."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
