"""The units of a sweep one after another in this process: for debugging, and for machines without Ray."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sweeps.backends.base import WAIT_SECONDS, RunContext, read
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import Loaded, Source
from sweeps.data.readers import LOG
from sweeps.plan.unit import Unit
from sweeps.plan.work_source import Done, Wait, WorkSource


class _Say(logging.Handler):
    def __init__(self, progress: Progress):
        super().__init__()
        self.progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self.progress.say([record.getMessage()])


@contextmanager
def reading_told(progress: Progress) -> Iterator[None]:
    """Print how far the reading of many images is, which the data's readers log."""
    handler, level = _Say(progress), LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)


class Inline:
    """Runs units in this process, with the images of one source in memory at a time."""

    def run(self, source: WorkSource, context: RunContext, progress: Progress, stop: Stop) -> None:
        """Run units until the source is done or a stop is asked for. Raises as `Backend.run`."""
        held: dict[Source, Loaded] = {}
        envelope = source.envelope()
        while not stop.requested and not isinstance(unit := source.next(), Done):
            if isinstance(unit, Wait):  # for something outside this process: no unit of ours is running
                time.sleep(WAIT_SECONDS)
                continue
            images = unit.settings.source
            if images not in held:
                held.clear()
                with reading_told(progress):
                    held[images] = read(context.load, images, envelope.drawn(images))
                progress.say(context.check(images, held[images]))
            progress.started(unit)

            def on_progress(trained: int, unit: Unit = unit) -> None:
                progress.trained(unit, trained)

            alone = unit.with_gpus(1.0) if unit.settings.resources.gpus else unit  # nothing of ours is beside it
            outcome = context.run_unit(alone, held[images], context, on_progress, lambda: stop.requested)
            progress.finished(unit, outcome)
            source.finished(unit, outcome, context.record(unit, outcome, envelope.columns))
