"""Measure what a large sweep costs its driver: planner, ledger, Ray and callbacks, without the trainings.

python benchmarks/driver_scale.py [--seeds 11,33,112] [--workers 16] [--seconds 0.7] > driver_scale.md

`recorded.py` replaces each training by its recorded time. The grid is that of results/digits under several seeds, with
90 units per seed; 112 seeds are 10,080 units and take a quarter of an hour. The last measurements need no worker: plan,
dry run and status at 100,000 units.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
import yaml
from ledger_scale import TIMER, machine, timed
from recorded import SCALE, STARTED, SWEEP, WORKERS, recorded

from sweeps.config import grid, yaml_reader
from sweeps.ledger.ledger import Ledger, open_ledger
from sweeps.plan.plan import Plan

HERE = Path(__file__).parent
MANY = 1111  # seeds: 99,990 units
_ENDED = re.compile(r"\[(?P<n>\d+)/(?P<total>\d+)\] done: ")

NOTES = """
The first units wait until all workers have started. So "until the first unit starts" is mostly the start of Ray's
workers on few cores, and the makespan is that of a sweep under way. "After the last unit" includes the printed report.

## What broke first, and what was done

The column "before" was measured at commit 351bb34, on the same machine under more load:

| what | before | now |
|---|---|---|
| a worker unpickled all units for each of its trials | 0.25 s at 10,000 units, 3.9 s at 100,000 | its own unit |
| Tune copied the list of all units for each of them; its scheduler looked at all trials at every step; \
a file of all trials every 10 s | CPU per unit 51 ms in 990 units, 164 ms in 2,970 | flat |
| Tune kept each result with its settings, and statistics of every number in it | 67 kB per unit | 12 kB |
| Tune's last file of all trials, then the tables of all units' files at once | 1.3 GB at 10,080 units | 0.5 GB |
| within a fold the longest units start first: recorded times of results/digits, makespan / bound | 1.14 on 16 \
workers, 1.30 on 32 | 1.09, 1.24 |

At 100,000 units memory breaks next: these slopes lead to about 1.5 GB. Then comes the start of a resumed sweep, which
reads the files of all done units (1.6 ms each, 160 s) before its first unit; `python -m sweeps.report SWEEP --compact`
makes that 0.1 s. `--shard` divides both.

After these measurements, the driver was changed to collect Tune's leftovers before the report. That makes its peak at
10,080 units 420 MB instead of 501 (4 workers, 0.02 s in the mean unit, one run; still 379 MB at the last unit).

Units that are shorter than the start of a worker (a second or more) fill all workers as well: each of 16 workers had 5
to 12 of 120 units of 0.5 s, on 2 cores. Tune gives a free worker the next unit of the source, and cancels no start.

When Tune began to ask a work source for units, both ways were measured (1,170 units, 4 workers, 0.1 s in the mean unit,
three turns of each on a loaded machine). CPU per unit was 8.0 to 9.2 ms before and 8.2 to 8.6 ms after, memory at the
last unit 251 to 252 MB and 251 MB.
"""


def grid_file(folder: Path, seeds: int) -> Path:
    """Write the grid of results/digits with every row under `seeds` seeds, and return its path."""
    described = yaml.safe_load((SWEEP / "grid.yaml").read_text())
    described |= {"name": f"seeds{seeds}", "seed": 1}
    for block in described["grid"]:
        block["seed"] = list(range(1, seeds + 1))
    path = folder / f"seeds{seeds}.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False, width=10**6))
    return path


@dataclass
class Mark:
    """The driver's process after `ended` units: seconds since its start, CPU seconds, peak memory in MB."""

    ended: int
    seconds: float
    cpu: float
    peak: float


@dataclass
class Run:
    """One sweep: marks at its first unit, its tenths and its last unit; peak MB and seconds of the whole command."""

    workers: int
    began: float
    marks: list[Mark] = field(default_factory=list)
    peak: float = 0.0
    whole: float = 0.0

    def mark(self, pid: int, ended: int) -> None:
        """Add a mark from the kernel's account of the process."""
        stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        peak = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert peak
        ticks = int(stat[11]) + int(stat[12])
        cpu = ticks / os.sysconf("SC_CLK_TCK")
        self.marks.append(Mark(ended, time.time() - self.began, cpu, int(peak[1]) / 1e3))

    def per_unit(self, first: Mark, last: Mark) -> float:
        """Return the CPU milliseconds per unit between two marks."""
        return 1e3 * (last.cpu - first.cpu) / (last.ended - first.ended)


