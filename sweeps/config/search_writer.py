"""Writes a search and a race as the blocks of a grid file that `search_reader` reads back as they were."""

from collections.abc import Collection
from typing import Any

from sweeps.config.search import Choices, Dimension, Objective, Racing, Search
from sweeps.text import number_text


def search_blocks(search: Search, racing: Racing | None, shared: Collection[str]) -> dict[str, Any]:
    """Return `base:` and `search:` as plain values.

    Args:
        shared: the settings that the file gives above all blocks, so that `base:` need not give them.
    """
    base = {path: value for path, value in search.base.items() if path not in shared}
    limits = {"configurations": search.configurations, "hours": search.hours, "each": search.each}
    block: dict[str, Any] = {key: value for key, value in limits.items() if value is not None}
    block |= {"sampler": search.sampler} | _objective_keys(search.objective)
    block["racing"] = racing.rule if racing else "none"
    block["space"] = {path: _written(dimension) for path, dimension in search.space.items()}
    bounds = {bound.name: f"{bound.operator} {number_text(bound.bound)}" for bound in search.constraints}
    return ({"base": base} if base else {}) | {"search": block | ({"constraints": bounds} if bounds else {})}


def racing_block(racing: Racing) -> dict[str, Any]:
    """Return `racing:` as plain values."""
    return {"racing": {"rule": racing.rule} | _objective_keys(racing.objective)}


def _objective_keys(objective: Objective) -> dict[str, str]:
    direction = "minimize" if objective.minimize else "maximize"
    return {"metric": objective.column, "score_on": objective.score_on, "direction": direction}


def _written(dimension: Dimension) -> Any:
    if isinstance(dimension, Choices):
        return list(dimension.values)
    keys = {"step": dimension.step, "log": dimension.log or None, "int": dimension.integer or None}
    return {"low": dimension.low, "high": dimension.high} | {k: v for k, v in keys.items() if v is not None}
