"""Notes below a sweep's table on its search: the best and its correction, the default, and what is confirmed."""

from collections import Counter
from collections.abc import Sequence

from sweeps.analysis.results import Table
from sweeps.analysis.search_results import Confirmed, Part, Result, confirmed_of, parts_of
from sweeps.analysis.searched import Searched
from sweeps.report.tables.cells import OTHER_DIGITS, decimals, number
from sweeps.text import count_text, one_line, value_text

MOST_VALUES = 2
"""The most values of `each` that have a line, if there are more than three."""

MOST_CONFIRMED = 3
"""The most confirmed configurations that a line names."""

ADAPTIVE = ("tpe", "gp")
"""Samplers that have seen the folds' scores before they propose a configuration."""


def search_notes(table: Table) -> list[str]:
    """Return the notes on a table's search, at most five lines; none without a search."""
    searched = table.searched
    if searched is None:
        return []
    parts = parts_of(table)
    if not any(part.results for part in parts):
        return []
    if searched.description.each is None:
        lines = _one_search(table, searched, parts[0])
    else:
        lines = _each_search(table, searched, parts)
    return [one_line(line) for line in (*lines, *_confirmed_line(table, searched, parts))]


def objective_text(searched: Searched) -> str:
    """Return what a search compares configurations by, in words."""
    objective = searched.description.objective
    images = " on the validation sets" if objective.score_on == "validation" else ""
    return f"{objective.column.replace('_', ' ')}{images}"


def objective_digits(searched: Searched, results: Sequence[Result]) -> int:
    """Return the number of decimals of the objective."""
    objective = searched.description.objective
    row = next((result.row for result in results if result.row is not None), None)
    if row is None:
        return OTHER_DIGITS
    scale = objective.column.removeprefix(objective.metric).removeprefix("_")
    return decimals(row, objective.metric, scale if scale in ("per_image", "per_pixel") else None)  # type: ignore[arg-type]


def result_name(result: Result) -> str:
    """Return how a note calls a configuration."""
    return "a row of the grid" if result.number is None else f"suggestion {result.number}"


def p_value_text(p: float) -> str:
    """Return a p-value; a very small one as below 0.0001."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def state_text(result: Result) -> str:
    """Return a configuration's state, with the constraints that it misses."""
    state = "outside the space" if result.state == "outside" else result.state
    return f"{state}, misses {', '.join(result.misses)}" if result.misses else state


def _one_search(table: Table, searched: Searched, part: Part) -> list[str]:
    """Return a line on the best, one on its correction, and one on the default and all suggestions."""
    digits = objective_digits(searched, part.results)
    lines = []
    if part.ranked:
        best = part.ranked[0]
        label = "" if best.row is None else f", {table.label(best.row)}"
        lines.append(
            f"search: best {objective_text(searched)} of {_candidates_text(searched, part)}: "
            f"{number(best.mean, digits)} ({result_name(best)}{label})"
        )
        lines += [f"search: {text}" for text in _correction(searched, part, digits)]
    else:
        lines.append(f"search: no configuration is complete{_and_keeps(searched)} yet")
    return [*lines, f"search: {_default_text(part, digits)}; {_counts(searched, part.results)}"]


def _candidates_text(searched: Searched, part: Part) -> str:
    """Return among how many configurations the best was chosen."""
    within = " within the constraints" if searched.description.constraints else ""
    return f"{count_text(len(part.ranked), 'complete configuration')}{within}"


def _correction(searched: Searched, part: Part, digits: int) -> list[str]:
    """Return the corrected mean with its interval; none where nothing was chosen."""
    best = part.best
    if best is None or len(part.ranked) < 2:
        return []
    sampler = searched.description.sampler
    adaptive = f"; {sampler} adapts to all folds, so still somewhat too good" if sampler in ADAPTIVE else ""
    interval = _interval(best.corrected, best.half_width, digits)
    return [f"corrected for having been chosen: {number(best.corrected, digits)}{interval}{adaptive}"]


def _interval(mean: float, half: float | None, digits: int) -> str:
    return "" if half is None else f" (95 %: {number(mean - half, digits)} to {number(mean + half, digits)})"


def _default_text(part: Part, digits: int) -> str:
    if part.default is None:
        return "no default configuration"
    if part.default.state == "complete":
        return f"default configuration {number(part.default.mean, digits)}"
    return f"default configuration: {part.default.state}"


