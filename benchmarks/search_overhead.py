"""What a search costs its driver, without the trainings: time per suggestion, start of a resumed search, and memory.

    python benchmarks/search_overhead.py page [--configurations 1000]

The folder of a search is made: suggestions that lie in the space of `search_digits.yaml`, and five records for each,
with a file of its own or compacted. New processes resume it with the command itself, whose units write made-up records
instead of training, until some more suggestions are done. Times are CPU seconds of the process, because the wall clock
shows other work on the machine as well.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from ledger_scale import machine, results

from sweeps.backends.base import RunContext
from sweeps.config import grid
from sweeps.config.settings import Settings, flatten
from sweeps.data.datasets import Loaded
from sweeps.data.hashes import fingerprint
from sweeps.ledger import suggestions
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.schema import UNIT_SCHEMA, Row, settings_row
from sweeps.plan.identity import key_of, units_of
from sweeps.plan.unit import Outcome, Unit
from sweeps.run.command import command
from sweeps.run.options import Options
from sweeps.run.train import Components
from sweeps.search.space import Params, default_params, settings_of
from sweeps.search.study import propose

FILE = Path(__file__).parent / "search_digits.yaml"
NAME = "search_digits"
ASKS, REPETITIONS, BAR = 5, 3, 5.0
COMPACTED, FILES = "compacted", "a file each"

app = typer.Typer(add_completion=False)


def made_search(root: Path, n: int) -> None:
    """Write a search of n configurations, drawn at random, with records for all their units."""
    search = grid.load(str(FILE)).search
    assert search is not None
    ledger, at_random = open_ledger(root, NAME), replace(search, sampler="random")
    points: list[Params] = [default_params(search)]
    points += [propose(at_random, [], number) for number in range(2, n + 1)]
    configurations = [settings_of(search, point) for point in points]
    for number, (point, settings) in enumerate(zip(points, configurations, strict=True), 1):
        made = suggestions.Suggestion(number, point, flatten(settings), key_of(settings), search.seed)
        suggestions.create(ledger.storage, made)
    units = [unit for settings in configurations for unit in units_of(settings)]
    table = pa.Table.from_pylist([settings_row(unit) for unit in units], UNIT_SCHEMA)
    random = np.random.default_rng(0)
    made_results = results(units, random) | {
        "unconditioned_per_pixel": pa.array([score(unit.settings, random) for unit in units])
    }
    table = pa.table([made_results.get(name, table[name]) for name in UNIT_SCHEMA.names], UNIT_SCHEMA)
    for i, unit in enumerate(units):
        sink = pa.BufferOutputStream()
        pq.write_table(table.slice(i, 1), sink)
        ledger.storage.write(f"units/{unit.name}.parquet", sink.getvalue())


def score(settings: Settings, random: np.random.Generator) -> float:
    """Return a made-up error, which is lowest at a learning rate of 2e-3 and a weight of the latent loss of 0.3."""
    rate, weight = np.log10(settings.training.lr / 2e-3), np.log10(settings.loss.latent_weight / 0.3)
    return float(0.01 * (1 + rate**2 + weight**2) + 0.001 * random.random())


class EnoughError(Exception):
    """Ends the command after the last suggestion that is measured."""


class MadeUnits:
    """Runs a unit by writing a made-up record, and measures the process in between.

    Attributes:
        start: CPU seconds and seconds from the command's start to the first unit of its first suggestion.
        asks: CPU milliseconds from the end of a suggestion's last fold to the start of the next one's first fold.
        folds: CPU milliseconds from the end of a fold to the start of the next fold.
        memory: the process's own memory (USS) in MB at the first unit and after the last suggestion.
    """

    def __init__(self) -> None:
        self.random = np.random.default_rng(1)
        self.process = psutil.Process()
        self.start: tuple[float, float] = (0.0, 0.0)
        self.asks: list[float] = []
        self.folds: list[float] = []
        self.memory: list[float] = []
        self._began = self._ended = (time.process_time(), time.perf_counter())

    def run(self, unit: Unit, loaded: Loaded, context: RunContext, *hooks: Any) -> Outcome:
        cpu, clock = time.process_time(), time.perf_counter()
        if not self.memory:
            self.start = cpu - self._began[0], clock - self._began[1]
            self.memory.append(self.process.memory_full_info().uss / 1e6)
        elif unit.fold == 0:
            self.asks.append(1e3 * (cpu - self._ended[0]))
        else:
            self.folds.append(1e3 * (cpu - self._ended[0]))
        if len(self.asks) == ASKS:
            self.memory.append(self.process.memory_full_info().uss / 1e6)
            raise EnoughError
        row: Row = {"unconditioned_per_pixel": score(unit.settings, self.random), "seconds": 3.0}
        hashes = {"data_hash": loaded.data_hash or fingerprint(loaded.images)}
        context.ledger.write(unit, row | hashes | {"best_epoch": 1, "history": []})
        self._ended = time.process_time(), time.perf_counter()
        return Outcome.DONE


@app.command()
def resume(root: str, n: int, sampler: str) -> None:
    """Resume a made search in this process, and print the measurements as JSON."""
    units = MadeUnits()
    overrides = [f"search.sampler={sampler}", f"search.configurations={n + ASKS + 1}"]
    options = Options(root, inline=True, accept_images=True)
    try:
        command(str(FILE), overrides, options, Components(run_unit=units.run))
    except EnoughError:
        found = {"start": units.start, "asks": units.asks, "folds": units.folds, "memory": units.memory}
        print(json.dumps(found), file=sys.stderr)


def measured(folder: Path, n: int, sampler: str) -> dict[str, Any]:
    """Resume a copy of a made search in a new process, and return its measurements."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        arguments = [sys.executable, __file__, "resume", copy, str(n), sampler]
        done = subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])
        return found


