"""Measure what a large ledger costs: make one in a temporary folder, and time report, reading, compaction and export.

python benchmarks/ledger_scale.py [--units 100000] [--files 2000] > ledger_scale.md

It takes about 4 minutes and 1 GB of disk. Every measurement is repeated, in turns with the others, and shown as median
and range. The report may take at most 5 s and 1 GB at 100,000 units.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from sweeps.analysis.columns import BASE_COLUMNS, SETTING_COLUMNS
from sweeps.config import grid, yaml_reader
from sweeps.ledger import unit_file
from sweeps.ledger.compaction import BATCH, compact
from sweeps.ledger.ledger import COMPACTED, open_ledger
from sweeps.ledger.schema import UNIT_SCHEMA, settings_row
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Unit

FOLDS, EPOCHS, REPETITIONS = 5, 20, 3
SEEDS = UNIT_SCHEMA.field("seeds").type
SIZES = {"model.embeddings": [64, 128, 256, 512, 1024], "model.embedding_size": [4, 8, 16, 32, 64]}
METHODS = ["none", "conditioned", "multi_decoder", "single_decoder"]
GRID = """
name: {name}
data: {{dataset: digits}}
folds: {{n_splits: {folds}}}
training: {{epochs: {epochs}}}
grid: [{{family: vqvae, method: {methods}, model.embeddings: {embeddings}, model.embedding_size: {sizes},
         training.lr: {rates}}}]
"""

# Run a command, and print its seconds, its CPU seconds and its peak memory in MB. The timer is a process of its own,
# because a process's peak begins with its parent's, and this script is a large parent.
TIMER = """
import resource, subprocess, sys, time
began = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)
"""

EXPORT = """
import sys
from sweeps.analysis.export import export
from sweeps.ledger.ledger import open_ledger
export(open_ledger(sys.argv[1], "many"), sys.argv[2], sys.argv[3])
"""

Measured = dict[str, list[float]]


def made_grid(name: str, units: int) -> grid.Grid:
    """Return a grid of about `units` units: methods x sizes x learning rates."""
    rates = max(1, units // (FOLDS * len(METHODS) * 25))
    text = GRID.format(
        name=name,
        folds=FOLDS,
        epochs=EPOCHS,
        methods=METHODS,
        embeddings=SIZES["model.embeddings"],
        sizes=SIZES["model.embedding_size"],
        rates=[float(f"{rate:.6g}") for rate in np.geomspace(1e-5, 1e-1, rates)],
    )
    return grid.read(yaml_reader.parse(text), name)


def results(units: Sequence[Unit], random: np.random.Generator) -> dict[str, pa.Array]:
    """Return columns of results like those of trainings: as many digits, and an error that falls over the epochs."""
    n = len(units)
    level = random.uniform(0.005, 0.05, n)
    text = [random.bytes(32).hex() for _ in range(n)]
    return {
        "unconditioned_per_pixel": pa.array(level),
        "unconditioned_per_image": pa.array(level * 256),
        "conditioned_per_pixel": pa.array(level / 2, mask=np.array([u.settings.method == "none" for u in units])),
        "latent_loss": pa.array(level * random.uniform(0.5, 2, n)),
        "perplexity": pa.array(random.uniform(1, 64, n)),
        "mean_image_per_pixel": pa.array(np.full(n, 0.08)),
        "collapsed": pa.array(level > 0.04),
        "best_epoch": pa.array(random.integers(1, EPOCHS + 1, n)),
        "history": histories(level, random),
        "parameters": pa.array(random.integers(10_000, 1_000_000, n)),
        "images_trained": pa.array(np.full(n, 1294 * EPOCHS)),
        "seconds": pa.array(random.uniform(10, 100, n)),
        "split_hash": pa.array([f"{unit.fold}" * 16 for unit in units]),
        "data_hash": pa.array(["0" * 64] * n),
        "seeds": pa.array([{"fold": int(t[:15], 16), "init": int(t[15:30], 16)} for t in text], SEEDS),
        "device": pa.array(["cpu"] * n),
        "finished_at": pa.array(random.integers(17 * 10**14, 18 * 10**14, n), pa.timestamp("us", "UTC")),
        "git_commit": pa.array([text[0][:40]] * n),
        "versions": pa.array(['{"torch": "2.14.0", "numpy": "2.3.0"}'] * n),
    }


def histories(level: np.ndarray, random: np.random.Generator) -> pa.Array:
    """Return a history of EPOCHS epochs for every unit."""
    falling = (level[:, None] * (1 + 3 / np.arange(1, EPOCHS + 1))).ravel()
    type_ = UNIT_SCHEMA.field("history").type
    epoch = pa.array(np.tile(np.arange(1, EPOCHS + 1), len(level)))
    columns = [epoch, *[pa.array(falling * random.uniform(0.9, 1.1, len(falling))) for _ in list(type_.value_type)[1:]]]
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, len(falling) + 1, EPOCHS), pa.int32()),
        pa.StructArray.from_arrays(columns, fields=list(type_.value_type)),
        type=type_,
    )


def tables(plan: Plan) -> Iterator[pa.Table]:
    """Yield all units of a plan in the ledger's schema, BATCH units at a time."""
    random = np.random.default_rng(0)
    for start in range(0, len(plan.units), BATCH):
        units = plan.units[start : start + BATCH]
        settings = pa.Table.from_pylist([settings_row(unit) for unit in units], UNIT_SCHEMA)
        made = results(units, random)
        yield pa.table([made.get(name, settings[name]) for name in UNIT_SCHEMA.names], UNIT_SCHEMA)


