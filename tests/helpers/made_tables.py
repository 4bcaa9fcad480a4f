"""Tables of shipped grids with made results, for tests of what a report concludes."""

from sweeps.analysis.results import Table
from sweeps.analysis.table_row import TableRow
from sweeps.config import grid
from sweeps.ledger.schema import settings_row
from sweeps.plan.identity import key_of
from sweeps.plan.unit import Unit
from sweeps.report.thesis.published import counterpart

METRICS = ("unconditioned", "conditioned", "latent_loss")


def table_of(name, value):
    """Return the rows of a shipped grid with the results `value(settings, fold)`, in the order of `METRICS`."""
    rows = []
    for settings in grid.load(name).rows:
        key = key_of(settings)
        row = TableRow(key, settings_row(Unit(key, 0, settings)))
        for fold in range(5):
            scores = dict(zip(METRICS, value(row.settings, fold), strict=True))
            row.images[fold] = "the same"
            row.folds[fold] = {"split_hash": fold, "collapsed": False, "latent_loss": scores["latent_loss"]} | {
                f"{name}_{unit}": scores[name]
                for name in ("unconditioned", "conditioned")
                for unit in ("per_pixel", "per_image")
            }
        rows.append(row)
    return Table(rows, [])


def as_published(settings, fold):
    """Return the published means, with the folds a little and evenly around them."""
    row = counterpart(TableRow("", settings | {"dataset": "mnist"}))
    cells = {name: sample.mean for name, sample in row.cells.items()}
    shift = 1 + (fold - 2) * 1e-4
    return [None if (m := cells.get(name)) is None else m * shift for name in METRICS]
