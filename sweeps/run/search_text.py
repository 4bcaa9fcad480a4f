"""A search as text: what the dry run, the status and the end of a run say about it."""

from sweeps.config.labels import Labels
from sweeps.config.search import Choices, Dimension
from sweeps.config.settings import Settings, flatten
from sweeps.ledger.ledger import Ledger
from sweeps.plan.identity import LABEL_ORDER, units_of
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import flops
from sweeps.search.asked import Archive, each_value
from sweeps.search.largest import corners
from sweeps.search.objective import constraint_text
from sweeps.search.results import Results
from sweeps.text import count_text, number_text, value_text


def is_open(archive: Archive, ledger: Ledger) -> bool:
    """Return whether the limits of a search allow a further suggestion."""
    search = archive.search
    if not archive.may_ask or search.hours is None:
        return archive.may_ask
    results = Results(search, ledger)
    return any(not archive.is_used_up(part, results.hours) for part in range(len(archive.parts)))


def progress_text(archive: Archive, plan: Plan, ledger: Ledger) -> str:
    """Return how many configurations of a search are done, as a part of a sentence; empty if nothing is left to ask."""
    if not is_open(archive, ledger):
        return ""
    ended = plan.done | plan.failed
    rows = {row[0].key: row for row in plan.rows}
    done = sum(all(unit.id in ended or plan.is_stopped(unit) for unit in rows[a.key]) for a in archive.rows)
    return f", {done}{_of_all(archive)} configurations of the search"


def _of_all(archive: Archive) -> str:
    wanted = archive.search.configurations
    return "" if wanted is None else f" of {wanted * len(archive.parts)}"


def asked_text(archive: Archive) -> str:
    """Return on one line how many suggestions there are, and how many are left."""
    refused = sum(bool(asked.refused) for asked in archive.asked.values())
    asked = f"{len(archive.rows)}{_of_all(archive)} configurations suggested, {refused} refused"
    return asked if archive.search.configurations is None else f"{asked}, {archive.left} left"


def description(archive: Archive) -> list[str]:
    """Return what a search does, what of it is done, and what the rest may cost."""
    search = archive.search
    limits = [] if search.configurations is None else [count_text(search.configurations, "configuration")]
    limits += [] if search.hours is None else [f"{number_text(search.hours)} hours of training"]
    each = "" if search.each is None else f", for each {search.each}"
    better = "the lowest" if search.objective.minimize else "the highest"
    images = "test folds" if search.objective.score_on == "test" else "validation sets"
    lines = [
        "",
        f"search ({search.sampler}) of {' or '.join(limits)}{each}, for {better} {search.objective.column} on the "
        f"{images}",
    ]
    lines += [f"  {path}: {_dimension_text(dimension)}" for path, dimension in search.space.items()]
    lines += [f"  only where {constraint_text(constraint)}" for constraint in search.constraints]
    return [*lines, asked_text(archive), *_cost(archive), *archive.problems]


def _dimension_text(dimension: Dimension) -> str:
    if isinstance(dimension, Choices):
        return " or ".join(map(value_text, dimension.values))
    low, high = number_text(dimension.low), number_text(dimension.high)
    step = "" if dimension.step is None else f" in steps of {number_text(dimension.step)}"
    return f"from {low} to {high}{step}{', log' * dimension.log}{', whole numbers' * dimension.integer}"


def _cost(archive: Archive) -> list[str]:
    """Return the cost of the default configuration of each part, and the range over the corners of the space."""
    found = corners(archive.parts)
    if not found:
        return ["the rules or the constraints refuse the corners of the space, so its cost is unknown"]
    labels = Labels([flatten(settings) for settings in found], LABEL_ORDER, archive.search.space)
    lines = []
    for part, default in archive.defaults():
        of = "" if archive.search.each is None else f" of {value_text(each_value(archive.search, part))}"
        lines.append(f"default configuration{of}: {labels.label(flatten(default))}: {_cost_text(default)}")
    cheapest, dearest = min(found, key=_operations), max(found, key=_operations)
    return [*lines, f"range of the space: {_cost_text(cheapest)}, to {_cost_text(dearest)}"]


def _cost_text(settings: Settings) -> str:
    return f"{settings.cost.parameters:,} parameters, {_operations(settings):.1e} floating-point operations"


def _operations(settings: Settings) -> int:
    """Return the operations of all units of a configuration."""
    return sum(map(flops, units_of(settings)))


def possible(archive: Archive | None) -> list[Settings]:
    """Return configurations between which those of a search lie; none without a search."""
    return [] if archive is None else corners(archive.parts)


def new_units(archive: Archive) -> int:
    """Return how many units a search may still add, as far as a number of configurations limits it."""
    return archive.left * max((len(units_of(settings)) for settings in corners(archive.parts)), default=0)
