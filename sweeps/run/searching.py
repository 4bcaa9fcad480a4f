"""What the command does for a search and a race: checks, the source of its units, what is left, and the exported study.

Nothing here imports Optuna, except where a suggestion is asked for or the study is written.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from sweeps.analysis.objective import objective_columns, objective_value
from sweeps.config.grid import Grid
from sweeps.config.search import Objective, Search
from sweeps.config.settings import Settings, flatten
from sweeps.data.datasets import check_files
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.search_file import write_description
from sweeps.ledger.storage import StorageError, whole_path
from sweeps.ledger.suggestions import read_stopped, write_stopped
from sweeps.plan.identity import key_of
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Unit
from sweeps.plan.work_source import GridSource, Record, WorkSource
from sweeps.run.confirming import describe, recorded
from sweeps.run.options import Options
from sweeps.search.asked import Archive
from sweeps.search.largest import corners
from sweeps.search.objective import search_columns
from sweeps.search.race import RacingSource, by_configuration, compared_baselines, same_model
from sweeps.search.source import SearchSource
from sweeps.text import count_text, error_line


def check(sweep: Grid, options: Options) -> None:
    """Raise ChoiceError for an option that does not go with a search, or that needs one."""
    if sweep.search is not None and options.shard is not None:
        raise ChoiceError(
            "--shard cannot divide a search, whose configurations are not known before; start the same command "
            "several times instead: its jobs share the results folder"
        )
    if sweep.search is None and options.export_study is not None:
        raise ChoiceError(f"--export-study writes the study of a search, and sweep {sweep.name} has none")
    if sweep.search is None and options.confirm is not None:
        raise ChoiceError(
            f"--confirm trains the best of a search again, and sweep {sweep.name} has no search; "
            "--set seed=NUMBER trains its rows on new splits"
        )


def open_archive(ledger: Ledger, sweep: Grid) -> Archive | None:
    """Return the suggestions in the ledger; None if the grid has no search."""
    if sweep.search is None:
        return None
    archive = Archive(ledger.storage, sweep.search)
    archive.refresh()
    return archive


def shown_rows(ledger: Ledger, sweep: Grid, archive: Archive | None) -> tuple[Settings, ...]:
    """Return the configurations that a report shows: the grid's rows, those of its search, and their confirmations."""
    if archive is None:
        return sweep.rows
    rows = archive.with_suggestions(sweep).rows
    return (*rows, *recorded(ledger, rows))


def write_grid(ledger: Ledger, sweep: Grid, archive: Archive | None) -> None:
    """Write the grid for people, and for reports its rows and what its search looks for."""
    ledger.write_grid(sweep, shown_rows(ledger, sweep, archive))
    write_description(ledger.storage, describe(sweep, archive))


def is_raced(sweep: Grid) -> bool:
    """Whether configurations of the sweep may be stopped early, and earlier marks count."""
    return sweep.racing is not None and sweep.racing.rule != "none"


def stopped_keys(ledger: Ledger, sweep: Grid) -> frozenset[str]:
    """Return the configurations that a race has stopped; none if there is no race now, so that the rest is trained."""
    return frozenset(read_stopped(ledger.storage)) if is_raced(sweep) else frozenset()


def columns_read(sweep: Grid) -> list[str]:
    """Return the columns of done units that the sweep's search and race read."""
    searched = () if sweep.search is None else search_columns(sweep.search)
    raced = objective_columns(sweep.racing.objective) if sweep.racing is not None and is_raced(sweep) else ()
    return list(dict.fromkeys([*searched, *raced]))


def check_images(archive: Archive | None) -> None:
    """Check that the files of a search's images are there. Raises DataError if they are not."""
    if archive is not None:
        for data in dict.fromkeys(settings.data for settings in corners(archive.parts)):
            check_files(data)


def roots(sweep: Grid) -> list[str | None]:
    """Return the folders of images that the sweep reads."""
    own = [] if sweep.search is None else [sweep.search.base.get("data.root")]
    return [*(row.data.root for row in sweep.rows), *own]


