"""Trains the best configurations of a search again, on splits and with seeds that had no part in their choice."""

from collections.abc import Sequence
from dataclasses import replace

from sweeps.analysis.results import read_table
from sweeps.analysis.search_results import Result, parts_of
from sweeps.config.grid import Grid
from sweeps.config.settings import Settings, flatten
from sweeps.data.seeds import derive
from sweeps.ledger import rows
from sweeps.ledger.confirmations import Confirmation, read_confirmations
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.search_file import KnownRow, SearchDescription
from sweeps.plan.identity import key_of
from sweeps.plan.patterns import ChoiceError
from sweeps.plan.plan import Plan
from sweeps.run.status import Status, read_status
from sweeps.search.asked import Archive, each_value, judge, reasons_text
from sweeps.search.space import params_of
from sweeps.text import count_text


def describe(sweep: Grid, archive: Archive | None) -> SearchDescription | None:
    """Return what a report needs to know of a sweep's search; None if it has none."""
    if archive is None:
        return None
    search = archive.search
    defaults = [KnownRow(key_of(settings), each_value(search, part)) for part, settings in archive.defaults()]
    known = []
    for settings in sweep.rows:
        flat = flatten(settings)
        for i, part in enumerate(archive.parts):
            params, _ = params_of(part, flat)
            if params is not None and judge(part, params)[0] is not None:
                known.append(KnownRow(key_of(settings, flat), each_value(search, i)))
                break
    return SearchDescription(
        search.objective,
        search.space,
        search.each,
        search.sampler,
        "none" if sweep.racing is None else sweep.racing.rule,
        search.configurations,
        search.hours,
        search.seed,
        tuple(constraint for constraint in search.constraints if not constraint.known),
        tuple(defaults),
        tuple(known),
    )


def choose(ledger: Ledger, sweep: Grid, archive: Archive, n: int) -> list[Confirmation]:
    """Return the configurations to confirm: those that were chosen before, the best n, and the default.

    With `each`, they are the best n and the default of each value. All have the same new seed, so that they are
    compared on the same folds. It derives from the sweep's, so the same choice gives the same units again.

    Raises:
        ChoiceError: no configuration of the search has all its folds and keeps the constraints.
    """
    found = archive.with_suggestions(sweep).rows
    by_key = {key_of(settings): settings for settings in found}
    shown = replace(sweep, rows=found)
    table = read_table(ledger, run_rows=rows.resolved(shown), search=describe(sweep, archive))
    parts = parts_of(table)
    if not any(part.ranked for part in parts):
        raise ChoiceError(f"--confirm: {_why_none([result for part in parts for result in part.results])}")
    defaults = {each_value(archive.search, i): settings for i, settings in archive.defaults()}
    wanted: dict[str, Settings] = {}
    for part in parts:
        if part.ranked and part.each in defaults:
            wanted[key_of(defaults[part.each])] = defaults[part.each]
        wanted |= {result.key: by_key[result.key] for result in part.ranked[:n]}
    before, _ = read_confirmations(ledger.storage)
    seed = confirm_seed(archive.search.seed)
    new = [Confirmation(key, key_of(_again(settings, seed)), seed) for key, settings in wanted.items()]
    known = {confirmation.key for confirmation in before}
    return [*before, *[confirmation for confirmation in new if confirmation.key not in known]]


def _why_none(results: Sequence[Result]) -> str:
    """Return why there is nothing to confirm."""
    complete = [result for result in results if result.state == "complete"]
    if not complete:
        return "no configuration of the search has all its folds yet; run it without --confirm"
    missed = reasons_text(text for result in complete for text in result.misses)
    n = count_text(len(complete), "configuration")
    return f"the search has {n} with all folds, but none keeps the constraints; missed: {missed}"


def confirm_seed(seed: int) -> int:
    """Return the seed of a sweep's confirmations."""
    return derive(seed, "confirm") >> 31  # short enough for people to read


def _again(settings: Settings, seed: int) -> Settings:
    return settings.model_copy(update={"seed": seed})


def confirmed_rows(confirmations: Sequence[Confirmation], rows: Sequence[Settings]) -> tuple[Settings, ...]:
    """Return the settings of the confirmations of these rows. Those of other rows are left out."""
    by_key = {key_of(settings): settings for settings in rows} if confirmations else {}
    again = [_again(by_key[c.of], c.seed) for c in confirmations if c.of in by_key and c.key not in by_key]
    return tuple(dict.fromkeys(again))


def recorded(ledger: Ledger, rows: Sequence[Settings]) -> tuple[Settings, ...]:
    """Return the settings of the confirmations of these rows that the ledger knows."""
    return confirmed_rows(read_confirmations(ledger.storage)[0], rows)


def only_confirmed(sweep: Grid, confirmed: Sequence[Settings]) -> Grid:
    """Return the sweep that trains confirmations and nothing else, all of their folds."""
    return Grid(sweep.name, tuple(confirmed))


def status_lines(ledger: Ledger, plan: Plan, width: int | None = None) -> list[str]:
    """Return the status of confirmations: a line per configuration."""
    plan, status = read_status(plan, ledger)
    first, *lines = Status(status.records, status.running, []).text(plan, width=width).splitlines()
    return [f"on new splits and seeds:{first.partition(':')[2]}", *lines]
