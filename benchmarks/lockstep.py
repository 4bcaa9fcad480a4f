"""Train units of one shape in one process, step by step together. Processes side by side are measured against this.

On a GPU each unit has its own stream, and the steps of all units can be recorded as one graph.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mtvae.runtime.cuda_graph import Record, Recorded
from mtvae.training import Fit


class Lockstep:
    """Trains several fits together, each to the same numbers as on its own.

    The fits take equally many batches of equal size. `record` is that of `Fit`; one recording holds the steps of all.
    """

    def __init__(self, fits: Sequence[Fit], record: Record | None = None):
        self.fits = fits
        self.streams: list[torch.cuda.Stream | None] = [
            torch.cuda.Stream() if fit.data.images.is_cuda else None for fit in fits
        ]
        generators = [generator for fit in fits for generator in fit.drawn_from]
        self.recorded = Recorded(fits[0].training.batch_size, generators, record)

    @property
    def finished(self) -> bool:
        return all(fit.finished for fit in self.fits)

    def epoch(self) -> None:
        for batches in zip(*(fit.batches_left() for fit in self.fits), strict=True):
            self.recorded(self.train_on, torch.stack(batches, 1))
            for fit in self.fits:
                fit.finish_step()
        for fit in self.fits:
            fit.end_epoch()

    def train_on(self, batches: Tensor) -> None:
        """Take a step of every unit, on the images at these indices (N, units)."""
        for fit, batch, stream in zip(self.fits, batches.unbind(1), self.streams, strict=True):
            if stream is not None:
                stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # a CPU has no stream: None changes nothing
                fit.train_on(batch)
        for stream in self.streams:
            if stream is not None:
                torch.cuda.current_stream().wait_stream(stream)
