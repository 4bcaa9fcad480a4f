"""What a back end is, the context it runs units in, and the function that runs one unit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import DataError, Loaded, Source, load, test_image_count, title
from sweeps.data.seen import SeenImages, check_seen
from sweeps.data.splits import FoldDraw, fold_numbers
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import Row
from sweeps.plan.unit import OnProgress, Outcome, Unit
from sweeps.plan.work_source import Record, WorkSource
from sweeps.text import error_line

WAIT_SECONDS = 0.5  # after which an idle back end asks a source again that returned Wait


class RunUnit(Protocol):
    """Runs one unit and records it in the context's ledger."""

    def __call__(
        self,
        unit: Unit,
        loaded: Loaded,
        context: "RunContext",
        on_progress: OnProgress,
        should_stop: Callable[[], bool],
    ) -> Outcome:
        """Return how the unit ended. Either error ends the sweep.

        Raises:
            StorageError: results cannot be written.
            PlacementError: the unit lacks a resource that it asks for.
        """


def train_unit(
    unit: Unit,
    loaded: Loaded,
    context: "RunContext",
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> Outcome:
    """Run one unit on a GPU if its settings give it a share of one, else on the CPU.

    What torch can see does not decide: a CPU worker on a GPU machine sees every GPU.
    """
    from sweeps.worker.devices import pick_device  # these import torch, which a dry run must not
    from sweeps.worker.run_unit import run_unit

    device = pick_device(unit.settings.resources.gpus)
    return run_unit(
        unit, loaded, context.ledger, device, context.provenance, on_progress, should_stop, context.tensorboard
    )


def load_with_folds(load: Callable[[Source], Loaded], source: Source, drawn: Iterable[FoldDraw]) -> Loaded:
    """Load a source's images, and draw its folds in the same process, so that units need not draw them.

    Raises:
        DataError: the images cannot be read, or are fewer than the folds.
    """
    loaded = load(source)
    n = len(loaded.images) - test_image_count(source)
    try:
        return loaded._replace(folds={kind: fold_numbers(n, kind) for kind in drawn})
    except ValueError as error:  # scikit-learn's: fewer images can be read than the folder has files
        raise DataError(f"data: {title(source.data)}: {n:,} images that can be read: {error_line(error)}") from error


@dataclass(frozen=True)
class RunContext:
    """Where results go, and how units are run. It is sent to workers: functions in it are pickled by reference.

    Attributes:
        provenance: the columns of `ledger.provenance`.
        tensorboard: a folder for event files; None writes none.
        load: reads the images of a source.
        seen: for each source, the sets of images that done units were trained on.
    """

    ledger: Ledger
    provenance: Row
    tensorboard: str | None = None
    run_unit: RunUnit = train_unit
    load: Callable[[Source], Loaded] = load
    seen: Mapping[Source, Sequence[SeenImages]] = field(default_factory=dict)

    def check_images(self, source: Source, loaded: Loaded) -> Sequence[str]:
        """Return the loader's notes, and harmless differences between these images and those that done units saw.

        Raises:
            DataError: done units saw other images.
        """
        return (*loaded.notes, *check_seen(source, loaded, self.seen.get(source, ())))

    def record(self, unit: Unit, outcome: Outcome, columns: Sequence[str]) -> Record | None:
        """Return these columns of a done unit's record; None if it is not done or no columns are asked for."""
        if not columns or not outcome.is_done:
            return None
        table, _ = self.ledger.try_read(f"units/{unit.name}.parquet", columns)
        return None if table is None else dict(table.to_pylist()[0])


class Backend(Protocol):
    """Runs what a work source hands out."""

    def run(self, source: WorkSource, context: RunContext, progress: Progress, stop: Stop) -> None:
        """Run units until the source is done or a stop is requested. The ledger tells the caller what was done.

        Raises:
            DataError: images cannot be read.
            PlacementError: the resources that units ask for are not there.
            StorageError: results cannot be written.
        """
