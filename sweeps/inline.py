"""The units of a sweep one after another in this process: for debugging, and for machines without Ray."""

from collections.abc import Sequence

from sweeps.data import Source, load
from sweeps.ledger import Ledger, Row
from sweeps.plan import Unit
from sweeps.progress import Progress
from sweeps.readers import Images


def run_units(units: Sequence[Unit], ledger: Ledger, provenance: Row, progress: Progress) -> None:
    """Trains the units. A Ctrl-C ends it between two steps; what was done stays done.

    Raises:
        DataError: a data set cannot be had.
    """
    from sweeps.trial import pick_device, run_unit  # imports torch, which a dry run must not

    held: tuple[Source, Images] | None = None
    for unit in sorted(units, key=lambda u: repr(u.settings.source)):  # one data set in memory at a time
        source = unit.settings.source
        if held is None or held[0] != source:
            held = source, load(source)
        trained = 0

        def on_epoch(images: int, unit: Unit = unit) -> None:
            nonlocal trained
            trained += images
            progress.trained(unit, trained)

        progress.started(unit)
        device = pick_device(unit.settings.resources.gpus)
        progress.finished(unit, run_unit(unit, held[1], ledger, device, provenance, on_epoch))
