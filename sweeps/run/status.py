"""The status as text: a line per configuration."""

from sweeps.plan.plan import Plan
from sweeps.plan.unit import long_name


def status(plan: Plan) -> str:
    """A line per configuration: how many of its units are done, failed, missing."""
    lines = [f"sweep {plan.grid.name}: {plan.count(plan.done)} of {len(plan.units)} units done"]
    failed = {unit.id for unit in plan.still_failed}
    for units in plan.rows:
        done = sum(unit.id in plan.done for unit in units)
        failures = sum(unit.id in failed for unit in units)
        note = f", {failures} failed" if failures else ""
        lines.append(f"  {units[0].key}  {done}/{len(units)} done{note}  {long_name(units[0].settings)}")
    return "\n".join(lines)
