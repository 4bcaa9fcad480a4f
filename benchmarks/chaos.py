"""Kill a sweep at random moments, in every way, until it is complete, and compare it with an undisturbed one.

python benchmarks/chaos.py [--seed 1] > benchmarks/chaos.md

It takes about 8 minutes on two cores and needs the `test` extra. The seed picks the kills and their order; the moments
also depend on the machine. The exit code is 1 if anything was lost. Commit nothing meanwhile, because records name the
commit that made them.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

sys.path.append(str(Path(__file__).parents[1] / "tests" / "helpers"))

from disturbance import adopting, descendants, orphans, reap, temporary_files, wait_for_a_new_checkpoint
from nodes import Nodes, cluster_of_nodes
from records import rows_without_intervals

from sweeps.ledger.ledger import Ledger, open_ledger

GRID = """
name: chaos
seed: 3
data: {dataset: digits}
folds: {n_splits: 2}
training: {epochs: 40, batch_size: 64, checkpoint_seconds: 0.2}
grid:
  - {family: vqvae, method: [none, single_decoder]}
  - {family: gaussian_vae, method: multi_decoder}
"""
DRIVER = {"SIGKILL to the driver": signal.SIGKILL, "SIGTERM to the driver": signal.SIGTERM}
DRIVER |= {"Ctrl-C of the driver": signal.SIGINT}
WORKER, LOCAL, NODE = "SIGKILL to a worker", "SIGKILL to the local raylet", "SIGKILL to a node's raylet"
TRIES = 3  # a unit, or the sweep, may end at the moment of a kill
WORKERS = "ray::ImplicitFunc"  # Tune's name for one that trains
AGENTS_SECONDS = 150  # Ray's two agents of a node that was killed look for its head for more than half a minute
EARLY = 0.15  # share of the driver's kills that come before it trains
ON_THIS_MACHINE = {**dict.fromkeys(DRIVER, 3), WORKER: 2, LOCAL: 2}
ON_A_CLUSTER = {**dict.fromkeys(DRIVER, 1), WORKER: 1, NODE: 4}


@dataclass
class Chaos:
    """The disturbed sweep: its command, the kills so far, and what went wrong."""

    command: list[str]
    folder: Path
    random: random.Random
    known: set[int]
    nodes: Nodes | None = None
    driver: subprocess.Popen[bytes] | None = None
    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    codes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        if self.driver is None or self.driver.poll() is not None:
            where = ["--address", self.nodes.address] if self.nodes else []
            self.starts += 1
            log = (self.folder / f"driver-{self.starts}.log").open("wb")
            self.driver = subprocess.Popen([*self.command, *where], stdout=log, stderr=log)
        return self.driver

    def strike(self, kind: str) -> bool:
        """Kill once at a random moment, once there is something to lose. Return whether something was killed."""
        driver = self.start()
        early = kind in DRIVER and self.random.random() < EARLY
        if not early:
            wait_for_a_new_checkpoint(driver, self.folder / "chaos" / "checkpoints")
        time.sleep(self.random.uniform(0, 6 if early else 1))
        if driver.poll() is not None or not self.kill(kind, driver):
            return False
        self.kills[kind] += 1
        say(f"{sum(self.kills.values())}: {kind}{', early' * early}")
        if kind in DRIVER or kind == LOCAL:
            self.expect_end(kind, driver, early)
        elif kind == NODE and self.nodes:
            self.nodes.add()
        return True

    def kill(self, kind: str, driver: subprocess.Popen[bytes]) -> bool:
        """Kill a process of this kind. Return whether there was one."""
        if kind in DRIVER:
            driver.send_signal(DRIVER[kind])
        elif kind == NODE and self.nodes:
            self.nodes.kill()
        else:
            pattern = WORKERS if kind == WORKER else "/raylet/raylet "
            found = [pid for pid, line in descendants().items() if pattern in line and pid not in self.known]
            if not found:
                return False
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(sorted(found)), signal.SIGKILL)
        return True

    def expect_end(self, kind: str, driver: subprocess.Popen[bytes], early: bool) -> None:
        """Check that a driver that was killed or lost its Ray ends, and that its workers end with it."""
        try:
            code = driver.wait(timeout=90)
        except subprocess.TimeoutExpired:
            self.wrong.append(f"{kind}: the driver ran for 90 s more")
            driver.kill()
            code = driver.wait()
        self.codes.append(f"{kind}{', before it trained' * early}: {code}")
        stopped = 75 if kind in DRIVER and DRIVER[kind] != signal.SIGKILL else -signal.SIGKILL
        if kind in DRIVER and not early and code not in (stopped, 0):
            self.wrong.append(f"{kind}: exit code {code}, log {self.starts}")
        if left := orphans(self.known, WORKERS):  # a cluster's other processes stay, and Ray's agents for a while
            self.wrong.append(f"{kind}: left {sorted(line[:60].strip() for line in left.values())}")

    def finish(self) -> None:
        driver = self.start()
        while driver.poll() is None:
            reap(self.known | {driver.pid})
            time.sleep(0.2)
        if driver.returncode:
            self.wrong.append(f"the last run's exit code is {driver.returncode}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def deck(kinds: dict[str, int], rng: random.Random) -> list[str]:
    """Return the kills in random order, with at most two in a row that the driver survives.

    A unit whose worker dies three times fails.
    """
    while True:
        drawn = [kind for kind, n in kinds.items() for _ in range(n)]
        rng.shuffle(drawn)
        survived = "".join("s" if kind in (WORKER, NODE) else " " for kind in drawn)
        if "sss" not in survived:
            return drawn


def disturb(command: list[str], folder: Path, seed: int) -> Chaos:
    chaos = Chaos(command, folder, random.Random(seed), set(descendants()))
    for kind in deck(ON_THIS_MACHINE, chaos.random):
        any(chaos.strike(kind) for _ in range(TRIES))
    if chaos.driver and chaos.driver.poll() is None:  # it would continue outside the cluster
        chaos.driver.terminate()
        chaos.driver.wait()
    with cluster_of_nodes(2) as nodes:
        chaos.nodes = nodes
        chaos.known.add(nodes.process.pid)
        for kind in deck(ON_A_CLUSTER, chaos.random):
            any(chaos.strike(kind) for _ in range(TRIES))
        chaos.finish()
    if left := orphans(chaos.known, deadline=AGENTS_SECONDS):
        chaos.wrong.append(f"left at the end: {sorted(line[:60].strip() for line in left.values())}")
    return chaos


def verdict(chaos: Chaos, hurt: Ledger, whole: Ledger) -> list[str]:
    """Return what went wrong, one line each; an empty list means that nothing was lost."""
    wrong = list(chaos.wrong)
    if not len(hurt.read()[0]) == len(hurt.units()) == len(whole.units()):
        wrong.append(f"{len(hurt.read()[0])} rows of {len(hurt.units())} units, {len(whole.units())} undisturbed")
    got, expected = rows_without_intervals(hurt), rows_without_intervals(whole)
    wrong += [
        f"{column} of {key}-fold{fold} is {got[key, fold][column]!r:.80}, undisturbed {value!r:.80}"
        for key, fold in expected.keys() & got.keys()
        for column, value in expected[key, fold].items()
        if got[key, fold][column] != value
    ]
    if hurt.units("failed"):
        wrong.append(f"{len(hurt.units('failed'))} units failed")
    if left := temporary_files(hurt):
        wrong.append(f"left in the folder: {left}")
    if sum(row["resumed"] > 0 for row in hurt.read()[0]) < 3:
        wrong.append("fewer than three units resumed in the middle")
    return wrong


def page(chaos: Chaos, hurt: Ledger, seconds: tuple[float, float], wrong: list[str]) -> str:
    rows = sorted(hurt.read()[0], key=lambda row: (row["key"], row["fold"]))
    trained = sum(row["seconds"] for row in rows)
    lines = [
        "# A sweep under fire",
        "",
        f"`python benchmarks/chaos.py > benchmarks/chaos.md`: {len(rows)} units on digits, two at a time, and "
        f"{sum(chaos.kills.values())} kills at random moments. After each kill that ended the driver, the same command "
        f"ran again: {chaos.starts} starts.",
        "",
        "| kill | times |",
        "|---|---|",
        *[f"| {kind} | {n} |" for kind, n in sorted(chaos.kills.items())],
        "",
        "| unit | times it resumed in the middle | images trained |",
        "|---|---|---|",
        *[
            f"| {r['family']} {r['method']}, fold {r['fold']} | {r['resumed']} | {r['images_trained']:,} |"
            for r in rows
        ],
        "",
        f"The undisturbed sweep took {seconds[0]:.0f} s, the disturbed one {seconds[1]:.0f} s, which is "
        f"{seconds[1] / seconds[0]:.1f} times as long. Most of the difference is starts of Ray and of workers. The "
        f"disturbed sweep's units recorded {trained:.0f} s of training.",
        "",
        "**Every unit's record equals the undisturbed one bit for bit, no unit is missing or recorded twice, and no "
        "temporary file is left in the results. No worker outlived its driver by 30 s. At the end no process is left; "
        "Ray's own agents (which train and write nothing) may take more than half a minute to end.**"
        if not wrong
        else "**Lost:** " + "; ".join(wrong),
    ]
    return "\n".join(lines)


def main(seed: Annotated[int, typer.Option(help="of the kills")] = 1) -> None:
    os.environ["RAY_AUTH_MODE"] = "token"
    with tempfile.TemporaryDirectory() as temporary, adopting():
        folder = Path(temporary)
        (folder / "hurt").mkdir()
        (folder / "chaos.yaml").write_text(GRID)
        command = [sys.executable, "-m", "sweeps.run", str(folder / "chaos.yaml"), "--workers", "2", "--results"]
        began = time.monotonic()
        subprocess.run([*command, str(folder / "whole")], check=True, stdout=subprocess.DEVNULL)
        between = time.monotonic()
        chaos = disturb([*command, str(folder / "hurt")], folder / "hurt", seed)
        ended = time.monotonic()
        hurt, whole = open_ledger(folder / "hurt", "chaos"), open_ledger(folder / "whole", "chaos")
        wrong = verdict(chaos, hurt, whole)
        say("\n".join(chaos.codes))
        print(page(chaos, hurt, (between - began, ended - between), wrong))
    raise typer.Exit(bool(wrong))


if __name__ == "__main__":
    typer.run(main)
