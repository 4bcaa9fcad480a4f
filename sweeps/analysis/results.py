"""From the ledger to the rows of a table: one per configuration, with the folds that it rests on."""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, TypeVar

from mtvae.config import CONDITIONED, FAMILIES, METHODS, UNCONDITIONED, Family, Method, Metric, Scale
from sweeps.analysis import which_rows
from sweeps.analysis.statistics import Sample
from sweeps.config.labels import Labels
from sweeps.config.settings import ABOUT, LEAVES, column
from sweeps.data.hashes import SameImages
from sweeps.ledger import rows as grid_rows
from sweeps.ledger import unit_file
from sweeps.ledger.ledger import Damage, Ledger, sweeps
from sweeps.ledger.schema import BUILT_IN, IMAGES, UNIT_SCHEMA, Row, not_finite
from sweeps.ledger.storage import Storage
from sweeps.plan.identity import NAMING
from sweeps.plan.patterns import Names, named
from sweeps.text import nearest, one_line


class ReportError(ValueError):
    """What was asked for cannot be shown; the message says why."""


METRICS = tuple(metric.name for metric in BUILT_IN if metric.tabulated)
"""The metrics of built-in families that have a column in a table."""

KEYS = ("dataset", "family", "configuration", "method")
"""Settings that have a table column of their own; the others share one, as the thesis's "Parameters"."""

SETTINGS = [column(path) for path in LEAVES]
COUNTED = [column(path) for path, about in ABOUT.items() if about.counts]
NAMED = [column(path) for path in NAMING]

OF_METHOD = {column(path) for path, about in ABOUT.items() if about.of_method}
"""Settings that belong to a method: two rows that agree in all others differ by method alone."""

_SCORES = [name for metric in BUILT_IN if metric.tabulated for name in metric.columns]
OF_STAGES = ("stage", "parent_key")
BASE_COLUMNS = ("split_hash", *IMAGES, *_SCORES, "collapsed")


D = TypeVar("D", Family, Method)


@dataclass
class TableRow:
    """One configuration: its settings, and what its done units say, by fold; why others failed, by fold. A unit that
    was recorded as done with a score that is not finite counts as failed.

    `stage_metrics`: what stages after the training measured. `images`: a name of the set of images that each fold saw.
    """

    key: str
    settings: Row
    folds: dict[int, Row] = field(default_factory=dict)
    failed: dict[int, str | None] = field(default_factory=dict)
    stage_metrics: dict[str, Metric] = field(default_factory=dict)
    images: dict[int, str | None] = field(default_factory=dict)

    @property
    def image_sets(self) -> list[str | None]:
        """The sets of images that its done folds saw. More than one is a mistake: no mean is about anything then."""
        return list(dict.fromkeys(self.images[fold] for fold in self.folds if fold in self.images))

    @property
    def wanted(self) -> int:
        """How many folds it should have."""
        return int(self.settings["folds.n_splits"])

    @property
    def complete(self) -> bool:
        """Whether every fold is done, all of them on one set of images."""
        return len(self.folds) == self.wanted and len(self.image_sets) == 1

    @property
    def scale(self) -> Scale:
        """The scale of reconstruction errors that the thesis prints for this family."""
        return self.family.scale

    @cached_property
    def family(self) -> Family:
        """Its family, from the ledger's description where it is somebody else's: nothing of theirs is imported.

        Raises:
            ReportError: the description cannot be read.
        """
        return FAMILIES.known(self.settings["family"]) or self._described("family", Family.described)

    @cached_property
    def method(self) -> Method:
        """Its method, as `family`."""
        return METHODS.known(self.settings["method"]) or self._described("method", Method.described)

    def _described(self, kind: str, make: Callable[..., D]) -> D:
        """What the ledger says of a family or a method that is not built in; its name alone where it says nothing."""
        try:
            told = json.loads(self.settings.get("declarations") or "{}")
            return make(**{"name": self.settings[kind]} | told.get(kind, {}))
        except (AttributeError, TypeError, ValueError) as error:
            raise ReportError(one_line(f"{self.key}: what it says of its {kind} cannot be read: {error}")) from error

    def metric(self, name: str) -> Metric | None:
        """A metric of its outputs, its family or a later stage; None for another column of the ledger."""
        known = {metric.name: metric for metric in (UNCONDITIONED, CONDITIONED, *self.stage_metrics.values())}
        return known.get(name) or self.family.metric(name)

    @property
    def is_baseline(self) -> bool:
        """Whether other rows are compared with it."""
        return self.method.baseline

    @property
    def collapsed(self) -> int:
        """Folds whose reconstruction is hardly better than the mean image."""
        return sum(bool(result["collapsed"]) for result in self.folds.values())

    def sample(self, metric: str, scale: str | None = None) -> Sample | None:
        """A metric, or any numeric column of the ledger, by fold; None where it does not exist for this row.

        Args:
            scale: of reconstruction errors, one of `SCALES`; None: the thesis's for the family.
        """
        known = self.metric(metric)
        name = f"{metric}_{scale or self.scale}" if known is not None and known.scaled else metric
        values = {fold: float(row[name]) for fold, row in self.folds.items() if row.get(name) is not None}
        splits = {fold: (row.get("split_hash"), self.images.get(fold)) for fold, row in self.folds.items()}
        return Sample.of_folds(values, splits, self.wanted) if values else None


