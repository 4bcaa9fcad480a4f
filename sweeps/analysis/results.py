"""Reads the ledger into the rows of a table: one row per configuration, with its folds."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mtvae.config import METHODS
from sweeps.analysis import which_rows
from sweeps.analysis.columns import (
    BASE_COLUMNS,
    FURTHER_METRICS,
    LABEL_COLUMNS,
    LATER_COLUMNS,
    METHOD_COLUMNS,
    METRICS,
    ROW_COLUMNS,
    SCORE_COLUMNS,
    SETTING_COLUMNS,
    SILENT_VALUES,
    STAGE_COLUMNS,
    own_size_names,
    rows_agreeing_except,
)
from sweeps.analysis.later import join_to_models, rows_of_stages
from sweeps.analysis.searched import Searched, read_searched
from sweeps.analysis.table_row import ReportError, TableRow
from sweeps.config.labels import DATA_NAME, Labels
from sweeps.data.datasets import DATASETS, root_name
from sweeps.data.hashes import SameImages
from sweeps.ledger import rows as grid_rows
from sweeps.ledger import unit_file
from sweeps.ledger.ledger import Damage, Ledger, sweeps
from sweeps.ledger.schema import UNIT_SCHEMA, Row, not_finite, with_own_sizes
from sweeps.ledger.search_file import SearchDescription
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import read_stopped
from sweeps.plan.patterns import NamedItem, matching_indices
from sweeps.text import nearest, one_line


@dataclass(frozen=True)
class Table:
    """The rows of the latest grid, or all rows if the ledger has no grid, sorted by model and method.

    Attributes:
        damaged: the files that could not be read.
        notes: one line each on rows that are not in the table.
        chosen: the keys of the rows to show; None for all rows. Means, marks, baselines and labels always come from the
            whole table.
        searched: the sweep's search; None if it has none.
        confirmed: configurations of the search on new splits and seeds, which are no rows of the table.
        later: the rows of each later stage, as tables of their own, with their models' keys.
    """

    rows: list[TableRow]
    damaged: Damage
    notes: tuple[str, ...] = ()
    chosen: frozenset[str] | None = None
    searched: Searched | None = None
    confirmed: tuple[TableRow, ...] = ()
    later: Mapping[str, "Table"] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _labels(self) -> Labels:
        searched = () if self.searched is None else self.searched.description.space
        return Labels([row.settings for row in self.rows], LABEL_COLUMNS, searched)

    @property
    def columns(self) -> list[str]:
        """The settings that tell the rows apart."""
        return self._labels.names

    def label(self, row: TableRow) -> str:
        """Return the label of a row."""
        return self._labels.label(row.settings)

    def shows(self, row: TableRow) -> bool:
        """Whether a row is among those to show."""
        return self.chosen is None or row.key in self.chosen

    @property
    def shown(self) -> list[TableRow]:
        """The rows to show."""
        return [row for row in self.rows if self.shows(row)]

    def only(self, patterns: Sequence[str]) -> "Table":
        """Return a table that shows only the rows with these labels or keys, or all rows without patterns.

        Raises:
            ReportError: a pattern names no row.
        """
        items = [NamedItem(row.key, None, self.label(row), row.settings) for row in self.rows]
        keys: set[str] = set()
        for pattern in patterns:
            found = matching_indices(items, pattern)
            if not found:
                near = nearest(pattern, [item.label for item in items], 0.0)
                raise ReportError(one_line(f"--only {pattern}: no such row{near}"))
            keys |= {items[i].key for i in found}
        if not patterns:
            return self
        later = {
            stage: replace(table, chosen=frozenset(key for key, model in table.models.items() if model in keys))
            for stage, table in self.later.items()
        }
        return replace(self, chosen=frozenset(keys), later=later)

    @cached_property
    def shared(self) -> Row:
        """The settings that all rows share, except those that do not apply, are not in the key or are silent."""
        first = self.rows[0].settings
        names = [*ROW_COLUMNS, *own_size_names([first])]
        same = [name for name in names if all(row.settings.get(name) == first.get(name) for row in self.rows)]
        return {name: first[name] for name in same if first.get(name) not in (None, SILENT_VALUES.get(name))}

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that have a column in the table: those of built-in families first, then the others.

        In a table of plug-ins' classes only, metrics of built-in families have a column where a row has them.
        """
        others = [
            m.name for row in self.rows for m in (*row.family.metrics, *row.stage_metrics.values()) if m.tabulated
        ]
        shared = [name for name in METRICS if any(not row.family.own or row.has(name) for row in self.rows)]
        return list(dict.fromkeys([*shared, *others]))

    @cached_property
    def further_metrics(self) -> list[str]:
        """The metrics of `FURTHER_METRICS` that a row has."""
        return [name for name in FURTHER_METRICS if any(row.sample(name) for row in self.rows)]

    @cached_property
    def groups(self) -> list[list[TableRow]]:
        """The rows of each model, which is one family and configuration on one data set (and one `data.name`)."""
        groups: dict[Hashable, list[TableRow]] = {}
        for row in self.rows:
            groups.setdefault(_model_of(row), []).append(row)
        return list(groups.values())

    @cached_property
    def _baselines(self) -> Callable[[Row], list[TableRow]]:
        return rows_agreeing_except([row for row in self.rows if row.is_baseline], METHOD_COLUMNS)

    def baseline(self, row: TableRow) -> TableRow | None:
        """Return the baseline that agrees with a row in all settings that do not belong to the method.

        Of several, it is the one with the same SoftAdapt variant, or else the one without. None if that is not unique.
        """
        if row.is_baseline:
            return None
        found = self._baselines(row.settings)
        same = [b for b in found if b.settings.get("soft_adapt.variant") == row.settings.get("soft_adapt.variant")]
        plain = [b for b in found if b.settings.get("soft_adapt.variant") is None]
        return next((candidates[0] for candidates in (same, plain, found) if len(candidates) == 1), None)