def sweep(root: Path, seeds: int, workers: int, seconds: float) -> Run:
    """Run the command, and mark its process on the way. `seconds` is the time of the mean unit."""
    recorded_mean = sum(row["seconds"] for row in recorded().values()) / len(recorded())
    started = root / f"started{seeds}"
    started.mkdir()
    env = os.environ | {
        SCALE: str(seconds / recorded_mean),
        STARTED: str(started),
        WORKERS: str(workers),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    }
    command = [str(HERE / "recorded.py"), str(grid_file(root, seeds)), str(root), str(workers)]
    run = Run(workers, time.time())
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=env) as driver:
        assert driver.stdout
        for line in driver.stdout:
            if found := _ENDED.match(line):
                n, total = int(found["n"]), int(found["total"])
                if n in (1, total) or n % max(1, total // 10) == 0:
                    run.mark(driver.pid, n)
                    print(run.marks[-1], file=sys.stderr, flush=True)
        _, status, used = os.wait4(driver.pid, 0)
        driver.returncode = os.waitstatus_to_exitcode(status)
    assert driver.returncode == 0
    run.peak = used.ru_maxrss / 1e3
    run.whole = time.time() - run.began
    return run


def placement(ledger: Ledger, run: Run) -> dict[str, float]:
    """Return how well the workers were kept busy, computed from the units' records."""
    rows, _ = ledger.read("units", ["seconds", "finished_at", "device"])
    by_process: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        end = row["finished_at"].timestamp()
        by_process[row["device"]].append((end - row["seconds"], end))
    spans = [sorted(units) for units in by_process.values()]
    began, ended = min(units[0][0] for units in spans), max(units[-1][1] for units in spans)
    bound = max(sum(row["seconds"] for row in rows) / run.workers, max(row["seconds"] for row in rows))
    gaps = sorted(1e3 * (b - a) for units in spans for (_, a), (b, _) in pairwise(units))
    return {
        "units": len(rows),
        "until the first unit starts: s": began - run.began,
        "makespan: s": ended - began,
        "makespan / bound": (ended - began) / bound,
        "between two units of a worker, median: ms": median(gaps),
        "95 of 100: ms": gaps[int(0.95 * len(gaps))],
        "after the last unit: s": run.began + run.whole - ended,
    }


def measured(root: Path, seeds: int, workers: int, seconds: float) -> dict[str, float]:
    """Return a column of the page."""
    run = sweep(root, seeds, workers, seconds)
    first, middle, last = run.marks[0], run.marks[len(run.marks) // 2], run.marks[-1]
    ledger = open_ledger(root, f"seeds{seeds}")
    assert len(ledger.units()) == last.ended, "units are missing"
    return placement(ledger, run) | {
        "driver, first half: CPU ms per unit": run.per_unit(first, middle),
        "driver, second half: CPU ms per unit": run.per_unit(middle, last),
        "driver, before the first unit ends: CPU s": first.cpu,
        "driver, at the first unit: MB": first.peak,
        "driver, at the last unit: MB": last.peak,
        "driver, with Ray's end and the report: MB": run.peak,
        "listing the ledger: ms": 1e3 * timed(open_ledger(root, f"seeds{seeds}").units),
    }


def without_workers(root: Path) -> Iterator[str]:
    """Yield the page's lines of what needs no worker, at MANY seeds."""
    path = grid_file(root, MANY)
    for option in ("--dry-run", "--status"):
        command = [sys.executable, "-m", "sweeps.run", str(path), option, "--results", str(root)]
        found = []
        for _ in range(3):
            timer = [sys.executable, "-c", TIMER.replace("check=True", "check=False"), *command]
            done = subprocess.run(timer, check=True, capture_output=True, text=True)
            found.append([float(value) for value in done.stdout.split()])
        assert subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode in (0, 75)
        wall, cpu, peak = ([f"{x:.3g}" for x in sorted(values)] for values in zip(*found, strict=True))
        yield f"| `{option}` | {', '.join(wall)} | {', '.join(cpu)} | {peak[-1]} |"
    plan = Plan(grid.read(yaml_reader.parse(path.read_text()), "many"), frozenset(), frozenset())
    yield f"| the plan of a loaded grid | {timed(plan.missing):.3g} | | |"


def number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def page(columns: list[dict[str, float]], rest: list[str], how: str) -> str:
    """Return the page as Markdown."""
    rows = [f"| {name} | " + " | ".join(number(c[name]) for c in columns) + " |" for name in columns[0]]
    return "\n".join(
        [
            f"# A sweep of {columns[-1]['units']:,} units, seen from its driver\n",
            f"{how} The bound is the units' seconds divided by the workers. Each sweep was run once.\n",
            "\n".join([rows[0], "|---" * (len(columns) + 1) + "|", *rows[1:]]) + "\n",
            f"{MANY * 90:,} units, without a worker:\n",
            "| | s | CPU s | MB |\n|---|---|---|---|",
            *rest,
            NOTES.rstrip(),
        ]
    )


def main(
    seeds: Annotated[str, typer.Option(help="90 units each")] = "11,33,112",
    workers: int = 16,
    seconds: Annotated[float, typer.Option(help="of the mean unit")] = 0.7,
    raw: Annotated[str | None, typer.Option(help="a file for the numbers as JSON")] = None,
) -> None:
    """Print a page of Markdown."""
    how = (
        f"`python benchmarks/driver_scale.py`; {machine()}; load {os.getloadavg()[0]:.1f} when it began. {workers} "
        f"workers; the mean unit takes {seconds:g} s, the others from a third to two and a half times that."
    )
    columns: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for n in map(int, seeds.split(",")):
            columns.append(measured(Path(folder), n, workers, seconds))
        rest = list(without_workers(Path(folder)))
    if raw is not None:
        Path(raw).write_text(json.dumps({"how": how, "sweeps": columns, "without workers": rest}, indent=1) + "\n")
    print(page(columns, rest, how))


if __name__ == "__main__":
    typer.run(main)