@dataclass(frozen=True)
class Table:
    """The rows of the latest grid (all rows where no grid is kept), grouped, and files that could not be read.

    `notes`: lines on rows that are not here. `chosen`: the keys of the rows to show, None for all. Means, marks,
    baselines and labels are those of the whole table, whatever is shown of it.
    """

    rows: list[TableRow]
    damaged: Damage
    notes: tuple[str, ...] = ()
    chosen: frozenset[str] | None = None

    @cached_property
    def _labels(self) -> Labels:
        return Labels([row.settings for row in self.rows], NAMED)

    @property
    def columns(self) -> list[str]:
        """The settings that tell the rows apart."""
        return self._labels.names

    def label(self, row: TableRow) -> str:
        """What a row is called among the others."""
        return self._labels.label(row.settings)

    def shows(self, row: TableRow) -> bool:
        return self.chosen is None or row.key in self.chosen

    @property
    def shown(self) -> list[TableRow]:
        """The rows to show."""
        return [row for row in self.rows if self.shows(row)]

    def only(self, patterns: Sequence[str]) -> "Table":
        """Return the table that shows the rows of these labels or keys alone; all rows where none is given.

        Raises:
            ReportError: one names no row.
        """
        known = [Names(row.key, None, self.label(row), row.settings) for row in self.rows]
        keys: set[str] = set()
        for pattern in patterns:
            found = named(known, pattern)
            if not found:
                near = nearest(pattern, [names.label for names in known], 0.0)
                raise ReportError(one_line(f"--only {pattern}: no such row{near}"))
            keys |= {known[i].key for i in found}
        return replace(self, chosen=frozenset(keys)) if patterns else self

    @cached_property
    def shared(self) -> Row:
        """Settings that all rows have in common, less what applies to none and what changes no number."""
        first = self.rows[0].settings
        same = [name for name in COUNTED if all(row.settings.get(name) == first.get(name) for row in self.rows)]
        return {name: first[name] for name in same if first.get(name) is not None}

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that have a column in the table: those of built-in families, then those of others' families."""
        own = [m.name for row in self.rows for m in (*row.family.metrics, *row.stage_metrics.values()) if m.tabulated]
        return list(dict.fromkeys([*METRICS, *own]))

    @cached_property
    def groups(self) -> list[list[TableRow]]:
        """The rows of each model of the thesis's table: of one family, configuration and data set."""
        groups: dict[Hashable, list[TableRow]] = {}
        for row in self.rows:
            groups.setdefault(_model(row), []).append(row)
        return list(groups.values())

    @cached_property
    def _baselines(self) -> Callable[[Row], list[TableRow]]:
        return partners([row for row in self.rows if row.is_baseline], OF_METHOD)

    def baseline(self, row: TableRow) -> TableRow | None:
        """The baseline that agrees in everything else; where there are several, the one with the same
        SoftAdapt, and None where that does not decide."""
        if row.is_baseline:
            return None
        found = self._baselines(row.settings)
        same = [b for b in found if b.settings.get("soft_adapt.variant") == row.settings.get("soft_adapt.variant")]
        plain = [b for b in found if b.settings.get("soft_adapt.variant") is None]
        return next((some[0] for some in (same, plain, found) if len(some) == 1), None)


class HasSettings(Protocol):
    """A row of ours, or of a published table."""

    @property
    def settings(self) -> Row: ...


R = TypeVar("R", bound=HasSettings)


def partners(rows: Iterable[R], vary: set[str]) -> Callable[[Row], list[R]]:
    """A look-up of the rows that agree with given settings in everything but `vary`."""
    names = [name for name in COUNTED if name not in vary]
    index: dict[str, list[R]] = {}
    for row in rows:
        index.setdefault(repr([row.settings.get(name) for name in names]), []).append(row)
    return lambda given: index.get(repr([given.get(name) for name in names]), [])


def _model(row: TableRow) -> tuple[Any, ...]:
    return tuple(row.settings[name] for name in ("dataset", "family", "configuration"))


