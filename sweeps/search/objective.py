"""What a search reads from a unit's record besides the objective's value: the numbers that constraints bound."""

from collections.abc import Iterable, Mapping

from sweeps.analysis.objective import finite_number, objective_columns, readable_columns
from sweeps.config.measured import KNOWN_BEFORE
from sweeps.config.search import Constraint, Search
from sweeps.config.settings import Settings
from sweeps.plan.work_source import Record


def search_columns(search: Search) -> tuple[str, ...]:
    """Return the columns of a record that a search needs."""
    bounded = [constraint.name for constraint in search.constraints if not constraint.known]
    return readable_columns([*objective_columns(search.objective), *bounded, "seconds"])


def bounded_numbers(search: Search, record: Record) -> dict[str, float]:
    """Return the numbers of a record that constraints bound, by the constraint's name."""
    names = [constraint.name for constraint in search.constraints if not constraint.known]
    found = {name: finite_number(record.get(name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def known_numbers(settings: Settings) -> dict[str, float]:
    """Return the numbers of a configuration that are known without training it."""
    return {name: getattr(settings.final_cost, name) for name in KNOWN_BEFORE}


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
