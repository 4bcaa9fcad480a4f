"""The configurations of a search with their scores: the best, the correction for its choice, and its confirmation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal

import numpy as np

from sweeps.analysis.objective import finite_number, objective_value
from sweeps.analysis.optimism import BestMean, corrected_best
from sweeps.analysis.results import Table
from sweeps.analysis.searched import Searched
from sweeps.analysis.statistics import Difference, Sample, difference, holm
from sweeps.analysis.table_row import TableRow
from sweeps.config.settings import Value, column

State = Literal["complete", "stopped", "failed", "refused", "unfinished", "outside"]


@dataclass(frozen=True)
class Result:
    """A configuration that a search knows.

    Attributes:
        number: the suggestion's number; None for a row of the grid.
        each: the value of the setting for which the search is done separately; None without one.
        params: the searched settings that apply.
        state: "complete": it has a score on all folds; "outside": it lies outside the space of now, or was suggested
            with other settings that are not searched.
        row: its row of the table; None if it has none.
        values: the objective's values, by fold.
        reason: why it is neither complete nor unfinished; one line.
        misses: the constraints that it misses though it is complete, as text.
    """

    number: int | None
    key: str
    each: Value
    params: Mapping[str, Value]
    state: State
    row: TableRow | None = None
    values: Mapping[int, float] = field(default_factory=dict)
    reason: str = ""
    misses: tuple[str, ...] = ()

    @property
    def mean(self) -> float | None:
        """The mean over the folds that it has; None without any."""
        return fmean(self.values.values()) if self.values else None

    @property
    def is_candidate(self) -> bool:
        """Whether the best is chosen among it and others."""
        return self.state == "complete" and not self.misses


@dataclass(frozen=True)
class Part:
    """The search for one value of `each`, or the whole search.

    Attributes:
        results: its configurations: rows of the grid first, then suggestions in ask order.
        ranked: those among which the best is chosen, the best first.
        best: the best mean and its correction; None without a candidate.
        default: the default configuration; None if there is none.
    """

    each: Value
    results: tuple[Result, ...]
    ranked: tuple[Result, ...]
    best: BestMean | None
    default: Result | None


@dataclass(frozen=True)
class Confirmed:
    """A configuration on new splits and seeds.

    Attributes:
        sample: the objective on the new folds; None before any is done.
        complete: whether all new folds are done.
        difference: to the default configuration on the same new folds; None for the default and before both have one.
        p_holm: two-sided p after Holm's correction over the confirmed configurations of its part.
    """

    result: Result
    default: bool
    sample: Sample | None
    complete: bool
    difference: Difference | None = None
    p_holm: float | None = None


def values_of(searched: Searched, row: TableRow) -> dict[int, float]:
    """Return the objective's values of a row, by fold."""
    objective = searched.description.objective
    found = {fold: objective_value(objective, record, row.family) for fold, record in row.folds.items()}
    return {fold: value for fold, value in found.items() if value is not None}


def search_results(table: Table) -> list[Result]:
    """Return what the search of a table knows: rows of the grid, then suggestions in ask order, each once.

    Returns none if the table has no search.
    """
    searched = table.searched
    if searched is None:
        return []
    rows = {row.key: row for row in table.rows}
    each = searched.description.each
    found: dict[str, Result] = {}
    for known in searched.description.rows:
        if (row := rows.get(known.key)) is not None and known.key not in searched.numbers:
            result = Result(None, known.key, known.each, _point(searched, row), "unfinished")
            found[known.key] = _of_row(searched, row, result)
    for s in searched.suggestions:
        params = ({} if each is None else {each: s.each}) | dict(s.params)
        if s.key in rows:
            params = _point(searched, rows[s.key]) | params
        result = Result(s.number, s.key, s.each, params, "refused", reason=s.refused)
        if s.refused:
            found[str(s.number)] = result
        elif s.key in rows:
            found.setdefault(s.key, _of_row(searched, rows[s.key], result))
        else:
            outside = replace(result, state="outside", reason="it is no configuration of the latest run")
            found.setdefault(s.key, outside)
    return list(found.values())


