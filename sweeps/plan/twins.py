"""Work that is done under another key: a limit that is the number of all images, and no limit, are the same images.

Both keys stay what they were, so that no ledger loses its units.
"""

from collections.abc import Collection

from sweeps.config.settings import Settings
from sweeps.data.datasets import declared
from sweeps.plan.identity import twin, twin_key, units_of
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Unit, UnitId


def _limits_nothing(settings: Settings) -> bool:
    described = declared(settings.data)
    return described is not None and settings.data.limit == described.images


def twins(plan: Plan, wanted: Collection[UnitId] = ()) -> dict[UnitId, Unit]:
    """Return the plan's units that are not done, each by the id of the done unit that is the same work.

    Args:
        wanted: units that are to be trained again, whatever is done.
    """
    if not plan.done:
        return {}
    rows = {units[0].key: units[0].settings for units in plan.rows}
    elsewhere = any(key not in rows for key, _ in plan.done)
    if not elsewhere and not any(_limits_nothing(settings) for settings in rows.values()):
        return {}  # without the cost of another key for each row
    keys = {key for key, _ in plan.done}
    found: dict[UnitId, Unit] = {}
    for row in plan.rows:
        if all(unit.id in plan.done for unit in row) or twin_key(row[0].settings) not in keys:
            continue
        other = twin(row[0].settings)
        assert other is not None
        own = {unit.place: unit for unit in row if unit.id not in plan.done and unit.id not in wanted}
        same = {unit.place: unit.id for unit in units_of(other)}
        found |= {same[place]: unit for place, unit in own.items() if same[place] in plan.done}
    return found
