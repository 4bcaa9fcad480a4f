"""Runs a sweep of very short units as the real command, and kills it at random moments."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from disturbance import descendants, orphans, reap
from searching import suggestions_of

from sweeps.ledger.ledger import open_ledger

SEARCH = """
name: hunted
seed: 3
data: {dataset: digits, limit: 60}
folds: {n_splits: 2}
training: {epochs: 2, batch_size: 16, checkpoint_seconds: 0}
base: {family: gaussian_vae, configuration: 1, model.hidden: [8, 16]}
search:
  configurations: 30
  racing: forgiving
  space:
    method: [multi_decoder, single_decoder]
    exponent: {low: 10, high: 80, step: 5}
    training.lr: {low: 1.0e-4, high: 2, log: true}
    model.latent: {low: 4, high: 64, log: true}
"""
"""A conditional space, in which some learning rates are too large: their losses are not finite."""

FOLDS = 2
WORKERS = "ray::ImplicitFunc"  # Tune's name for one that trains


class Hunt:
    """A sweep in a folder: its drivers, and how they were killed. Its text names it `hunted`."""

    def __init__(self, folder, seed=0, text=SEARCH):
        self.folder, self.random, self.text = folder, random.Random(seed), text
        self.known = set(descendants())
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hunted.yaml").write_text(text)

    def copy(self, folder, seed):
        """Return a copy of the sweep in another folder."""
        shutil.copytree(self.folder / "hunted", folder / "hunted")
        return Hunt(folder, seed, self.text)

    @property
    def ledger(self):
        return open_ledger(self.folder, "hunted")

    def start(self, configurations, *flags):
        """Start a driver, and return its process. A grid without a search has None `configurations`."""
        command = [sys.executable, "-m", "sweeps.run", str(self.folder / "hunted.yaml"), "--results", str(self.folder)]
        command += [] if configurations is None else ["--set", f"search.configurations={configurations}"]
        command += flags
        log = (self.folder / f"{time.time_ns()}.log").open("wb")
        return subprocess.Popen(command, stdout=log, stderr=log)

    def run(self, configurations, *flags):
        """Run a driver to its end, and return its exit code."""
        return self.wait(self.start(configurations, *flags))

    def wait(self, driver, seconds=300):
        """Wait for a driver's end, and return its exit code."""
        until = time.monotonic() + seconds
        while driver.poll() is None:
            assert time.monotonic() < until, self.log
            reap(self.known | {driver.pid})
            time.sleep(0.05)
        return driver.returncode

    @property
    def log(self):
        """The last driver's output."""
        return max(self.folder.glob("*.log")).read_text()

    def files(self):
        """Return the files that tell how far the sweep is: suggestions, checkpoints, and ended units."""
        folders = ("search", "units", "failed", "checkpoints")
        return {path.name for name in folders for path in (self.folder / "hunted" / name).glob("[!.]*")}

    def wait_for_progress(self, driver):
        """Wait for one to three new files, and then for a random moment."""
        before, wanted, until = self.files(), self.random.randint(1, 3), time.monotonic() + 300
        while len(self.files() - before) < wanted and driver.poll() is None:
            assert time.monotonic() < until, self.log
            time.sleep(0.002)
        time.sleep(self.random.uniform(0, 0.1))

    def wait_for_workers(self, driver):
        """Wait until a worker trains, and return all that do, by process number."""
        until = time.monotonic() + 300
        while not (found := [p for p, line in descendants().items() if WORKERS in line and p not in self.known]):
            assert driver.poll() is None and time.monotonic() < until, self.log
            time.sleep(0.05)
        return found

    def strike(self, driver, how):
        """Kill a driver, or its worker, at a random moment. Return whether a suggestion was left unfinished."""
        self.wait_for_progress(driver)
        assert driver.poll() is None, self.log
        if how == "worker":
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(self.wait_for_workers(driver)), signal.SIGKILL)
        else:
            driver.send_signal(how)
            assert self.wait(driver) == (75 if how == signal.SIGTERM else -how), self.log
            assert orphans(self.known, WORKERS) == {}
        return bool(self.unfinished)

    @property
    def unfinished(self):
        """The keys of suggestions of which a fold is missing, though no race has stopped them."""
        ledger = self.ledger
        ended = ledger.units() | ledger.units("failed")
        stopped = {Path(name).stem for name in ledger.storage.names("stopped")}
        keys = {key for *_, key, refused in suggestions_of(ledger) if not refused} - stopped
        return {key for key in keys if any((key, fold) not in ended for fold in range(FOLDS))}
