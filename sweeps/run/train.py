"""Train the missing units of a sweep."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from sweeps.analysis import scores
from sweeps.backends.base import Backend, RunContext, RunUnit, train_unit
from sweeps.backends.inline import Inline
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.config import grid
from sweeps.data.datasets import Source, check_files
from sweeps.data.hashes import Hashes
from sweeps.data.seen import SeenImages
from sweeps.ledger import redo
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.running import RunningFile
from sweeps.ledger.schema import IMAGES
from sweeps.ledger.suggestions import SEARCH, STOPPED, remove_stopped
from sweeps.ledger.unit_file import without_units
from sweeps.plan.equivalent_limits import done_under_other_keys
from sweeps.plan.patterns import select, select_one
from sweeps.plan.plan import Plan
from sweeps.plan.same_work import check_same_work
from sweeps.plan.sharding import group_by_source, longest_first, parse, shard
from sweeps.plan.unit import Unit, UnitId
from sweeps.plan.work_source import GridSource, WorkSource
from sweeps.run import searching
from sweeps.run.options import Options
from sweeps.search.asked import Archive
from sweeps.text import count_text


def current_plan(ledger: Ledger, sweep: grid.Grid, options: Options, archive: Archive | None = None) -> Plan:
    """Return the plan as the ledger stands now: the grid's rows, and the suggestions of its search in ask order.

    Raises:
        ChoiceError: `--only` names no unit or several, or the plan would mix work (`check_same_work`).
    """
    return _plan_and_equivalents(ledger, sweep, options, archive)[0]


def _plan_and_equivalents(
    ledger: Ledger, sweep: grid.Grid, options: Options, archive: Archive | None
) -> tuple[Plan, dict[UnitId, Unit]]:
    """Return the current plan, and which of its units are done under another key, by the id of the done unit."""
    if archive is not None:
        archive.refresh()
        sweep = archive.with_suggestions(sweep)
    stopped = searching.stopped_keys(ledger, sweep)
    plan = Plan(sweep, ledger.units(), ledger.units("failed"), stopped=stopped)
    check_same_work(plan)
    if options.shard is not None:
        plan = plan.only(shard(plan.units, *parse(options.shard)))
    elif options.only is not None:
        plan = plan.only([select_one(plan.units, options.only, "--only")])
    same = done_under_other_keys(plan, redo.marked(ledger.storage))
    return plan.replaced(done=plan.done | {unit.id for unit in same.values()}), same


def units_to_redo(ledger: Ledger, plan: Plan, pattern: str | None) -> list[Unit]:
    """Return the done units that `--redo` names, and those built on them.

    Return none if the same command was stopped before and now resumes: what is left is marked already.

    Raises:
        ChoiceError: `pattern` names no unit of the plan.
    """
    if pattern is None:
        return []
    units = plan.with_children(select(plan.units, pattern, "--redo"))
    return [] if redo.in_progress(ledger.storage, units, pattern) else [unit for unit in units if unit.id in plan.done]


def backend_for(options: Options) -> Backend:
    """Return the back end that the command line asks for."""
    if options.in_process:
        return Inline()
    if options.address is None:  # so Ray opens its ports on loopback only, as for a cluster of one machine
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    from sweeps.backends.ray_tune.driver import RayTune

    return RayTune(options.at_a_time, options.address, options.wait, options.units_per_gpu())


@dataclass(frozen=True)
class Components:
    """What a run uses to train units; tests and other programs may replace each.

    Attributes:
        backend: runs units; None: the one that the options ask for.
        run_unit: runs one unit.
        make_source: makes a work source of the missing units in their order and the ids of the done ones.
    """

    backend: Backend | None = None
    run_unit: RunUnit = train_unit
    make_source: Callable[[Sequence[Unit], frozenset[UnitId]], WorkSource] = GridSource


DEFAULT_COMPONENTS = Components()


@dataclass(frozen=True)
class Ran:
    """What a run did.

    Attributes:
        stopped: whether a stop was requested.
        trained: how many units ended in it.
        seconds: how long it took.
        told: the failed units whose reason it printed.
    """

    stopped: bool = False
    trained: int = 0
    seconds: float = 0.0
    told: frozenset[UnitId] = frozenset()


NOTHING_RAN = Ran()


def train(
    ledger: Ledger,
    sweep: grid.Grid,
    options: Options,
    components: Components = DEFAULT_COMPONENTS,
    archive: Archive | None = None,
    write_grid: Callable[[], None] | None = None,
) -> Ran:
    """Train the missing units and what a search suggests, and return what was done.

    Args:
        archive: the suggestions in the ledger, if the grid has a search.
        write_grid: writes the rows that a report shows, before the first unit starts; None: the grid's.

    Raises:
        ChoiceError, DataError, PlacementError, StorageError: one line for the user, as `command` prints it.
    """
    from sweeps.ledger.provenance import provenance
    from sweeps.ledger.tensorboard import prepare_folder

    write_grid = write_grid or partial(searching.write_grid, ledger, sweep, archive)
    plan, same = _plan_and_equivalents(ledger, sweep, options, archive)
    to_redo = units_to_redo(ledger, plan, options.redo)
    _check_data(plan.retraining(to_redo), options.retry)  # bad input is reported before anything is written
    tensorboard = None if options.tensorboard is None else prepare_folder(options.tensorboard)
    if adopted := ledger.adopt(same):
        print(
            f"counted here too: {count_text(adopted, 'unit')} done under another data.limit that means the same images"
        )
    done, damaged = ledger.set_damaged_aside([*IMAGES, *searching.columns_read(sweep)])
    for name, why in damaged:
        print(f"{ledger.storage.path(name)}: damaged ({why}); kept as {name}.damaged, and trained again")
    _sweep_temporary(ledger)
    if to_redo:
        for key in {unit.training_id[0] for unit in to_redo} & plan.stopped:  # the race decides about it again
            remove_stopped(ledger.storage, key)
        redo.mark(ledger.storage, to_redo, options.redo or "")
        done = without_units(done, {unit.id for unit in to_redo})
    plan = current_plan(ledger, sweep, options, archive)
    missing = _check_data(plan, options.retry)
    blocked = {unit.id for unit in GridSource(missing, plan.done).blocked}
    to_train = [unit for unit in missing if unit.id not in blocked]

    ask = archive is not None and archive.may_ask and options.only is None
    if not to_train and not ask:
        write_grid()
        return NOTHING_RAN
    searching.check_images(archive if ask else None)
    running = RunningFile(ledger.storage)
    progress = Progress(
        plan,
        to_train,
        before_first_unit=write_grid,
        details=partial(scores.ending, ledger),
        on_change=lambda parts: running.note({unit.name: part for unit, part in parts.items()}),
        verbosity=options.verbosity,
    )
    sources = searching.Sources(
        ledger, sweep, plan, archive, options.retry, progress.say, done, partial(_make_source, components, plan)
    )
    ordered = group_by_source(to_train) if options.in_process else longest_first(to_train)
    source = sources.make(ordered, only=options.only is not None)
    progress.expect(source.envelope().n_units)
    if not progress.total:  # the hours of the search are used up
        write_grid()
        return NOTHING_RAN
    seen = {} if options.accept_images else _images_seen(plan, done)
    context = RunContext(ledger, provenance(), tensorboard, components.run_unit, seen=seen)
    stop = Stop()
    stop.install_handlers()
    stop.listeners.append(progress.announce_stop)
    began_at = time.monotonic()
    try:
        with progress:
            (components.backend or backend_for(options)).run(source, context, progress, stop)
    finally:
        running.remove()
    _sweep_temporary(ledger)  # a worker that died while it wrote a file left it behind
    if archive is not None:  # other drivers may have written fewer suggestions after this one's last
        archive.refresh()
        ledger.write_rows(searching.shown_rows(ledger, sweep, archive))
    seconds = time.monotonic() - began_at
    return Ran(stop.requested, progress.finished_units, seconds, frozenset(progress.told))


def _make_source(components: Components, plan: Plan, units: Sequence[Unit]) -> WorkSource:
    return components.make_source(units, plan.done)


def _images_seen(plan: Plan, done: pa.Table) -> dict[Source, list[SeenImages]]:
    """Return for each source the sets of images that the grid's done units saw, also units that the plan leaves out."""
    units = {unit.id: unit for unit in plan.replaced(chosen=None).units if unit.id in plan.done}
    counts: Counter[tuple[Source, Hashes]] = Counter()
    examples: dict[tuple[Source, Hashes], Unit] = {}
    for record in done.select(["key", "fold", *IMAGES]).to_pylist():
        if (unit := units.get((record["key"], record["fold"]))) is not None:
            kind = unit.settings.source, (record["data_hash"], record["files_hash"])
            counts[kind] += 1
            examples.setdefault(kind, unit)
    seen: dict[Source, list[SeenImages]] = {}
    for (source, found), n in counts.items():
        seen.setdefault(source, []).append(SeenImages(found, n, str(examples[source, found])))
    return seen


def _sweep_temporary(ledger: Ledger) -> None:
    """Remove temporary files of processes that are gone from every folder of the sweep."""
    for folder in ("units", "failed", "logs", "checkpoints", "models", redo.FOLDER, SEARCH, STOPPED, ""):
        ledger.storage.sweep_temporary(folder)


def _check_data(plan: Plan, retry: bool) -> list[Unit]:
    """Return the missing units, after checking that their images' files are there. Raises DataError if they are not."""
    missing = plan.missing(retry)
    for data in dict.fromkeys(unit.settings.data for unit in missing):
        check_files(data)
    return missing