def make_compacted(results_folder: Path, sweep: grid.Grid) -> None:
    """Write a compacted ledger, in row groups as compaction writes them."""
    ledger = open_ledger(results_folder, sweep.name)
    ledger.write_grid(sweep)
    with ledger.storage.writing(COMPACTED) as sink, pq.ParquetWriter(sink, UNIT_SCHEMA) as writer:
        for table in tables(Plan(sweep, frozenset(), frozenset())):
            writer.write_table(table)


def make_files(results_folder: Path, sweep: grid.Grid) -> None:
    """Write a ledger with one file per unit."""
    ledger = open_ledger(results_folder, sweep.name)
    ledger.write_grid(sweep)
    for table in tables(Plan(sweep, frozenset(), frozenset())):
        for i, (key, fold) in enumerate(unit_file.ids(table)):
            sink = pa.BufferOutputStream()
            pq.write_table(table.slice(i, 1), sink)
            ledger.storage.write(f"units/{key}-fold{fold}.parquet", sink.getvalue())


def process(found: Measured, name: str, *arguments: str) -> None:
    """Run a Python process, and add its seconds, CPU seconds and peak MB to what was found."""
    command = [sys.executable, "-c", TIMER, sys.executable, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    for measure, value in zip(("s", "CPU s", "MB"), done.stdout.split(), strict=True):
        found[f"{name}: {measure}"].append(float(value))


def timed(action: Callable[[], object]) -> float:
    """Return how many seconds an action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure(root: Path, files: int) -> Measured:
    """Measure everything REPETITIONS times, in turns."""
    found: Measured = defaultdict(list)
    reading = {
        "a file each": lambda: open_ledger(root, "files"),
        "a row of few": lambda: open_ledger(root, "few"),
        "a row of many": lambda: open_ledger(root, "many"),
    }
    count = {name: len(opened().units()) for name, opened in reading.items()}
    for _ in range(REPETITIONS):
        for sweep, name in (("many", "complete"), ("wider", "one configuration without a unit")):
            process(found, f"report, {name}", "-m", "sweeps.report", sweep, "--results", str(root))
        for what, ending in (("units", "csv"), ("curves", "csv"), ("curves", "parquet")):
            out = str(root / f"out.{ending}")
            process(found, f"export of {what} as {ending}", "-c", EXPORT, str(root), out, what)
        for name, opened in reading.items():
            found[f"list, {name}: µs per unit"].append(1e6 * timed(opened().units) / count[name])
            table = partial(opened().table, "units", [*SETTING_COLUMNS, *BASE_COLUMNS])
            found[f"read for a table, {name}: µs per unit"].append(1e6 * timed(table) / count[name])
        shutil.copytree(root / "files", root / "copy")
        found["compaction of 1,000 units: s"].append(1e3 * timed(partial(compact, open_ledger(root, "copy"))) / files)
        shutil.rmtree(root / "copy")
    return found


def sizes(root: Path) -> list[str]:
    """Return the page's lines on the bytes per unit of each form."""
    files = [file.stat() for file in (root / "files" / "units").iterdir()]
    lines = [f"| a file each | {mean(f.st_size for f in files):,.0f} | {mean(f.st_blocks * 512 for f in files):,.0f} |"]
    for sweep in ("few", "many"):
        file, n = (root / sweep / COMPACTED).stat(), len(open_ledger(root, sweep).units())
        lines.append(f"| {n:,} compacted | {file.st_size / n:,.0f} | {file.st_blocks * 512 / n:,.0f} |")
    return lines


def machine() -> str:
    """Describe the machine by its cores, processor and versions, without its name."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    versions = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "pydantic", "PyYAML"))
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {cpu[1] if cpu else platform.machine()}, Python {platform.python_version()}, {versions}"


def page(root: Path, units: int, files: int) -> str:
    """Return the page as Markdown."""
    began_at = os.getloadavg()[0]
    rows = "\n".join(
        f"| {name} | {median(values):.4g} | {min(values):.4g} to {max(values):.4g} |"
        for name, values in measure(root, files).items()
    )
    return "\n".join(
        [
            f"# A ledger of {units:,} units ({units // FOLDS:,} configurations x {FOLDS} folds, {EPOCHS} epochs each)",
            f"\n{machine()}; load {began_at:.1f} when it began. {REPETITIONS} repetitions, in turns; MB is the peak",
            f'memory of the process. "A file each" and "a row of few" are {files:,} units, in files of their own and',
            'compacted; "a row of many" is all units, compacted.\n',
            f"| | median | range |\n|---|---|---|\n{rows}\n",
            "| bytes per unit | of the file | on the disk |\n|---|---|---|",
            *sizes(root),
        ]
    )


def main(
    units: Annotated[int, typer.Option(help="of the compacted ledger, about")] = 100_000,
    files: Annotated[int, typer.Option(help="units with a file each, about")] = 2_000,
) -> None:
    """Print a page of Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        many, few = made_grid("many", units), made_grid("few", files)
        make_compacted(root, many)
        make_compacted(root, few)
        make_files(root, replace(few, name="files"))
        (root / "wider").mkdir()
        (root / "wider" / COMPACTED).symlink_to(root / "many" / COMPACTED)
        more = many.rows[0].model_copy(update={"seed": 1})
        open_ledger(root, "wider").write_grid(grid.Grid("wider", (*many.rows, more)))
        print(page(root, len(many.rows) * FOLDS, len(few.rows) * FOLDS))


if __name__ == "__main__":
    typer.run(main)