@dataclass(frozen=True)
class Sources:
    """Makes the work source of a sweep with a search, a race, or both.

    Attributes:
        say: prints lines.
        done: the done units with the columns of `columns_read`. They are handed in, because a file takes a millisecond
            to read, and the command has read all of them already.
        make_grid: makes the source of the grid's rows (`Components.make_source`).
    """

    ledger: Ledger
    sweep: Grid
    plan: Plan
    archive: Archive | None
    retry: bool
    say: Callable[[Sequence[str]], None]
    done: pa.Table
    make_grid: Callable[[Sequence[Unit]], WorkSource]

    def make(self, units: Sequence[Unit], only: bool) -> WorkSource:
        """Return a source of these units, in this order, and of suggestions.

        Args:
            only: whether `--only` names the unit: then nothing is asked for, and no race may stop it.
        """
        if only:
            return self.make_grid(units)
        if is_raced(self.sweep):
            units = by_configuration(units)
        source = self.make_grid(units) if self.archive is None else self._searched(units)
        return self._raced(source) if is_raced(self.sweep) else source

    def _searched(self, units: Sequence[Unit]) -> WorkSource:
        assert self.archive is not None and self.sweep.search is not None
        keys = set(map(key_of, self.sweep.rows))
        grid = self.make_grid([unit for unit in units if unit.training_id[0] in keys])
        rows = [row for row in self.plan.rows if row[0].key in keys]
        done: Sequence[Record] = self.done.to_pylist()
        return SearchSource(grid, self.archive, rows, self.ledger, self.say, self._write_rows, self.retry, done)

    def _write_rows(self, archive: Archive) -> None:
        self.ledger.write_rows(shown_rows(self.ledger, self.sweep, archive))

    def _raced(self, source: WorkSource) -> WorkSource:
        racing, search, storage = self.sweep.racing, self.sweep.search, self.ledger.storage
        assert racing is not None
        units = [unit for row in self.plan.rows for unit in row]
        done = _scores(self.done.to_pylist(), racing.objective, units)
        spared = compared_baselines(units) if self.archive is None else _default_keys(self.archive)
        return RacingSource(
            source,
            racing,
            lambda record: objective_value(racing.objective, record),
            objective_columns(racing.objective),
            lambda key, reason, folds: write_stopped(storage, key, reason, folds),
            done,
            {key: mark.reason for key, mark in read_stopped(storage).items()},
            same_model if search is None else _groups(search),
            spared,
        )


def _groups(search: Search) -> Callable[[Unit], Hashable]:
    """Return which configurations of a search compete: all of them, or with `each` those that have the same value."""
    each = search.each
    return (lambda unit: True) if each is None else (lambda unit: repr(flatten(unit.settings)[each]))


def export_study(ledger: Ledger, sweep: Grid, plan: Plan, archive: Archive, file: str) -> str:
    """Write the study of a search as a journal of Optuna, and return a line about it.

    Raises:
        StorageError: the file cannot be written.
    """
    from sweeps.search.study import export

    keys = set(map(key_of, sweep.rows))
    source = SearchSource(GridSource(()), archive, [row for row in plan.rows if row[0].key in keys], ledger)
    for key, mark in read_stopped(ledger.storage).items() if is_raced(sweep) else ():
        source.drop(key, mark.reason)
    trials = source.all_trials()
    path = Path(whole_path(file))
    try:
        export(archive.search, trials, path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error_line(error)}") from error
    return f"{path}: {count_text(len(trials), 'configuration')}, for optuna-dashboard"


def _default_keys(archive: Archive) -> set[str]:
    """Return the keys of the default configurations, which no race stops, because a report compares with them."""
    return {key_of(settings) for _, settings in archive.defaults()}


def _scores(records: Sequence[Record], objective: Objective, units: Sequence[Unit]) -> list[tuple[Unit, float]]:
    """Return the done ones of these units with their values of the objective."""
    by_id = {unit.id: unit for unit in units}
    found = []
    for record in records:
        unit, value = by_id.get((record["key"], record["fold"])), objective_value(objective, record)
        if unit is not None and value is not None:
            found.append((unit, value))
    return found
