"""The command's `--probe`: it trains each shape of a sweep for some steps, and estimates the hours of the rest."""

import json
import tempfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sweeps.backends.base import RunContext
from sweeps.backends.progress import QUIET, Progress
from sweeps.backends.stop import Stop
from sweeps.data.datasets import Loaded
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import group_by_source, longest_first
from sweeps.plan.timings import Timing, shape_of, units_to_time
from sweeps.plan.unit import OnProgress, Outcome, Unit
from sweeps.plan.work_source import GridSource
from sweeps.run.options import Options
from sweeps.run.train import Components, backend_for
from sweeps.text import count_text, duration

BUSY = 1.2  # from this ratio of the clock's seconds to the processor's, other processes are said to take cores


@dataclass(frozen=True)
class Estimate:
    """How long a sweep's missing units will take.

    Attributes:
        cpu: seconds of the processor, of all units together.
        clock: seconds of the clock, of all units together, if the machine stays as busy as it was.
        on_gpu: whether units train on a GPU, where only the clock counts.
        unknown: how many units are in neither, because no unit of their shape could be timed.
        reasons: why units could not be timed, each once.
        shapes: for each shape a unit of it, its seconds, and how many missing units it has.
    """

    cpu: float
    clock: float
    on_gpu: bool
    unknown: int
    reasons: tuple[str, ...]
    shapes: tuple[tuple[Unit, float, int], ...]


def time_and_note(
    unit: Unit, loaded: Loaded, context: RunContext, on_progress: OnProgress, should_stop: Callable[[], bool]
) -> Outcome:
    """Time one unit as a `RunUnit`, and note its times as `<name>.json` in the context's folder.

    A unit that fails leaves the reason there.
    """
    if should_stop():
        return Outcome.STOPPED
    from sweeps.worker.devices import pick_device  # these import torch, which a dry run must not
    from sweeps.worker.timing import time_unit

    noted: Mapping[str, Any]
    try:
        noted = time_unit(unit, loaded, pick_device(unit.settings.resources.gpus)).describe()
    except Exception as error:
        noted = {"reason": f"{type(error).__name__}: {error}"}
    context.ledger.storage.write(f"{unit.name}.json", json.dumps(noted).encode())
    return Outcome.DONE


def probe(plan: Plan, options: Options, components: Components = Components()) -> Estimate:  # noqa: B008 - frozen
    """Time a unit of each shape with the back end of a run, as many at a time as a run trains, and estimate the rest.

    Raises:
        DataError, PlacementError: as `Backend.run`.
    """
    missing = plan.missing(options.retry)
    if not missing:
        return estimate((), {})
    to_time = units_to_time(missing, options.at_a_time)
    ordered = group_by_source(to_time) if options.in_process else longest_first(to_time)
    noted: dict[Hashable, list[Timing]] = {}
    reasons: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sweeps-probe.") as folder:
        storage = Storage(folder)
        context = RunContext(Ledger(storage), {}, None, time_and_note)
        progress = Progress(plan, ordered, verbosity=QUIET)
        stop = Stop()
        stop.install_handlers()
        with progress:
            (components.backend or backend_for(options)).run(GridSource(ordered), context, progress, stop)
        for unit in to_time:
            found = json.loads(storage.try_read(f"{unit.name}.json") or b'{"reason": "stopped"}')
            if "reason" in found:
                reasons.append(f"not timed: {unit}: {found['reason']}")
            else:
                noted.setdefault(shape_of(unit), []).append(Timing.from_description(**found))
    return estimate(missing, noted, tuple(dict.fromkeys(reasons)))


def estimate(missing: Sequence[Unit], noted: dict[Hashable, list[Timing]], reasons: tuple[str, ...] = ()) -> Estimate:
    """Sum up the missing units' seconds by the timings of their shapes."""
    cpu = clock = 0.0
    unknown = 0
    shapes: dict[Hashable, tuple[Unit, float, int]] = {}
    for unit in missing:
        shape = shape_of(unit)
        timings = noted.get(shape)
        if not timings:
            unknown += 1
            continue
        own_cpu = sum(timing.cpu.of(unit) for timing in timings) / len(timings)
        own_clock = sum(timing.clock.of(unit) for timing in timings) / len(timings)
        cpu, clock = cpu + own_cpu, clock + own_clock
        first, seconds, n = shapes.get(shape, (unit, own_clock if timings[0].on_gpu else own_cpu, 0))
        shapes[shape] = first, seconds, n + 1
    on_gpu = any(timing.on_gpu for timings in noted.values() for timing in timings)
    return Estimate(cpu, clock, on_gpu, unknown, reasons, tuple(shapes.values()))


def probe_lines(plan: Plan, found: Estimate, workers: int) -> list[str]:
    """Return an estimate as text: a line for each shape, and the hours."""
    n = len(plan.missing()) if found.shapes or found.unknown else 0
    lines = [f"sweep {plan.grid.name}: {count_text(len(found.shapes), 'shape')} of {count_text(n, 'unit')}"]
    lines += [
        f"  {duration(seconds)} a unit, {count_text(n, 'unit')} like {unit.stage_label}"
        for unit, seconds, n in found.shapes
    ]
    lines += found.reasons
    if not found.shapes:
        return [*lines, "hours unknown" if found.unknown else "hours: nothing to train"]
    known = n - found.unknown
    of = f"for {count_text(known, 'unit')}, {workers} at a time"
    if found.on_gpu:
        lines.append(f"hours: {found.clock / workers / 3600:.3f} {of}")
    else:
        lines.append(f"hours: {found.cpu / workers / 3600:.3f} {of} ({found.cpu:,.0f} CPU seconds)")
        if found.clock > BUSY * found.cpu:
            lines.append(f"other processes take cores now: {found.clock / workers / 3600:.3f} hours if that stays so")
    if found.unknown:
        lines.append(f"hours unknown for {count_text(found.unknown, 'unit')}")
    return lines
