"""A back end that runs units one after another in this process: for debugging, and for machines without Ray."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sweeps.backends.base import WAIT_SECONDS, RunContext, load_with_folds
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import Loaded, Source, title
from sweeps.data.readers import LOG
from sweeps.plan.work_source import Done, Wait, WorkSource


class _PrintAbove(logging.Handler):
    """Prints log records above the live table."""

    def __init__(self, progress: Progress):
        super().__init__()
        self.progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self.progress.say([record.getMessage()])


@contextmanager
def printing_reader_log(progress: Progress) -> Iterator[None]:
    """Print what the readers of images log inside the block: how many of many images they have read."""
    handler, level = _PrintAbove(progress), LOG.level
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
        """Run units until the source is done or a stop is requested. Raises as `Backend.run`."""
        loaded: dict[Source, Loaded] = {}  # at most one entry
        envelope = source.envelope()
        while not stop.requested and not isinstance(unit := source.next(), Done):
            if isinstance(unit, Wait):  # for another process: this one runs no unit now
                time.sleep(WAIT_SECONDS)
                continue
            images = unit.settings.source
            if images not in loaded:
                loaded.clear()
                progress.prepare(f"reading the images of {title(images.data)}")
                with printing_reader_log(progress):
                    loaded[images] = load_with_folds(context.load, images, envelope.drawn(images))
                progress.say(context.check_images(images, loaded[images]))
            progress.started(unit)

            alone = unit.with_gpus(1.0) if unit.settings.resources.gpus else unit  # no other unit uses the GPU
            outcome = context.run_unit(
                alone, loaded[images], context, partial(progress.trained, unit), lambda: stop.requested
            )
            progress.finished(unit, outcome)
            source.finished(unit, outcome, context.record(unit, outcome, envelope.columns))
