"""Reads what configurations are compared by, and the bounds that a search keeps."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mtvae.config import UNCONDITIONED, Metric, Scale, Section
from sweeps.config import yaml_reader
from sweeps.config.grid_reader import GridReader
from sweeps.config.measured import KNOWN_BEFORE, OTHER_COLUMNS, all_metrics, column_of, find_metric, metrics_of
from sweeps.config.problems import short_yaml, truncate, type_name
from sweeps.config.search import Constraint, Objective, ScoreOn
from sweeps.config.settings import Settings
from sweeps.config.stages import STAGES, TRAINING
from sweeps.text import nearest

_BOUND = re.compile(r"\s*(<=|>=)\s*(\S+)\s*")


class ObjectiveKeys(Section):
    """The keys of a block that say what configurations are compared by."""

    metric: str = UNCONDITIONED.name
    score_on: ScoreOn = "test"
    direction: Literal["minimize", "maximize"] | None = None


def read_objective(
    reader: GridReader,
    keys: Mapping[str, Any],
    name: str,
    at: yaml_reader.Path,
    configurations: Sequence[Settings],
    each_family: bool,
) -> Objective | None:
    """Return what configurations are compared by, or None after adding all problems.

    Args:
        keys: the values of `ObjectiveKeys`.
        name: what messages call the block.
        at: where the block stands in the document.
        configurations: some of those that will be compared.
        each_family: whether only configurations of one family are compared with each other.
    """
    where = reader.where((*at, "metric"))
    found = find_metric(keys["metric"])
    if found is None:
        names = list(all_metrics())
        hint = nearest(keys["metric"], names)
        wanted = f"it must be one of {', '.join(names)}"
        reader.problem(where, f"{name}.metric is {short_yaml(keys['metric'])}; {wanted}{hint}")
        return None
    metric, scale = found
    problems = [*_problems_of_metric(metric, scale, configurations, each_family)]
    if keys["direction"] is None and metric.direction is None:
        problems.append(f"{metric.name} is better neither lower nor higher: add direction: minimize or maximize")
    for problem in problems:
        reader.problem(where, f"{name}.metric: {problem}")
    if keys["score_on"] == "validation" and metric.in_history is None:
        scored = ", ".join(m.name for m in all_metrics().values() if m.in_history)
        text = f"{metric.name} is not measured on the validation set; only {scored} are"
        reader.problem(reader.where((*at, "score_on")), f"{name}.score_on: {text}")
    minimize = metric.direction == "lower" if keys["direction"] is None else keys["direction"] == "minimize"
    return Objective(metric.name, column_of(metric, scale), keys["score_on"], minimize)


def _problems_of_metric(
    metric: Metric, scale: Scale | None, configurations: Sequence[Settings], each_family: bool
) -> list[str]:
    """Return why configurations cannot be compared by a metric."""
    problems = []
    without = next((settings for settings in configurations if metric.name not in metrics_of(settings)), None)
    if without is not None:
        what = f"family {without.family}, method {without.method}"
        switch = without.schedule.switch_epoch
        what += "" if switch is None else f", schedule.switch_epoch {switch}"
        problems.append(f"not every configuration has {metric.name}; {what} has not")
    of_later_stages = [m.name for stage in STAGES if stage.name != TRAINING for m in stage.metrics]
    trainings = {repr(settings.without_later) for settings in configurations}
    if metric.name in of_later_stages and len(trainings) < len(set(map(repr, configurations))):
        problems.append(f"trainings are compared by {metric.name}, so each may have one prior only")
    families = dict.fromkeys(settings.family for settings in configurations)
    units = {m.unit for settings in configurations if (m := metrics_of(settings).get(metric.name)) is not None}
    if len(units) > 1 and not each_family:
        problems.append(f"{metric.name} is {' or '.join(sorted(units))}, which cannot be compared")
    if scale == "per_image" and len(families) > 1:
        problems.append(f"families {', '.join(families)} are compared per pixel: write {metric.name}")
    return problems


def read_constraints(
    reader: GridReader, block: Any, at: yaml_reader.Path, configurations: Sequence[Settings]
) -> tuple[Constraint, ...]:
    """Return the valid constraints of a block; add a problem for each other one.

    Args:
        block: what the file writes.
        at: where the block stands in the document.
        configurations: some of those that the search may suggest.
    """
    if not isinstance(block, dict):
        text = f"search.constraints must be a mapping of names to bounds, not {type_name(block)}"
        reader.problem(reader.where(at), text)
        return ()
    constraints: dict[str, Constraint] = {}
    for name, text in block.items():
        where = reader.where((*at, name))
        column = _column(name)
        bound = _read_bound(text)
        if column is None:
            known = [*KNOWN_BEFORE, *OTHER_COLUMNS, *all_metrics()]
            shown = truncate(name, 60)
            wanted = f"it must be one of {', '.join(known)}"
            reader.problem(where, f"search.constraints: {shown} cannot be bounded; {wanted}{nearest(name, known)}")
        elif column in constraints:
            reader.problem(where, f"search.constraints: {name} is bounded twice")
        elif (found := find_metric(name)) and not _anyone_has(found[0], configurations):
            reader.problem(where, f"search.constraints: no configuration of this search has {name}")
        if bound is None:
            wanted = "'<= NUMBER' or '>= NUMBER', in quotes"
            reader.problem(where, f"search.constraints.{truncate(name, 60)} is {short_yaml(text)}; it must be {wanted}")
        elif column is not None:
            constraints.setdefault(column, Constraint(column, *bound, known=column in KNOWN_BEFORE))
    return tuple(constraints.values())


def _column(name: str) -> str | None:
    """Return the column, or the number known before training, that a constraint names; None for another text."""
    if name in (*KNOWN_BEFORE, *OTHER_COLUMNS):
        return name
    found = find_metric(name)
    return column_of(*found) if found else None


def _anyone_has(metric: Metric, configurations: Sequence[Settings]) -> bool:
    return not configurations or any(metric.name in metrics_of(settings) for settings in configurations)


def _read_bound(text: Any) -> tuple[Literal["<=", ">="], float] | None:
    """Return the operator and the number of a bound; None for anything else."""
    match = _BOUND.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        bound = float(match[2])
    except ValueError:
        return None
    return ("<=" if match[1] == "<=" else ">=", bound) if math.isfinite(bound) else None
