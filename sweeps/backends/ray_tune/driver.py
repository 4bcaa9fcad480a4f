"""Ray Tune as a back end: it places units on workers. The ledger says what is done; Ray only places work.

Facts about Ray 2.60 that shape this file: `Tuner.fit` returning means "stopped", not "complete"; an actor that is not
reused costs seconds a trial; what `with_parameters` is given is unpickled for each trial: it may not hold all units.
"""

import contextlib
import gc
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeps.backends.base import RunContext, read
from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune import gpu_sharing, nodes, session
from sweeps.backends.ray_tune.callbacks import Callback, Stopper
from sweeps.backends.ray_tune.internals import Placing
from sweeps.backends.ray_tune.suggestions import Suggestions
from sweeps.backends.ray_tune.trial import trial
from sweeps.backends.stop import Stop, StopFile
from sweeps.data.datasets import DataError, Loaded, Source, image_count
from sweeps.data.readers import LOG_SECONDS
from sweeps.data.splits import FoldDraw
from sweeps.plan.unit import Unit
from sweeps.plan.work_source import Envelope, WorkSource
from sweeps.text import error_line


@dataclass(frozen=True)
class RayTune:
    """Runs units on `workers` workers of this machine, or of the cluster at `address`.

    `wait_seconds`: for a node that is large enough for a unit, where there is none yet. `per_gpu`: units that share a
    GPU, where the grid's `resources.gpus` are not to say it. `sees_gpu` and `footprint` are asked in workers: whether
    there is a GPU, and the bytes that a unit takes of its memory and all that it has.
    """

    workers: int
    address: str | None = None
    wait_seconds: float = 0.0
    per_gpu: gpu_sharing.Wanted | None = None
    sees_gpu: Callable[[], bool] = nodes.sees_gpu
    footprint: gpu_sharing.Footprint = gpu_sharing.footprint

    def run(self, source: WorkSource, context: RunContext, progress: Progress, stop: Stop) -> None:
        """Run units until the source is done or a stop is asked for. Raises as `Backend.run`; PlacementError also where
        there is no cluster at the address, or where a node that joined later has a GPU which torch does not see."""
        envelope = source.envelope()
        examples: Sequence[Unit] = envelope.units
        if self.per_gpu is not None:
            examples = [unit.with_gpus(1.0) for unit in examples]
        ours = not ray.is_initialized()  # a notebook or a test may have started one; then it stays
        scratch = session.scratch_folder()
        try:
            with session.opened(examples, self.workers, self.address) if ours else contextlib.nullcontext():
                if ours:
                    stop.listen()  # again: Ray's own SIGTERM handler aborts the process
                self._run(source, context, progress, stop, examples, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            gc.collect()  # Tune's trials hold each other: the report may have their memory

    def _run(
        self,
        source: WorkSource,
        context: RunContext,
        progress: Progress,
        stop: Stop,
        examples: Sequence[Unit],
        scratch: Path,
    ) -> None:
        """Run units on the Ray that is there."""
        envelope = source.envelope()
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        flag = StopFile(context.ledger.storage)
        stop.listeners.append(flag.raise_)
        try:
            nodes.check_resources(examples, self.wait_seconds)
            nodes.check_gpus(examples, self.sees_gpu)
            if self.address is not None:
                nodes.check_storage(context.ledger)
            images = _images(envelope, context, progress)
            given = self._shares(examples, images, progress)
            suggestions = Suggestions(source, envelope.columns, context, stop, given)
            trainable = tune.with_parameters(trial, context=context, images=images, flag=flag)
            callback, stopper = Callback(suggestions, progress), Stopper(stop, progress, suggestions)
            fit(trainable, suggestions, callback, stopper, self.workers, scratch)
            if suggestions.fatal_error is not None:
                raise suggestions.fatal_error
        finally:
            stop.listeners.remove(flag.raise_)
            flag.clear()

    def _shares(
        self, examples: Sequence[Unit], images: dict[Source, Any], progress: Progress
    ) -> Callable[[Unit], Unit]:
        if self.per_gpu is None:
            return lambda unit: unit
        return gpu_sharing.shared(examples, images, self.per_gpu, self.footprint, progress.say)


@ray.remote(num_cpus=0)
def _load(load: Callable[[Source], Loaded], source: Source, drawn: Sequence[FoldDraw]) -> Loaded:
    """Read a data set in a worker."""
    return read(load, source, drawn)


def _images(envelope: Envelope, context: RunContext, progress: Progress) -> dict[Source, Any]:
    """Put each source's images into the object store once, and print the loader's notes. A worker of this node reads
    them, so that the driver needs neither torch nor the memory, and the other nodes no data set.

    Raises:
        DataError: they cannot be read, or done units saw others.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    references = {
        source: _load.options(scheduling_strategy=here).remote(context.load, source, envelope.drawn(source))
        for source in envelope.sources
    }
    for source, reference in references.items():
        try:
            _wait(source, reference, progress)
            loaded: Loaded = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DataError):
                raise error.cause from None
            if isinstance(error.cause, MemoryError):
                raise DataError(f"{source.data.dataset}: not enough memory to read the images") from None
            raise
        except _NO_ROOM as error:
            raise DataError(
                f"{source.data.dataset}: the images cannot be read: the process that read them died, or there is no "
                f"memory for them: {error_line(error)[:200]}"
            ) from None
        progress.say(context.check(source, loaded))
    return references


_NO_ROOM = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectStoreFullError,
    ray.exceptions.OutOfDiskError,
)


def _wait(source: Source, reference: Any, progress: Progress) -> None:
    """Wait for a source's images, and say from time to time that they are being read: the worker's words do not come
    here."""
    since = time.monotonic()
    while not ray.wait([reference], timeout=LOG_SECONDS, fetch_local=False)[0]:
        seconds = time.monotonic() - since
        progress.say([f"data: {image_count(source.data):,} images of {source.data.dataset}: read for {seconds:.0f} s"])


def fit(
    trainable: Any, suggestions: Suggestions, callback: Callback, stopper: Stopper, workers: int, scratch: Path
) -> None:
    """Let Tune run the units that are suggested; return when they ended or were stopped."""

    def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([nodes.asked(config["unit"])])

    tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=suggestions,
            scheduler=Placing(),
            reuse_actors=True,
            max_concurrent_trials=workers,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=tempfile.mkdtemp(dir=scratch),
            verbose=0,
            stop=stopper,
            callbacks=[callback],
        ),
    ).fit()
