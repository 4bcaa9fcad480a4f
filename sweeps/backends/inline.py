"""The units of a sweep one after another in this process: for debugging, and for machines without Ray."""

from sweeps.backends.base import Job
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import Loaded, Source, load_noted
from sweeps.plan.unit import Unit


def run_units(job: Job, progress: Progress, stop: Stop) -> None:
    """Trains the units until done or asked to stop.

    Raises:
        DataError: a data set cannot be had.
        PlacementError: the resources asked for are not there.
    """
    from sweeps.worker.devices import pick_device
    from sweeps.worker.run_unit import run_unit  # imports torch, which a dry run must not

    held: tuple[Source, Loaded] | None = None
    for unit in sorted(job.units, key=lambda u: repr(u.settings.source)):  # one data set in memory at a time
        if unit.settings.resources.gpus:
            unit = unit.with_gpus(1.0)  # nothing of ours is beside it
        source = unit.settings.source
        if held is None or held[0] != source:
            held = source, load_noted(source)
            progress.say(held[1].notes)
        device = pick_device(unit.settings.resources.gpus)
        progress.started(unit)

        def on_progress(images: int, unit: Unit = unit) -> None:
            progress.trained(unit, images)

        outcome = run_unit(
            unit,
            held[1].images,
            job.ledger,
            device,
            job.provenance,
            on_progress,
            lambda: stop.requested,
            job.tensorboard,
            held[1].notes,
        )
        progress.finished(unit, outcome)
        if outcome == "stopped":
            return
