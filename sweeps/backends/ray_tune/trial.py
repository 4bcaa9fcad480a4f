"""One trial of Tune: one unit, in a worker."""

import math
import time
from typing import Any

import ray
from ray import tune

from sweeps.backends.base import RunContext
from sweeps.backends.stop import StopFile
from sweeps.data.datasets import Loaded, Source
from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import PlacementError, Unit

REPORT_SECONDS = 1.0  # how often a worker tells how far it is


def trial(config: dict[str, Any], context: RunContext, images: dict[Source, Any], flag: StopFile) -> None:
    """Run the unit of a trial, and report how far it is and how it ended.

    `images`: references to what `RunContext.load` returned. `flag`: raised when a stop is asked for.
    """
    unit: Unit = config["unit"]
    trained, reported_at = 0, -math.inf  # where the unit starts is reported at once

    def on_progress(n: int) -> None:
        nonlocal trained, reported_at
        trained = n
        if time.monotonic() - reported_at > REPORT_SECONDS:
            reported_at = time.monotonic()
            tune.report({"images": trained})

    loaded: Loaded = ray.get(images[unit.settings.source])
    try:
        outcome = context.run_unit(unit, loaded, context, on_progress, flag.is_raised)
    except (StorageError, PlacementError) as error:  # no reason to try again: the driver ends the sweep, and says it
        tune.report({"fatal_error": error})
        return
    tune.report({"images": trained, "outcome": outcome})
