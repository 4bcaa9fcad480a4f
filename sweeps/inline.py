"""The units of a sweep one after another in this process: for debugging, and for machines without Ray."""

from collections.abc import Sequence

from sweeps.data import Source, load
from sweeps.ledger import Ledger
from sweeps.plan import Unit
from sweeps.progress import Progress
from sweeps.readers import Images
from sweeps.schema import Row
from sweeps.stopping import Stop


def run_units(units: Sequence[Unit], ledger: Ledger, provenance: Row, progress: Progress, stop: Stop) -> None:
    """Trains the units until done or asked to stop.

    Raises:
        DataError: a data set cannot be had.
        PlacementError: the resources asked for are not there.
    """
    from sweeps.trial import pick_device, run_unit  # imports torch, which a dry run must not

    held: tuple[Source, Images] | None = None
    for unit in sorted(units, key=lambda u: repr(u.settings.source)):  # one data set in memory at a time
        source = unit.settings.source
        if held is None or held[0] != source:
            held = source, load(source)
        device = pick_device(unit.settings.resources.gpus)
        progress.started(unit)

        def on_progress(images: int, unit: Unit = unit) -> None:
            progress.trained(unit, images)

        outcome = run_unit(unit, held[1], ledger, device, provenance, on_progress, lambda: stop.requested)
        progress.finished(unit, outcome)
        if outcome == "stopped":
            return
