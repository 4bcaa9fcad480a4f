"""Run a sweep or its report with a fault at every single call, in one process that `faults.with_faults` started.

python every_call.py FOLDER COMMAND KIND...    where COMMAND is run, report or write

It prints a JSON line per call: what failed, how the command ended, and what became of the results.
"""

import contextlib
import inspect
import io
import json
import os
import shutil
import sys
from pathlib import Path

import typer

sys.path.insert(0, str(Path(__file__).parents[1]))
from records import rows_of

from faults import ERRORS, Fault
from sweeps.ledger.compaction import compact
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.report import __main__ as reporting
from sweeps.run.command import command
from sweeps.run.options import Options

GRID = """
name: faults
data: {{dataset: folder, root: {images}, side: 8, channels: 1, max_skipped: 0.5}}
folds: {{n_splits: 2}}
training: {{epochs: 2, batch_size: 8, checkpoint_seconds: 0}}
grid:
  - {{family: vqvae, method: none, model.hidden: [4, 4]}}
  - {{family: autoencoder, method: none, model.hidden: [4, 4]}}
"""


def write_images(folder):
    from PIL import Image

    folder.mkdir()
    for i in range(40):
        Image.new("L", (8, 8), i * 6).save(folder / f"{i:02}.png")


def run(file, results, **options):
    return command(str(file), [], Options(str(results), inline=True, **options))


def report(results, write):
    asked = inspect.signature(reporting.main).parameters
    try:
        reporting.main(**{name: p.default for name, p in asked.items()} | {"results": str(results), "write": write})
    except typer.Exit as error:
        return error.exit_code
    return 0


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def prepare(folder):
    """Make results with a compacted unit, two units in files of their own, and one stopped at its checkpoint.

    Return the grid file, the results of an undisturbed run, and the prepared results.
    """
    write_images(folder / "images")
    file, whole, begun = folder / "faults.yaml", folder / "whole", folder / "begun"
    file.write_text(GRID.format(images=folder / "images"))
    assert run(file, whole) == 0
    from sweeps.config import grid

    units = Plan(grid.load(str(file)), frozenset(), frozenset()).units
    assert run(file, begun, only=units[0].name) == 0
    compact(open_ledger(begun, "faults"))
    assert run(file, begun, only=units[1].name) == 0
    assert run(file, begun, only=units[2].name) == 0
    ledger = open_ledger(begun, "faults")
    from sweeps.data.datasets import load
    from sweeps.worker.run_unit import run_unit

    steps = iter(range(100))
    stopped = run_unit(units[3], load(units[3].settings.source), ledger, "cpu", {}, should_stop=lambda: next(steps) > 3)
    assert stopped == "stopped"
    return file, whole, begun


def attempt(what, kind, nth, error, results, file):
    """Run one command with one fault. Return its exit code, its output and errors, and the number of calls."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        Fault(file.parent, kind, nth, error) as fault,
    ):
        try:
            code = run(file, results) if what == "run" else report(results, what == "write")
        except BaseException as problem:
            code, problem = repr(problem), None
    return code, out.getvalue(), err.getvalue(), fault.calls


def chosen(calls):
    """Return the first sixty calls and about sixty of the others; torch reads a checkpoint in hundreds of pieces."""
    return [*range(1, min(calls, 60) + 1), *range(61, calls + 1, max(1, (calls - 60) // 60))]


def differing(found, expected):
    """Return the columns in which two sets of records differ, and the units that only one has."""
    names = {
        f"{name} of {key}"
        for key in found.keys() & expected.keys()
        for name in found[key]
        if found[key][name] != expected[key].get(name)
    }
    return sorted(names | {f"unit {key}" for key in found.keys() ^ expected.keys()})


def main(folder, what, *kinds):
    import torch

    torch.set_num_threads(1)
    with contextlib.redirect_stdout(io.StringIO()):
        file, whole, begun = prepare(folder)
    expected = rows_of(open_ledger(whole, "faults"))
    for kind in kinds:
        here = folder / f"{what}-{kind}"
        shutil.copytree(begun, here)
        _, undisturbed, _, calls = attempt(what, kind, 0, 0, here, file)
        for nth in chosen(calls):
            error = ERRORS[kind][nth % len(ERRORS[kind])]
            shutil.rmtree(here)
            shutil.copytree(begun, here)
            before = contents(here)
            code, out, err, _ = attempt(what, kind, nth, error, here, file)
            after = contents(here)
            lost = [name for name, data in before.items() if "/units" in name and after.get(name) != data]
            outcome = {
                "fault": f"{kind} {nth}/{calls} {error if error < 0 else os.strerror(error)}",
                "code": code,
                "out": out.splitlines(),
                "undisturbed": undisturbed.splitlines(),
                "err": err.splitlines(),
                "lost": lost,
                "renamed": [name for name in after if name.endswith(".damaged")],
                "changed": sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)),
            }
            if what == "run":
                outcome["whole"] = rows_of(open_ledger(here, "faults")) == expected
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    outcome["then"] = run(file, here)
                ledger = open_ledger(here, "faults")
                outcome["differs"] = differing(rows_of(ledger), expected)
                outcome["resumed"] = sum(row["resumed"] for row in ledger.read()[0])
            print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
