"""From the ledger to the rows of a table: one per configuration, with the folds that it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mtvae.config import PER_IMAGE_FAMILIES
from sweeps import grid, yamlfile
from sweeps.ledger import Ledger, Row, column, settings_row
from sweeps.plan import UNCOUNTED, Unit, key_of
from sweeps.settings import LEAVES, telling
from sweeps.statistics import Summary, summarise

METRICS = ("unconditioned", "conditioned", "latent_loss")
_COUNTED = [column(path) for path in LEAVES if path not in UNCOUNTED]
_NEEDED = (
    "key",
    "fold",
    *map(column, LEAVES),
    *[f"{name}_{unit}" for name in ("unconditioned", "conditioned") for unit in ("per_pixel", "per_image")],
    "latent_loss",
    "collapsed",
)


@dataclass
class TableRow:
    """One configuration: its settings, how many folds it should have, and what its done units say."""

    settings: Row
    units: list[Row] = field(default_factory=list)
    failed: int = 0

    @property
    def folds(self) -> int:
        return int(self.settings["folds.n_splits"])

    @property
    def unit(self) -> str:
        """The unit of reconstruction errors that the thesis prints for this family."""
        return "per_image" if self.settings["family"] in PER_IMAGE_FAMILIES else "per_pixel"

    @property
    def collapsed(self) -> int:
        """Folds whose reconstruction is hardly better than the mean image."""
        return sum(bool(unit["collapsed"]) for unit in self.units)

    def summary(self, metric: str) -> Summary | None:
        """Over the done folds; None where the metric does not exist for this row."""
        name = metric if metric == "latent_loss" else f"{metric}_{self.unit}"
        return summarise([unit[name] for unit in self.units if unit[name] is not None])


@dataclass(frozen=True)
class Table:
    """The rows of the latest grid in its order (all rows where no grid is kept), and files that could not be read."""

    rows: list[TableRow]
    damaged: list[tuple[str, str]]

    def columns(self) -> list[str]:
        """The settings that tell the rows apart."""
        return telling([row.settings for row in self.rows], _COUNTED)

    def shared(self) -> Row:
        """Settings that all rows have in common, less what applies to none and what changes no number."""
        first = self.rows[0].settings
        same = [name for name in _COUNTED if all(row.settings.get(name) == first.get(name) for row in self.rows)]
        return {name: first[name] for name in same if first.get(name) is not None}


def read_table(ledger: Ledger) -> Table:
    """The table of a sweep. Changes nothing on disk."""
    units, damaged = ledger.read("units", _NEEDED)
    failed, damaged_failed = ledger.read("failed")
    rows: dict[str, TableRow] = {}
    for unit in sorted(units, key=lambda unit: unit["fold"]):
        rows.setdefault(unit["key"], TableRow(unit)).units.append(unit)
    done = {(unit["key"], unit["fold"]) for unit in units}
    for unit in failed:
        row = rows.setdefault(unit["key"], TableRow(unit))
        row.failed += (unit["key"], unit["fold"]) not in done
    keys = ledger.keys()
    if keys is not None:
        rows = _in_order(rows, keys, ledger)
    return Table(list(rows.values()), damaged + damaged_failed)


def _in_order(rows: dict[str, TableRow], keys: Sequence[str], ledger: Ledger) -> dict[str, TableRow]:
    """The rows of the latest grid, those without any finished unit too."""
    if any(key not in rows for key in keys):
        latest = grid.read(yamlfile.parse(ledger.storage.read("grid.yaml")), "grid.yaml")
        for settings in latest.rows:
            key = key_of(settings)
            rows.setdefault(key, TableRow(settings_row(Unit(key, 0, settings))))
    return {key: rows[key] for key in keys if key in rows}
