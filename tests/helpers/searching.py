"""A search whose units cost nothing, for tests of its work source: made-up scores, drivers, and a storage that dies.

As a program it is one of several drivers: `python searching.py FOLDER GRID_FILE`.
"""

import math
import sys
import time
from pathlib import Path

from sweeps.config import grid, yaml_reader
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import read_all, read_stopped
from sweeps.plan.unit import Outcome
from sweeps.run import searching
from sweeps.run.options import Options
from sweeps.run.train import Components, train

SEARCH = """
name: searched
seed: 3
data: {dataset: digits, limit: 60}
folds: {n_splits: 3}
training: {epochs: 1, batch_size: 16}
base: {family: gaussian_vae, configuration: 1}
search:
  configurations: 6
  metric: unconditioned
  space:
    method: [multi_decoder, single_decoder]
    exponent: {low: 10, high: 80, step: 5}
    training.lr: {low: 1.0e-4, high: 1.0e-1, log: true}
    model.latent: {low: 4, high: 64, log: true}
"""
"""A conditional space: only single_decoder has an exponent."""

FAILS_ABOVE = 0.05
"""The learning rate above which fold 0 fails."""


def read(text=SEARCH, **replaced):
    """Return the grid of a text; `configurations=9` replaces that key of its search."""
    return grid.read(yaml_reader.parse(text), "test.yaml", [f"search.{k}={v}" for k, v in replaced.items()])


def score(settings, fold):
    """Return a made-up score: best at exponent 40, latent 16 and learning rate 1e-3; folds differ a little."""
    exponent = 0.5 if settings.exponent is None else ((settings.exponent - 40) / 40) ** 2
    latent = math.log(settings.model.latent / 16) ** 2
    rate = math.log10(settings.training.lr / 1e-3) ** 2
    return 0.01 * (1 + exponent + 0.1 * latent + rate) * (1 + 0.02 * fold)


def toy(unit, loaded, context, on_progress, should_stop):
    """Record a made-up score; fold 0 of a large learning rate fails."""
    if context.ledger.has(unit):
        return Outcome.DONE_BEFORE
    on_progress(unit.images_to_train)
    if unit.settings.training.lr > FAILS_ABOVE and unit.fold == 0:
        context.ledger.write_failed(unit, "the loss is not finite")
        return Outcome.FAILED
    value = score(unit.settings, unit.fold)
    history = [{"epoch": 1, "selection_unconditioned": 2 * value * 256}]
    context.ledger.write(
        unit,
        {
            "unconditioned_per_pixel": value,
            "unconditioned_per_image": value * 256,
            "collapsed": value > 0.015,
            "best_epoch": 1,
            "history": history,
            "seconds": 36.0,
            "data_hash": loaded.data_hash,
        },
    )
    return Outcome.DONE


def slow_toy(unit, loaded, context, on_progress, should_stop):
    """Take a moment, and leave a note of each training beside the ledger."""
    time.sleep(0.02)
    outcome = toy(unit, loaded, context, on_progress, should_stop)
    if outcome is not Outcome.DONE_BEFORE:
        context.ledger.storage.write(f"notes/{unit.name}.{time.time_ns()}", b"")
    return outcome


def run(folder, sweep, run_unit=toy, storage=None, **options):
    """Train what is missing with one worker, and return the ledger."""
    ledger = Ledger(storage or Storage(folder))
    options = Options(str(folder), inline=True, **options)
    train(ledger, sweep, options, Components(run_unit=run_unit), searching.open_archive(ledger, sweep))
    return ledger


def suggestions_of(ledger):
    """Return number, point, key and refusal of each suggestion."""
    found, damaged = read_all(ledger.storage)
    assert damaged == []
    return [(s.number, dict(s.params), s.key, s.refused) for s in found]


def state_of(ledger):
    """Return everything that two equal searches have in common: suggestions, results, failures and stopped marks."""
    scores = {(r["key"], r["fold"]): r["unconditioned_per_pixel"] for r in ledger.read()[0]}
    failed = {(r["key"], r["fold"]): r["reason"] for r in ledger.read("failed")[0]}
    return suggestions_of(ledger), scores, failed, read_stopped(ledger.storage)


class Killed(BaseException):
    """The process is killed here."""


class Dying(Storage):
    """A folder whose process is killed at one of its changes: before or after the file is there."""

    def __init__(self, root, changes, after):
        super().__init__(root)
        self.changes, self.after = changes, after

    def _change(self, change):
        self.changes -= 1
        if self.changes == 0 and not self.after:
            raise Killed
        result = change()
        if self.changes == 0:
            raise Killed
        return result

    def write(self, name, data):
        self._change(lambda: super(Dying, self).write(name, data))

    def create(self, name, data):
        return self._change(lambda: super(Dying, self).create(name, data))


if __name__ == "__main__":
    run(Path(sys.argv[1]), grid.load(sys.argv[2]), slow_toy)
