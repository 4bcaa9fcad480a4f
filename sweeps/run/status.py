"""The status of a sweep as text: a line for each configuration."""

from sweeps.plan.plan import Plan


def status(plan: Plan) -> str:
    """Return a line per configuration: its key, how many of its units are done and how many failed, its label."""
    lines = [f"sweep {plan.grid.name}: {plan.count(plan.done)} of {len(plan.units)} units done"]
    failed = {unit.id for unit in plan.still_failed}
    for units in plan.rows:
        done = sum(unit.id in plan.done for unit in units)
        failures = sum(unit.id in failed for unit in units)
        note = f" ({failures} failed)" if failures else ""
        lines.append(f"{units[0].key}  {done}/{len(units)}{note}  {units[0].label}")
    return "\n".join(lines)
