"""Two drivers may run one sweep at the same time: every unit is there once, with the digits of one driver."""

import subprocess
import sys
import threading

import pytest
from records import rows_without_intervals

from sweeps.backends.base import RunContext
from sweeps.backends.inline import Inline
from sweeps.backends.progress import Progress
from sweeps.backends.stop import Stop
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.storage import Storage
from sweeps.plan.plan import Plan
from sweeps.plan.work_source import GridSource


@pytest.mark.slow
@pytest.mark.parametrize("second", [["--inline"], ["--workers", "1"], ["--inline", "--redo", "*"]], ids=" ".join)
def test_two_drivers_end_with_the_rows_of_one(tiny_file, tmp_path, second):
    """Checkpoints are saved at every step, so that the drivers also resume from each other's."""
    command = [sys.executable, "-m", "sweeps.run", str(tiny_file), "--set", "training.epochs=12"]
    command += ["--set", "training.checkpoint_seconds=0"]
    results = ["--results", str(tmp_path / "two")]
    subprocess.run([*command, "--inline", "--results", str(tmp_path / "one")], check=True, capture_output=True)
    if "--redo" in second:
        subprocess.run([*command, "--inline", *results], check=True, capture_output=True)
        first = second
    else:
        first = ["--inline"]
    drivers = [
        subprocess.Popen([*command, *flags, *results], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for flags in (first, second)
    ]
    for driver in drivers:
        out, err = driver.communicate(timeout=300)
        assert (driver.returncode, err) == (0, ""), out
    one, two = open_ledger(tmp_path / "one", "tiny"), open_ledger(tmp_path / "two", "tiny")
    assert len(two.read()[0]) == len(two.units()) == 6
    assert rows_without_intervals(two) == rows_without_intervals(one)
    left = [name for folder in ("units", "failed", "checkpoints", "redo", "") for name in two.storage.names(folder)]
    assert sorted(left) == sorted([*one.storage.names("units"), "grid.yaml", "rows.parquet"])


def test_a_unit_done_meanwhile_is_not_trained_again(plan, ledger, capsys):
    unit = plan.units[0]
    outcomes = []
    for _ in range(2):  # both planned it while it was missing
        with Progress(plan, [unit], terminal=False) as progress:
            Inline().run(GridSource([unit]), RunContext(ledger, {}), progress, Stop())
        outcomes.append(capsys.readouterr().out)
    assert "] done: " in outcomes[0]
    assert "] done before: " in outcomes[1]


def test_files_moved_by_another_driver_are_no_error(tmp_path, tiny, read_grid):
    """Both move a damaged file aside, and keep the earlier grid."""
    ledgers = [open_ledger(tmp_path, "tiny") for _ in range(2)]
    unit = Plan(tiny, frozenset(), frozenset()).units[0]
    ledgers[0].write_grid(tiny)
    ledgers[0].storage.write(f"units/{unit.name}.parquet", b"<html>")
    gate, errors = threading.Barrier(2), []

    def drive(ledger):
        try:
            gate.wait()
            ledger.set_damaged_aside([])[1]
            ledger.write_grid(read_grid("name: tiny\ngrid: [{}]"))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=drive, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ledgers[0].storage.names("units") == [f"{unit.name}.parquet.damaged"]
    assert len(ledgers[0].keys()) == 1
    Storage(tmp_path).rename("gone", "elsewhere")
