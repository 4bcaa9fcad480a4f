"""The dry run as text: a sweep's settings, what is done of it, and what the rest will cost."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sweeps.config.grid import common_settings
from sweeps.config.settings import Settings, Value, flatten, null_is_a_value
from sweeps.config.stages import STAGES, stages_of
from sweeps.data.datasets import DATASETS, Data, DataError, check_files, declared, image_count, shape, title
from sweeps.ledger.ledger import Ledger
from sweeps.plan.plan import Plan, seconds_left
from sweeps.plan.sharding import flops
from sweeps.plan.unit import Unit, by_key
from sweeps.run import search_text
from sweeps.run.machine import Machine, warnings
from sweeps.search.asked import Archive
from sweeps.text import count_text, size_text, value_text

PROCESS_BYTES = 870 * 10**6  # of a worker, less images and model (measured: 680 MB before the first image, then scores)
UNIT_FILE_BYTES, EPOCH_BYTES = 35_000, 250  # of a Parquet file and a log (measured: 46 kB in all at 40 epochs)
MAX_ROWS = 60


def worker_bytes(settings: Settings) -> int:
    """Estimate the memory of a worker that carries out the stage of this configuration that takes most."""
    return PROCESS_BYTES + _image_bytes(settings) + max(stage.memory(settings) for stage in stages_of(settings))


def dry_run(
    plan: Plan,
    ledger: Ledger,
    workers: int,
    retry: bool,
    archive: Archive | None = None,
    machine: Machine | None = None,
) -> str:
    """Return rows, units, images to train, memory and disk as text, and hours as far as units were measured.

    Args:
        archive: the suggestions of the sweep's search, if it has one.
        machine: where the units are to train; None if that is not known, as on a cluster.
    """
    rows = [units[0].settings for units in plan.rows]
    possible = search_text.possible(archive if plan.chosen is None else None)
    if not rows and not possible:
        return f"sweep {plan.grid.name}: no unit in this part"
    flats = [flatten(row) for row in (*rows, *possible)]
    shared = {path: value for path, value in common_settings(flats).items() if value is not None}
    missing = plan.missing(retry)
    lines = [f"sweep {plan.grid.name} in {ledger.storage.root}", ""]
    lines += [f"  {path}: {value_text(value)}" for path, value in shared.items()]
    shown = {*shared, *plan.label_settings, *(() if archive is None else archive.search.space)}
    lines += [f"  {path}: {text}" for path, text in _settings_of_some_rows(flats, shown).items()]
    repeats = plan.grid.merged if plan.chosen is None else 0
    lines += ["", f"{len(rows)} configurations" + (f" ({repeats} repeats merged)" if repeats else "")]
    for row, units in list(zip(rows, plan.rows, strict=True))[:MAX_ROWS]:
        done = sum(unit.id in plan.done for unit in units)
        parameters = f"{row.final_cost.parameters:>11,} parameters"
        if row.schedule.switch_epoch is not None:
            parameters += f" ({row.cost.parameters:,} before the switch)"
        lines.append(f"  {units[0].key}  {done}/{len(units)} done  {parameters}  {units[0].label}")
        for later in by_key(units)[1:]:
            unit, done = later[0], sum(unit.id in plan.done for unit in later)
            if of_stage := STAGES[unit.stage].parameters(unit.settings):
                of_unit = f"{of_stage:>11,} parameters  {unit.stage_label}"
                lines.append(f"  {unit.key}  {done}/{len(later)} done  {of_unit}")
    if len(rows) > MAX_ROWS:
        lines.append(f"  ... and {len(rows) - MAX_ROWS} more")
    failed = len(plan.still_failed)
    stages = [own[0].settings for units in plan.rows for own in by_key(units)]
    largest = max(map(worker_bytes, (*stages, *possible)))
    lines += [] if archive is None else search_text.description(archive)
    lines += [
        "",
        f"{len(plan.units)} units: {plan.count(plan.done)} done, {failed} failed"
        f"{' (--retry trains them again)' if failed and not retry else ''}, {len(missing)} to train",
        f"{_up_to(row.data for row in rows)}{sum(unit.images_to_train for unit in missing):,} images to train "
        f"(images x epochs), about {sum(map(flops, missing)):.1e} floating-point operations",
        f"memory: about {size_text(largest)} in the largest worker; {workers} at a time",
        f"disk: about {size_text(sum(map(_unit_bytes, missing)))} more",
        _hours(missing, ledger, workers),
    ]
    if again := _not_kept(missing, plan, ledger):
        lines.append(
            f"{count_text(again, 'done model')} not kept: trained again first, which is in none of these numbers"
        )
    if archive is not None and (more := search_text.new_units(archive)):
        lines.append(f"the search adds up to {count_text(more, 'unit')}, which are in none of these numbers but memory")
    if machine is not None and (missing or possible):
        to_train = [*(unit.settings for unit in missing), *possible]
        own = max(worker_bytes(row) - _image_bytes(row) for row in to_train)
        images = sum(map(_image_bytes, {row.data: row for row in to_train}.values()))
        lines += warnings(machine, to_train, own, images, workers)
    return "\n".join(lines + _data_notes([*rows, *possible]))


def _image_bytes(settings: Settings) -> int:
    return image_count(settings.data) * settings.architecture.channels * settings.architecture.side**2


def _settings_of_some_rows(flats: Sequence[dict[str, Value]], shown: set[str]) -> dict[str, str]:
    """Return as text the settings that are not shown yet: those that only some rows have, and those left null."""
    texts = {}
    for path in [path for path in dict.fromkeys(path for flat in flats for path in flat) if path not in shown]:
        values = dict.fromkeys(value_text(flat[path]) for flat in flats if flat.get(path) is not None)
        if values or null_is_a_value(path):
            somewhere = " where it applies" if any(flat.get(path) is None for flat in flats) else ""
            texts[path] = f"{' or '.join(values)}{somewhere}" if values else "null"
    return texts


def _not_kept(missing: Sequence[Unit], plan: Plan, ledger: Ledger) -> int:
    """Return how many done trainings have no kept model that a missing unit needs."""
    needed = {unit.training_id for unit in missing if unit.requires and unit.training_id in plan.done}
    kept = set(ledger.storage.names("models")) if needed else set()
    return sum(f"{key}-fold{fold}.safetensors" not in kept for key, fold in needed)


def _unit_bytes(unit: Unit) -> int:
    kept = {"none": False, "fold0": unit.fold == 0, "all": True}[unit.settings.keep_models]
    stage, settings = STAGES[unit.stage], unit.settings
    model_bytes = 4 * stage.parameters(settings) if kept else 0
    return UNIT_FILE_BYTES + EPOCH_BYTES * stage.epochs(settings) + model_bytes


def _hours(missing: Sequence[Unit], ledger: Ledger, workers: int) -> str:
    measured: dict[str, list[float]] = defaultdict(list)
    for row in ledger.read("units", ["key", "fold", "seconds"])[0]:
        measured[row["key"]].append(row["seconds"])
    seconds, unknown = seconds_left(missing, measured)
    if not missing:
        return "hours: nothing to train"
    if unknown == len(missing):
        return "hours unknown: no unit of these configurations is measured yet"
    rest = f"; hours unknown for {unknown} units, whose configurations are not measured yet" if unknown else ""
    return f"hours: {seconds / workers / 3600:.2f} for {len(missing) - unknown} units on {workers} workers{rest}"


def _data_notes(rows: Sequence[Settings]) -> list[str]:
    notes = []
    for data in dict.fromkeys(row.data for row in rows):
        notes += [_data_note(data), *DATASETS[data.dataset].notes_before_reading(data)]
    return notes


def _up_to(data: Iterable[Data]) -> str:
    """Return "up to " before a number of images if only reading a folder's files shows which of them can be used."""
    return "up to " if any(DATASETS[d.dataset].resizes for d in data) else ""


def _data_note(data: Data) -> str:
    channels, side = shape(data)
    if declared(data) is None:
        try:
            check_files(data)
        except DataError as error:
            return f"data: {error}; its images, its keys and its done units are unknown"
    return f"data: {title(data)}, {_up_to([data])}{image_count(data):,} images of {channels}x{side}x{side}"