def line(sampler: str, n: int, form: str, turns: list[dict[str, Any]]) -> str:
    """Return a line of the table: medians over the turns, with the range of the start and of the suggestions."""
    start, wall = [turn["start"][0] for turn in turns], [turn["start"][1] for turn in turns]
    asks = [ask for turn in turns for ask in turn["asks"]]
    memory = [turn["memory"][i] for i in (0, -1) for turn in turns]
    cells = [
        f"{median(start):.1f} ({min(start):.1f} to {max(start):.1f})", f"{median(wall):.0f}",
        f"{median(asks):.0f} ({min(asks):.0f} to {max(asks):.0f})",
        f"{median(fold for turn in turns for fold in turn['folds']):.1f}", f"{max(memory):.0f}",
    ]  # fmt: skip
    return f"| {sampler} | {n:,} | {form} | {' | '.join(cells)} |"


@app.command()
def page(configurations: Annotated[int, typer.Option(help="at the most")] = 1000) -> None:
    """Print the tables of the page."""
    sizes = [n for n in (10, 100, 300) if n < configurations] + [configurations]
    cells = [("tpe", n, COMPACTED) for n in sizes] + [("random", n, COMPACTED) for n in (sizes[0], sizes[-1])]
    cells.append(("tpe", sizes[-1], FILES))
    turns: dict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for n in sizes:
            made_search(root / f"{n} {FILES}", n)
            shutil.copytree(root / f"{n} {FILES}", root / f"{n} {COMPACTED}")
            compact(open_ledger(root / f"{n} {COMPACTED}", NAME))
        for turn in range(REPETITIONS):
            for sampler, n, form in cells:
                print(turn + 1, sampler, n, form, file=sys.stderr, flush=True)
                turns[sampler, n, form].append(measured(root / f"{n} {form}", n, sampler))
    print(f"{machine()}, optuna {version('optuna')}; load {load:.0f} when it began.\n")
    print(
        "| sampler | configurations | records | start, CPU s | start, s | a suggestion, CPU ms | a fold, CPU ms | MB |"
    )
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for cell in cells:
        print(line(*cell, turns[cell]))
    least = median(turn["start"][0] for turn in turns[cells[0]])
    for cell in cells:
        if cell[1] == sizes[-1]:
            more = median(turn["start"][0] for turn in turns[cell]) - least
            verdict = "is met" if more < BAR else "is not met"
            print(
                f"\n{cell[0]}, {cell[2]}: {more:.1f} CPU s more than with {sizes[0]}; the bar of {BAR:.0f} s {verdict}."
            )


if __name__ == "__main__":
    app()
