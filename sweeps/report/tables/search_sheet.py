"""The sheet of a search: a line for each suggestion, in the order in which they were asked for."""

from typing import Any

from sweeps.analysis.results import Table
from sweeps.analysis.search_results import Confirmed, Result, confirmed_of, parts_of, search_results
from sweeps.analysis.searched import Searched
from sweeps.report.tables.cells import folds_text, number, setting_text
from sweeps.report.tables.search_notes import (
    objective_digits,
    objective_text,
    p_value_text,
    search_notes,
    state_text,
)
from sweeps.report.tables.sheet import Cell, Sheet


def search_sheet(name: str, table: Table) -> Sheet:
    """Make a sheet with a line per suggestion: number, searched settings, score, folds and state.

    Where configurations are confirmed, it has their scores on new splits and seeds, and p-values against the default.
    The sheet of a sweep without a search has no line.
    """
    searched = table.searched
    if searched is None:
        return Sheet("search", f"{name}: no search", ["suggestion"], [], [True], notes=["this sweep has no search"])
    results = [result for result in search_results(table) if result.number is not None]
    shown = [result for result in results if table.chosen is None or result.key in table.chosen]
    parts = parts_of(table)
    best = {part.ranked[0].key for part in parts if part.ranked}
    confirmed = {c.result.key: c for part in parts for c in confirmed_of(table, part)}
    paths = list(searched.description.space)
    digits = objective_digits(searched, results)
    head = ["suggestion", *paths, "score", "folds", "state", *(["confirmed", "p (Holm)"] if confirmed else [])]
    rows = []
    for result in shown:
        texts = [str(result.number), *[setting_text(result.params.get(path)) for path in paths]]
        cells = [*map(Cell, texts), Cell(number(result.mean, digits), result.key in best)]
        cells += [Cell("-" if result.row is None else folds_text(result.row)), Cell(state_text(result))]
        rows.append([*cells, *map(Cell, _confirmed_texts(confirmed.get(result.key), digits) if confirmed else ())])
    return Sheet(
        "search",
        f"{name}: suggestions of the search",
        head,
        rows,
        [True, *[_is_numeric(shown, path) for path in paths], True, False, False, *([True, True] if confirmed else [])],
        notes=[
            f"score: {objective_text(searched)}, mean over the folds that are done",
            "* or bold: the best; not a test",
            *search_notes(table),
        ],
        make_records=lambda: [_record(searched, result, confirmed.get(result.key)) for result in shown],
    )


def _is_numeric(results: list[Result], path: str) -> bool:
    values = [result.params[path] for result in results if result.params.get(path) is not None]
    return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _confirmed_texts(confirmed: Confirmed | None, digits: int) -> tuple[str, str]:
    if confirmed is None or confirmed.sample is None:
        return "-", "-"
    mean = number(confirmed.sample.mean, digits) if confirmed.complete else "unfinished"
    return mean, "-" if confirmed.p_holm is None else p_value_text(confirmed.p_holm)


def _record(searched: Searched, result: Result, confirmed: Confirmed | None) -> dict[str, Any]:
    """Return a suggestion as a record. Its settings are text where they are lists, as in a grid file."""
    params = {path: result.params.get(path) for path in searched.description.space}
    texts = {path: setting_text(value) if isinstance(value, tuple) else value for path, value in params.items()}
    record: dict[str, Any] = {"suggestion": result.number, "key": result.key or None, **texts}
    record |= {
        "score": result.mean,
        "folds": len(result.values),
        "folds_wanted": None if result.row is None else result.row.folds_wanted,
        "state": result.state,
        "reason": result.reason or None,
        "misses": ", ".join(result.misses) or None,
    }
    sample = None if confirmed is None or not confirmed.complete else confirmed.sample
    difference = None if confirmed is None else confirmed.difference
    return record | {
        "confirmed": None if sample is None else sample.mean,
        "confirmed_difference": None if difference is None else difference.mean,
        "confirmed_low": None if difference is None else difference.low,
        "confirmed_high": None if difference is None else difference.high,
        "confirmed_p": None if difference is None else difference.p,
        "confirmed_p_holm": None if confirmed is None else confirmed.p_holm,
    }
