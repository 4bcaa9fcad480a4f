"""Each training step is replayed as one CUDA graph, instead of hundreds of kernels that Python launches one by one.

A graph holds operations and the memory that they read and write, and nothing of Python. So a step must do the same
operations on the same memory each time and must not wait for a number; what the host decides (`Loop.finish_step`) stays
outside.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

WARM_STEPS = 3  # run before one is recorded, as torch.cuda.graph asks for: libraries choose and set up what they use


class Record(Protocol):
    """Runs a step, records it, and returns what replays it. The step draws from these generators."""

    def __call__(self, step: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]: ...


def cuda_graph(step: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
    """Record a step of the current GPU, and return what replays it.

    Raises:
        torch.OutOfMemoryError: the GPU has too little memory for the graph's own copy of what a step allocates.
        RuntimeError: some operation of the step cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        with torch.cuda.graph(graph):
            step()
    except RuntimeError as error:
        for cause in (error, error.__context__):  # ending a recording that failed raises an error of its own
            if isinstance(cause, torch.OutOfMemoryError):
                raise cause from None
        raise RuntimeError(f"the step cannot be a CUDA graph, train without training.cuda_graph: {error}") from error
    graph.replay()  # recording did not run it
    return graph.replay


class Recorded:
    """A step on batches of indices (`batch_size`, ...), which is first run, then recorded, then replayed.

    Batches of another size, such as an epoch's last, are always run.

    Args:
        generators: all generators that the step draws from.
        record: records a step; None: every step is run.
    """

    def __init__(self, batch_size: int, generators: Sequence[torch.Generator], record: Record | None):
        self.batch_size, self.generators, self.record = batch_size, generators, record
        self.run = 0
        self.batch = torch.empty(0)  # where the recorded step reads its indices
        self.replay: Callable[[], None] | None = None

    def forget(self) -> None:
        """Run the next steps, and record anew."""
        self.run, self.replay = 0, None

    def __call__(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        """Do a step. It must be the same each time; it is not kept, because it holds a whole training."""
        if self.record is None or len(batch) != self.batch_size or self.run < WARM_STEPS:
            self.run += len(batch) == self.batch_size
            step(batch)
        elif self.replay is None:
            self.batch = batch.clone()
            self.replay = self.record(lambda: step(self.batch), self.generators)
        else:
            self.batch.copy_(batch)
            self.replay()
