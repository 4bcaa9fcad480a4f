"""What a machine has, and the warnings of a dry run where that does not suffice."""

import pytest

from sweeps.plan.plan import Plan
from sweeps.run.command import command
from sweeps.run.dry_run import dry_run
from sweeps.run.machine import Machine, free_bytes
from sweeps.run.options import Options

GB = 10**9


def test_free_memory_is_the_least_limit(tmp_path):
    """A container's limit counts less what it uses already; "max" is no limit."""
    meminfo, cgroup = tmp_path / "meminfo", tmp_path / "cgroup"
    assert free_bytes(meminfo, cgroup) is None
    meminfo.write_text("MemTotal: 16000000 kB\nMemAvailable:    8000000 kB\n")
    assert free_bytes(meminfo, cgroup) == 8_000_000 * 1024
    cgroup.mkdir()
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("1000\n")
    assert free_bytes(meminfo, cgroup) == 8_000_000 * 1024
    (cgroup / "memory.max").write_text("3000\n")
    assert free_bytes(meminfo, cgroup) == 2000


@pytest.mark.parametrize(
    ("machine", "workers", "expected"),
    [
        (Machine(4, 16 * GB), 4, []),
        (Machine(4, None), 4, []),
        (Machine(4, 2 * GB), 4, ["--workers 2 fits"]),
        (Machine(4, GB // 2), 1, ["not even one worker fits"]),
        (Machine(2, 16 * GB), 3, ["want 3 cores, and this machine has 2"]),
        (Machine(2, 2 * GB), 3, ["--workers 2 fits", "this machine has 2"]),
    ],
    ids=str,
)
def test_a_dry_run_warns_of_memory_and_cores(tiny, ledger, machine, workers, expected):
    plan = Plan(tiny, frozenset(), frozenset())
    lines = [line for line in dry_run(plan, ledger, workers, False, None, machine).splitlines() if "warning" in line]
    assert len(lines) == len(expected)
    assert all(text in line for text, line in zip(expected, lines, strict=True))


def test_a_complete_sweep_needs_nothing(tiny, ledger):
    units = Plan(tiny, frozenset(), frozenset()).units
    plan = Plan(tiny, frozenset(unit.id for unit in units), frozenset())
    assert "warning" not in dry_run(plan, ledger, 99, False, None, Machine(1, 1))


def test_the_command_looks_at_its_machine(tiny_file, tmp_path, capsys):
    """On a cluster, the machine that starts the sweep says nothing about those that train."""
    assert command(str(tiny_file), [], Options(str(tmp_path), workers=9999, dry_run=True)) == 0
    assert "want 9999 cores" in capsys.readouterr().out
    assert command(str(tiny_file), [], Options(str(tmp_path), workers=9999, dry_run=True, address="auto")) == 0
    assert "warning" not in capsys.readouterr().out
