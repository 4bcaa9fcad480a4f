"""The status of a sweep as text: a line for each configuration."""

from sweeps.plan.plan import Plan
from sweeps.run.search_text import asked_text
from sweeps.search.asked import Archive


def status(plan: Plan, archive: Archive | None = None) -> str:
    """Return a line per configuration: its key, how many of its units are done and how many failed, its label.

    Args:
        archive: the suggestions of the sweep's search, if it has one.
    """
    lines = [f"sweep {plan.grid.name}: {plan.count(plan.done)} of {len(plan.units)} units done"]
    lines += [] if archive is None else [f"search: {asked_text(archive)}", *archive.problems]
    failed = {unit.id for unit in plan.still_failed}
    for units in plan.rows:
        done = sum(unit.id in plan.done for unit in units)
        failures = sum(unit.id in failed for unit in units)
        note = f" ({failures} failed)" if failures else ""
        note += ", stopped" if done < len(units) and plan.is_stopped(units[0]) else ""
        lines.append(f"{units[0].key}  {done}/{len(units)}{note}  {units[0].label}")
    return "\n".join(lines)
