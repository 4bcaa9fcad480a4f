"""Ray Tune as a back end: it runs units on workers. The ledger says what is done; Ray only places work.

Facts about Ray 2.60 that shape this file: `Tuner.fit` also returns when it was stopped; starting an actor anew for each
trial costs seconds; arguments of `with_parameters` are unpickled for each trial, so they must not hold all units.
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

from sweeps.backends.base import RunContext, load_with_folds
from sweeps.backends.progress import Progress
from sweeps.backends.ray_tune import gpu_sharing, nodes, session
from sweeps.backends.ray_tune.callbacks import Callback, Stopper
from sweeps.backends.ray_tune.internals import FirstPendingScheduler
from sweeps.backends.ray_tune.suggestions import Suggestions
from sweeps.backends.ray_tune.trial import trial
from sweeps.backends.stop import Stop, StopFile
from sweeps.data.datasets import DataError, Loaded, Source, image_count, title
from sweeps.data.readers import LOG_SECONDS
from sweeps.data.splits import FoldDraw
from sweeps.plan.unit import Unit
from sweeps.plan.work_source import Envelope, WorkSource
from sweeps.text import count_text, error_line


@dataclass(frozen=True)
class RayTune:
    """Runs units on `workers` workers of this machine, or of the cluster at `address`.

    Attributes:
        wait_seconds: how long to wait for a node that is large enough for every unit.
        per_gpu: how many units share a GPU; None: the grid's `resources.gpus` decides.
        sees_gpu: whether there is a GPU; called in workers.
        measure_memory: bytes of GPU memory that a unit takes, and bytes of the whole GPU; called in workers.
    """

    workers: int
    address: str | None = None
    wait_seconds: float = 0.0
    per_gpu: gpu_sharing.UnitsPerGpu | None = None
    sees_gpu: Callable[[], bool] = nodes.sees_gpu
    measure_memory: gpu_sharing.MeasureMemory = gpu_sharing.measure_memory

    def run(self, source: WorkSource, context: RunContext, progress: Progress, stop: Stop) -> None:
        """Run units until the source is done or a stop is requested. Raises as `Backend.run`.

        PlacementError also means that there is no cluster at the address, or that torch does not see the GPU of a node
        that joined later.
        """
        envelope = source.envelope()
        examples: Sequence[Unit] = envelope.units
        if self.per_gpu is not None:
            examples = [unit.with_gpus(1.0) for unit in examples]
        where = "" if self.address is None else f" on the cluster at {self.address}"
        progress.prepare(f"starting Ray with {count_text(self.workers, 'worker')}{where}")
        ours = not ray.is_initialized()  # a notebook or a test may have started Ray; then it keeps running
        scratch = session.scratch_folder()
        try:
            with session.ray_running(examples, self.workers, self.address) if ours else contextlib.nullcontext():
                if ours:
                    stop.install_handlers()  # again: Ray's own SIGTERM handler aborts the process
                self._run(source, context, progress, stop, examples, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            gc.collect()  # Tune's trials refer to each other; this frees their memory for the report

    def _run(
        self,
        source: WorkSource,
        context: RunContext,
        progress: Progress,
        stop: Stop,
        examples: Sequence[Unit],
        scratch: Path,
    ) -> None:
        """Run units on the Ray that is running."""
        envelope = source.envelope()
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        stop_file = StopFile(context.ledger.storage)
        stop.listeners.append(stop_file.create)
        try:
            nodes.check_resources(examples, self.wait_seconds)
            nodes.check_gpus(examples, self.sees_gpu)
            if self.address is not None:
                nodes.check_storage(context.ledger)
                nodes.check_plug_ins()
            progress.prepare("reading the images of " + ", ".join(title(source.data) for source in envelope.sources))
            images = _load_images(envelope, context, progress)
            with_share = self._choose_shares(examples, images, progress)
            suggestions = Suggestions(source, envelope.columns, context, stop, with_share)
            trainable = tune.with_parameters(trial, context=context, images=images, stop_file=stop_file)
            callback, stopper = Callback(suggestions, progress), Stopper(stop, progress, suggestions)
            progress.prepare("starting the workers")
            run_trials(trainable, suggestions, callback, stopper, self.workers, scratch)
            if suggestions.fatal_error is not None:
                raise suggestions.fatal_error
        finally:
            stop.listeners.remove(stop_file.create)
            stop_file.remove()

    def _choose_shares(
        self, examples: Sequence[Unit], images: dict[Source, Any], progress: Progress
    ) -> Callable[[Unit], Unit]:
        if self.per_gpu is None:
            return lambda unit: unit
        return gpu_sharing.choose_shares(examples, images, self.per_gpu, self.measure_memory, progress.say)


@ray.remote(num_cpus=0)
def _load(load: Callable[[Source], Loaded], source: Source, drawn: Sequence[FoldDraw]) -> Loaded:
    """Load a data set in a worker."""
    return load_with_folds(load, source, drawn)


def _load_images(envelope: Envelope, context: RunContext, progress: Progress) -> dict[Source, Any]:
    """Put each source's images into the object store once, and print notes on them.

    A worker of this node loads them, so that the driver needs neither torch nor the memory, and the other nodes need no
    data set.

    Returns:
        A reference to the loaded images of each source.

    Raises:
        DataError: images cannot be read, or done units saw other images.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    references = {
        source: _load.options(scheduling_strategy=here).remote(context.load, source, envelope.drawn(source))
        for source in envelope.sources
    }
    for source, reference in references.items():
        try:
            _wait_for_images(source, reference, progress)
            loaded: Loaded = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DataError):
                raise error.cause from None
            if isinstance(error.cause, MemoryError):
                raise DataError(f"{title(source.data)}: not enough memory to read the images") from None
            raise
        except _READER_LOST as error:
            raise DataError(
                f"{title(source.data)}: the images cannot be read: the process that read them died, or there is no "
                f"memory for them: {error_line(error)[:200]}"
            ) from None
        progress.say(context.check_images(source, loaded))
    return references


_READER_LOST = (
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.OutOfMemoryError,
    ray.exceptions.ObjectStoreFullError,
    ray.exceptions.OutOfDiskError,
)


def _wait_for_images(source: Source, reference: Any, progress: Progress) -> None:
    """Wait for a source's images, and print from time to time that a worker, whose log is not shown, reads them."""
    since = time.monotonic()
    while not ray.wait([reference], timeout=LOG_SECONDS, fetch_local=False)[0]:
        seconds = time.monotonic() - since
        n, name = image_count(source.data), title(source.data)
        progress.say([f"data: {n:,} images of {name}: reading for {seconds:.0f} s"])


def run_trials(
    trainable: Any, suggestions: Suggestions, callback: Callback, stopper: Stopper, workers: int, scratch: Path
) -> None:
    """Let Tune run the suggested units, and return when all have ended or were stopped."""

    def resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([nodes.ray_resources(config["unit"])])

    tune.Tuner(
        tune.with_resources(trainable, resources),
        tune_config=tune.TuneConfig(
            num_samples=-1,
            search_alg=suggestions,
            scheduler=FirstPendingScheduler(),
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
