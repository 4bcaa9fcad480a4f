"""A Tune trial: it runs one unit in a worker."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import tune

from sweeps.backends.base import RunContext
from sweeps.backends.stop import StopFile
from sweeps.data.datasets import Loaded, Source
from sweeps.ledger.storage import StorageError
from sweeps.plan.unit import PlacementError, Unit

REPORT_SECONDS = 1.0  # least time between two reports of a worker


def trial(config: dict[str, Any], context: RunContext, images: dict[Source, Any], stop_file: StopFile) -> None:
    """Run the unit of a trial; report the images it has trained, and how it ended.

    `images`: references to what `RunContext.load` returned. `stop_file`: exists while a stop is requested.
    """
    unit: Unit = config["unit"]
    trained, reported_at = 0, -math.inf  # so that the images at the start are reported at once

    def on_progress(images: int, losses: Callable[[], Mapping[str, float]] = dict) -> None:
        nonlocal trained, reported_at
        trained = images
        if time.monotonic() - reported_at > REPORT_SECONDS:
            reported_at = time.monotonic()
            tune.report({"images": trained, "losses": dict(losses())})

    loaded: Loaded = ray.get(images[unit.settings.source])
    try:
        outcome = context.run_unit(unit, loaded, context, on_progress, stop_file.exists)
    except (StorageError, PlacementError) as error:  # a retry cannot help: the driver ends the sweep with this error
        tune.report({"fatal_error": error})
        return
    tune.report({"images": trained, "outcome": outcome})
