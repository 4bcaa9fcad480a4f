"""Finds work that is done under another key, because its `data.limit` is another one for the same images.

A limit that is the number of all images, and no limit, give the same images. Their keys differ and stay as they are, so
that no ledger loses its units.
"""

from collections.abc import Collection

from sweeps.config.settings import Settings
from sweeps.data.datasets import declared
from sweeps.plan.identity import key_with_equivalent_limit, units_of, with_equivalent_limit
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Unit, UnitId


def _limits_nothing(settings: Settings) -> bool:
    declaration = declared(settings.data)
    return declaration is not None and settings.data.limit == declaration.images


def done_under_other_keys(plan: Plan, to_redo: Collection[UnitId] = ()) -> dict[UnitId, Unit]:
    """Return the plan's units whose work is done under another key only, by the id of the done unit.

    Args:
        to_redo: units that are to be trained again in any case.
    """
    if not plan.done:
        return {}
    rows = {units[0].key: units[0].settings for units in plan.rows}
    elsewhere = any(key not in rows for key, _ in plan.done)
    if not elsewhere and not any(_limits_nothing(settings) for settings in rows.values()):
        return {}  # saves the time to compute another key for each row
    keys = {key for key, _ in plan.done}
    found: dict[UnitId, Unit] = {}
    for row in plan.rows:
        if all(unit.id in plan.done for unit in row) or key_with_equivalent_limit(row[0].settings) not in keys:
            continue
        other = with_equivalent_limit(row[0].settings)
        assert other is not None
        own = {unit.stage_and_fold: unit for unit in row if unit.id not in plan.done and unit.id not in to_redo}
        ids = {unit.stage_and_fold: unit.id for unit in units_of(other)}
        found |= {ids[place]: unit for place, unit in own.items() if ids[place] in plan.done}
    return found