def _point(searched: Searched, row: TableRow) -> dict[str, Value]:
    """Return the searched settings of a row, as far as the space has their values."""
    settings = {path: row.settings.get(column(path)) for path in searched.description.space}
    space = searched.description.space
    return {path: value for path, value in settings.items() if value is not None and space[path].holds(value)}


def _of_row(searched: Searched, row: TableRow, result: Result) -> Result:
    """Return a configuration with the scores and the state that its row gives it."""
    values = values_of(searched, row)
    result = replace(result, row=row, values=values)
    if row.stopped:
        return replace(result, state="stopped", reason=row.stopped)
    if row.failed:
        fold, reason = next(iter(sorted(row.failed.items())))
        return replace(result, state="failed", reason=f"fold {fold}: {reason or 'no reason is recorded'}")
    if len(row.folds) < row.folds_wanted:
        return replace(result, state="unfinished")
    if len(values) < row.folds_wanted:
        column_name = searched.description.objective.column
        return replace(result, state="failed", reason=f"not every fold has a finite {column_name}")
    if not row.complete:
        return replace(result, state="failed", reason="its folds saw different images")
    return replace(result, state="complete", misses=_misses(searched, row))


def _misses(searched: Searched, row: TableRow) -> tuple[str, ...]:
    """Return the constraints that the means of a row's folds miss, as a grid file writes them."""
    missed = []
    for constraint in searched.description.constraints:
        numbers = [finite_number(record.get(constraint.name)) for record in row.folds.values()]
        known = [number for number in numbers if number is not None]
        if known and constraint.violation(fmean(known)) > 0:
            missed.append(f"{constraint.name} {constraint.operator} {constraint.bound:g}")
    return tuple(missed)


def parts_of(table: Table) -> list[Part]:
    """Return the parts of a table's search; one without `each`, none without a search."""
    searched = table.searched
    if searched is None:
        return []
    results = search_results(table)
    return [_part(searched, each, [r for r in results if r.each == each]) for each in searched.each_values]


def _part(searched: Searched, each: Value, results: Sequence[Result]) -> Part:
    description = searched.description
    minimize = description.objective.minimize
    candidates = [result for result in results if result.is_candidate]
    best = None
    if candidates:
        folds = sorted(candidates[0].values)
        candidates = [result for result in candidates if sorted(result.values) == folds]
        if len(folds) > 1:
            best = corrected_best(np.array([[r.values[fold] for fold in folds] for r in candidates]), minimize)
    ranked = sorted(candidates, key=lambda result: (result.mean or 0.0) * (1 if minimize else -1))
    keys = [known.key for known in description.defaults if known.each == each]
    default = next((result for result in results if result.key in keys), None)
    return Part(each, tuple(results), tuple(ranked), best, default)


def confirmed_of(table: Table, part: Part) -> list[Confirmed]:
    """Return the confirmed configurations of a part, the default first, then by their rank in the search.

    Each is compared with the default configuration, paired by fold, because all have the same new splits.
    """
    searched = table.searched
    if searched is None:
        return []
    rows = {row.key: row for row in table.confirmed}
    results = {result.key: result for result in part.results}
    order = [*([] if part.default is None else [part.default.key]), *[result.key for result in part.ranked]]
    known = [c for c in searched.confirmations if c.of in results and c.key in rows]
    found = []
    for confirmation in sorted(known, key=lambda c: order.index(c.of) if c.of in order else len(order)):
        row = rows[confirmation.key]
        sample = row.sample_of(values_of(searched, row))
        complete = sample is not None and sample.n == row.folds_wanted
        is_default = part.default is not None and part.default.key == confirmation.of
        found.append(Confirmed(results[confirmation.of], is_default, sample, complete))
    base = next((c.sample for c in found if c.default and c.complete), None)
    compared = [c if c.default or not c.complete else replace(c, difference=_between(base, c.sample)) for c in found]
    ps = [c.difference.p for c in compared if c.difference is not None and c.difference.p is not None]
    adjusted = iter(holm(ps))
    return [
        c if c.difference is None or c.difference.p is None else replace(c, p_holm=next(adjusted)) for c in compared
    ]


def _between(base: Sample | None, sample: Sample | None) -> Difference | None:
    return None if base is None or sample is None else difference(base, sample)