def _model_of(row: TableRow) -> tuple[Any, ...]:
    return tuple(row.settings.get(name) for name in ("dataset", DATA_NAME, "family", "configuration"))


def read_table(
    ledger: Ledger,
    all_rows: bool = False,
    extra_columns: Sequence[str] = (),
    run_rows: Sequence[Row] | None = None,
    search: SearchDescription | None = None,
) -> Table:
    """Read the table of a sweep, without changing anything on disk.

    Args:
        all_rows: include the rows of earlier grids.
        extra_columns: additional columns of the ledger to read.
        run_rows: the rows of a run's own grid (`rows.resolved`); None for those of the latest grid.
        search: a run's own search; None for that of the latest grid.
    """
    searched, damaged_search = read_searched(ledger.storage, search)
    more = [*extra_columns, *(() if searched is None else searched.columns)]
    results = list(dict.fromkeys([*BASE_COLUMNS, *more]))
    listed, why, notes = (None, "", []) if all_rows else which_rows.rows_to_show(ledger.storage, run_rows)
    settings = SETTING_COLUMNS if listed is None else LATER_COLUMNS
    units, damaged = ledger.table("units", [*settings, *STAGE_COLUMNS, "declarations", *results])
    plug_in_columns = [name for name in units.column_names if name not in UNIT_SCHEMA.names]
    failed, damaged_failed = ledger.table("failed", [*settings, *STAGE_COLUMNS, "reason"])
    results += plug_in_columns
    damaged += [*damaged_failed, *damaged_search, *([(grid_rows.ROWS, why)] if why else [])]
    if listed is None:
        rows = _first_of_each_key(units)
        rows |= {key: row for key, row in _first_of_each_key(failed).items() if key not in rows}
        rows = which_rows.in_grid_order(rows, ledger)
        wanted = None if all_rows else ledger.keys()
        if wanted is not None:
            rows, notes = which_rows.rows_of_grid_yaml(rows, wanted)
    else:
        names = [name for name in (*SETTING_COLUMNS, "declarations") if name not in LATER_COLUMNS]
        rows = {row["key"]: TableRow(row["key"], _settings(row, names)) for row in listed}
    columns = units.select(["key", "fold", *results]).to_pydict()
    keys, folds = columns.pop("key"), columns.pop("fold")
    scores = [*SCORE_COLUMNS, "mean_image_per_pixel", *plug_in_columns]
    for key, fold, *values in zip(keys, folds, *columns.values(), strict=True):
        if key in rows:
            record = dict(zip(results, values, strict=True))
            # Earlier versions recorded a unit as done although a score was not finite.
            if wrong := not_finite({name: record.get(name) for name in scores}):
                rows[key].failed[fold] = f"{wrong} (recorded as done by an earlier version; --redo trains it again)"
            else:
                rows[key].folds[fold] = record
    for unit in failed.select(["key", "fold", "reason"]).to_pylist():
        if unit["key"] in rows and unit["fold"] not in rows[unit["key"]].folds:
            rows[unit["key"]].failed[unit["fold"]] = unit["reason"]
    stages, models = rows_of_stages(rows, _later(units), _later(failed), listed or ())
    join_to_models(rows, stages, models)
    same = SameImages(
        (record["data_hash"], record["files_hash"]) for row in rows.values() for record in row.folds.values()
    )
    for row in rows.values():
        row.folds = dict(sorted(row.folds.items()))
        row.images = {fold: same.name((r["data_hash"], r["files_hash"])) for fold, r in row.folds.items()}
    for key, mark in read_stopped(ledger.storage).items():
        if key in rows and len(rows[key].folds) < rows[key].folds_wanted:
            rows[key].stopped = mark.reason
    notes += [] if all_rows else which_rows.note_on_other_grids((units, failed), rows)
    again = {c.key for c in searched.confirmations} if searched is not None else set()
    confirmed = tuple(rows.pop(key) for key in list(rows) if key in again)
    later = {}
    for stage, found in stages.items():
        of_table = {key: row for key, row in found.items() if models[key] in rows}  # others belong to confirmations
        for key, row in of_table.items():
            row.images = {fold: rows[models[key]].images[fold] for fold in row.folds}
            row.stopped = rows[models[key]].stopped
        if of_table:
            later[stage] = Table(_grouped(of_table.values()), [], models={key: models[key] for key in of_table})
    return Table(_grouped(rows.values()), damaged, tuple(notes), None, searched, confirmed, later)