def read_table(
    ledger: Ledger, all_rows: bool = False, more: Sequence[str] = (), in_hand: Sequence[Row] | None = None
) -> Table:
    """The table of a sweep. Changes nothing on disk.

    Args:
        all_rows: those of earlier grids too.
        more: further columns of the ledger that the rows shall hold.
        in_hand: the rows of a run's own grid (`rows.resolved`); None for the latest grid's.
    """
    results = [*BASE_COLUMNS, *[name for name in more if name not in BASE_COLUMNS]]
    listed, why, notes = (None, "", []) if all_rows else which_rows.listed(ledger.storage, in_hand)
    settings = SETTINGS if listed is None else []
    units, damaged = ledger.table("units", [*settings, *OF_STAGES, "declarations", *results])
    own = [name for name in units.column_names if name not in UNIT_SCHEMA.names]
    failed, damaged_failed = ledger.table("failed", [*settings, *OF_STAGES, "reason"])
    results += own  # of somebody else's families
    damaged += [*damaged_failed, *([(grid_rows.ROWS, why)] if why else [])]
    if listed is None:
        rows = _first_of_each_key(units)
        rows |= {key: row for key, row in _first_of_each_key(failed).items() if key not in rows}
        wanted = None if all_rows else ledger.keys()
        if wanted is not None:
            rows, notes = which_rows.in_order(rows, wanted)
    else:
        names = [*SETTINGS, "declarations"]
        rows = {row["key"]: TableRow(row["key"], {name: row[name] for name in names}) for row in listed}
    columns = units.select(["key", "fold", *results]).to_pydict()
    keys, folds = columns.pop("key"), columns.pop("fold")
    scores = [*_SCORES, "mean_image_per_pixel", *own]
    for key, fold, *values in zip(keys, folds, *columns.values(), strict=True):
        if key in rows:
            record = dict(zip(results, values, strict=True))
            if wrong := not_finite({name: record.get(name) for name in scores}):  # of a version that let it be done
                rows[key].failed[fold] = f"{wrong} (recorded as done by an earlier version; --redo trains it again)"
            else:
                rows[key].folds[fold] = record
    for unit in failed.select(["key", "fold", "reason"]).to_pylist():
        if unit["key"] in rows and unit["fold"] not in rows[unit["key"]].folds:
            rows[unit["key"]].failed[unit["fold"]] = unit["reason"]
    _join_stages(rows, units, failed)
    same = SameImages(
        (record["data_hash"], record["files_hash"]) for row in rows.values() for record in row.folds.values()
    )
    for row in rows.values():
        row.folds = dict(sorted(row.folds.items()))
        row.images = {fold: same.name((r["data_hash"], r["files_hash"])) for fold, r in row.folds.items()}
    notes += [] if all_rows else which_rows.left_out((units, failed), rows)
    return Table(_grouped(rows.values()), damaged, tuple(notes))


def _join_stages(rows: Mapping[str, TableRow], units: Any, failed: Any) -> None:
    """Later stages' records become part of the row of the training that they are built on, fold by fold."""
    later = units.filter(units["parent_key"].is_valid()).to_pylist()
    for record in [record for record in later if record["parent_key"] in rows]:
        row, fold = rows[record["parent_key"]], record["fold"]
        own = [Metric(**metric) for metric in json.loads(record["declarations"] or "{}").get("metrics", ())]
        row.stage_metrics |= {metric.name: metric for metric in own}
        if wrong := not_finite({name: record.get(name) for metric in own for name in metric.columns}):
            row.failed[fold] = f"{record['stage']}: {wrong}"
        elif fold in row.folds:
            row.folds[fold] |= {name: record.get(name) for metric in own for name in metric.columns}
    for record in failed.filter(failed["parent_key"].is_valid()).to_pylist():
        if record["parent_key"] in rows:
            rows[record["parent_key"]].failed[record["fold"]] = f"{record['stage']}: {record['reason']}"


def _first_of_each_key(units: Any) -> dict[str, TableRow]:
    """A row without results for each key, in order of appearance. Settings are read once per key, not per unit."""
    names = [name for name in (*SETTINGS, "declarations") if name in units.column_names]
    trained = units.select(["key", *names]).filter(units["parent_key"].is_null())  # a later stage has no row of its own
    found = unit_file.first_of_each_key(trained).to_pylist()
    return {row["key"]: TableRow(row["key"], {name: row[name] for name in names}) for row in found}


def _grouped(rows: Iterable[TableRow]) -> list[TableRow]:
    """By model and method, as the thesis prints them: models in the order of their first rows, the baseline first."""
    order: dict[tuple[Any, ...], int] = {}
    rows = list(rows)
    for row in rows:
        order.setdefault(_model(row), len(order))
    place = {method: i for i, method in enumerate(METHODS.names())}
    return sorted(rows, key=lambda row: (order[_model(row)], place.get(row.settings["method"], len(place))))


def find(results: str, sweep: str | None) -> list[str]:
    """The sweeps of a folder, or the one asked for. Raises ReportError where there is none."""
    known = sweeps(Storage(results))
    if sweep is not None and sweep not in known:
        raise ReportError(f"{results}: no sweep {one_line(sweep)}" + (f", only {', '.join(known)}" if known else ""))
    if not known:
        raise ReportError(f"{results}: no sweep here")
    return [sweep] if sweep else known