def _and_keeps(searched: Searched) -> str:
    return " and keeps the constraints" if searched.description.constraints else ""


def _counts(searched: Searched, results: Sequence[Result]) -> str:
    """Return how many suggestions there are, and how many of each state."""
    suggested = [result for result in results if result.number is not None]
    states = Counter(result.state for result in suggested)
    names = sorted(states, key=lambda state: state != "complete")
    texts = [f"{states[name]} {'outside the space' if name == 'outside' else name}" for name in names]
    missed = sum(bool(result.misses) for result in suggested)
    texts += [f"{missed} of the complete ones outside the constraints"] if missed else []
    grid = sum(result.number is None for result in results)
    more = f"; {count_text(grid, 'row')} of the grid known to it" if grid else ""
    return f"{count_text(len(suggested), 'suggestion')}: {', '.join(texts) or 'none'}{more}"


def _each_search(table: Table, searched: Searched, parts: Sequence[Part]) -> list[str]:
    """Return a line for each value of `each`, and one on all suggestions."""
    lines = [f"search, {_value_text(searched, part)}: {_part_text(searched, part)}" for part in parts]
    if len(lines) > MOST_VALUES + 1:
        more = count_text(len(lines) - MOST_VALUES, "more value")
        lines = [*lines[:MOST_VALUES], f"search: {more} of {searched.description.each}; --show search has all"]
    everything = [result for part in parts for result in part.results]
    sampler = searched.description.sampler
    adaptive = f"; {sampler} adapts to all folds, so corrected means are still somewhat too good"
    note = adaptive if sampler in ADAPTIVE else ""
    return [*lines, f"search: {_counts(searched, everything)}{note}"]


def _value_text(searched: Searched, part: Part) -> str:
    return f"{searched.description.each} {value_text(part.each)}"


def _part_text(searched: Searched, part: Part) -> str:
    digits = objective_digits(searched, part.results)
    if not part.ranked:
        return f"no configuration is complete{_and_keeps(searched)} yet"
    best = part.ranked[0]
    texts = [f"best of {len(part.ranked)} {number(best.mean, digits)} ({result_name(best)})"]
    if part.best is not None and len(part.ranked) > 1:
        found = part.best
        texts.append(
            f"corrected {number(found.corrected, digits)}{_interval(found.corrected, found.half_width, digits)}"
        )
    return ", ".join([*texts, _default_text(part, digits).replace("default configuration", "default")])


def _confirmed_line(table: Table, searched: Searched, parts: Sequence[Part]) -> list[str]:
    """Return a line on the means on new splits and seeds, and the test against the default configuration."""
    groups = []
    for part in parts:
        if not (found := confirmed_of(table, part)):
            continue
        digits = objective_digits(searched, part.results)
        texts = [_confirmed_text(confirmed, digits) for confirmed in found]
        if len(texts) > MOST_CONFIRMED + 1:
            texts = [*texts[: MOST_CONFIRMED + 1], f"{len(texts) - MOST_CONFIRMED - 1} more"]
        if part.ranked and part.ranked[0].key not in {confirmed.result.key for confirmed in found}:
            texts.append("the best is not among them yet")
        each = "" if searched.description.each is None else f"{_value_text(searched, part)}: "
        groups.append(each + ", ".join(texts))
    return [f"confirmed on new splits and seeds: {'; '.join(groups)}"] if groups else []


def _confirmed_text(confirmed: Confirmed, digits: int) -> str:
    """Return a mean on new splits, and in brackets its difference to the default, 95 % interval and p after Holm."""
    name = "default" if confirmed.default else result_name(confirmed.result)
    if not confirmed.complete:
        done = 0 if confirmed.sample is None else confirmed.sample.n
        return f"{name} unfinished ({count_text(done, 'fold')})"
    assert confirmed.sample is not None
    text = f"{name} {number(confirmed.sample.mean, digits)}"
    found = confirmed.difference
    if found is None:
        return text
    interval = "" if found.low is None else f", 95 % {number(found.low, digits)} to {number(found.high, digits)}"
    p = "" if confirmed.p_holm is None else f", p {p_value_text(confirmed.p_holm)}"
    return f"{text} ({'+' * (found.mean >= 0)}{number(found.mean, digits)}{interval}{p})"