def _later(units: Any) -> list[Row]:
    """Return the records of later stages in a table of units."""
    found: list[Row] = units.filter(units["parent_key"].is_valid()).to_pylist()
    return found


def _first_of_each_key(units: Any) -> dict[str, TableRow]:
    """Return a row without results for each key, in order of appearance. Settings are read once per key."""
    known = (*SETTING_COLUMNS, "declarations")
    names = [name for name in known if name in units.column_names and name not in LATER_COLUMNS]
    trained = units.select(["key", *names]).filter(units["parent_key"].is_null())  # a later stage has no row
    found = unit_file.first_of_each_key(trained).to_pylist()
    return {row["key"]: TableRow(row["key"], _settings(row, names)) for row in found}


def _settings(record: Row, names: Sequence[str]) -> Row:
    """Return these settings of a record. An earlier version recorded no name of a folder: `data.root` gives it."""
    settings = with_own_sizes({name: record[name] for name in names})
    dataset, root = DATASETS.get(settings.get("dataset") or ""), settings.get("data.root")
    if dataset is not None and dataset.own and root and settings.get(DATA_NAME) is None:
        settings[DATA_NAME] = root_name(root)
    return settings


def _grouped(rows: Iterable[TableRow]) -> list[TableRow]:
    """Sort rows as the thesis does: by model, in the order of the models' first rows, then by method."""
    order: dict[tuple[Any, ...], int] = {}
    rows = list(rows)
    for row in rows:
        order.setdefault(_model_of(row), len(order))
    place = {method: i for i, method in enumerate(METHODS.names())}
    return sorted(rows, key=lambda row: (order[_model_of(row)], place.get(row.settings["method"], len(place))))


def find_sweeps(results: str, sweep: str | None) -> list[str]:
    """Return the sweeps of a folder, or only the given one. Raises ReportError if there is none."""
    items = sweeps(Storage(results))
    if sweep is not None and sweep not in items:
        raise ReportError(f"{results}: no sweep {one_line(sweep)}" + (f", only {', '.join(items)}" if items else ""))
    if not items:
        raise ReportError(f"{results}: no sweep here")
    return [sweep] if sweep else items
