"""The option `--write`: every table in every format, figures and a page, in the folder `<sweep>/report/`."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from sweeps.analysis.flags import MOST_CURVES, history_columns
from sweeps.analysis.results import Table
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import Row
from sweeps.report.contents import KINDS, ReportRequest, damage_lines, read, sheets, why_empty
from sweeps.report.page import page
from sweeps.report.tables.cells import setting_text
from sweeps.report.tables.formats import ENDINGS, render
from sweeps.report.tables.sheet import Sheet
from sweeps.text import count_text, one_line

FOLDER = "report"
ORIGINS = ("git_commit", "git_dirty", "versions", "device", "processor", "host", "seconds", "finished_at")


def write(ledger: Ledger, name: str, request: ReportRequest) -> list[str]:
    """Write all files, and return lines that say what was written, and what could not be made and why.

    Raises:
        StorageError: the folder is not writable.
    """
    say = partial(_say, name)
    say("reading the units")
    histories = history_columns(ledger)
    request = replace(request, kinds=KINDS)
    table = read(ledger, request, [*ORIGINS, *histories])
    if not table.rows:
        lines = [f"{one_line(name)}: {why_empty(table)}; nothing written", *damage_lines(table.damaged), *table.notes]
        return [one_line(line) for line in lines]
    shown = [sheet for sheet in sheets(name, table, request) if sheet.rows]
    missing = [*damage_lines(table.damaged), *table.notes]
    missing += [] if histories else [f"no validation curves: more than {MOST_CURVES:,} units"]
    images, reasons = _figures(ledger, table, say)
    missing += reasons
    say(f"making {count_text(len(shown), 'table')}")
    files = _tables(shown) | {f"figures/{file}": data for file, data in images.items()}
    pngs = {file.removesuffix(".png"): data for file, data in images.items() if file.endswith(".png")}
    files["index.html"] = page(one_line(name), shown, pngs, origins(table), missing).encode()
    say(f"writing {count_text(len(files), 'file')}")
    for file, data in files.items():
        ledger.storage.write(f"{FOLDER}/{file}", data)
    where = ledger.storage.path(FOLDER)
    return [f"{len(files)} files in {where}; the page: {where}/index.html", *missing]


def _tables(shown: list[Sheet]) -> dict[str, bytes]:
    files = {}
    for sheet in shown:
        for format, ending in ENDINGS.items():
            if format != "html":  # the page holds the tables as HTML
                files[f"{sheet.name}.{ending}"] = render([sheet], format)
    return {file: f"{text}\n".encode() for file, text in files.items()}


def _say(name: str, stage: str) -> None:
    """Print a stage of the work on stderr. Stdout is for the lines that say what was written."""
    print(one_line(f"{name}: {stage}"), file=sys.stderr)


def _figures(ledger: Ledger, table: Table, say: Callable[[str], None]) -> tuple[dict[str, bytes], list[str]]:
    """Return PNG and PDF files by name, and lines that say why some are missing."""
    from sweeps.report.figures.drawing import save
    from sweeps.report.figures.figures import figures
    from sweeps.report.figures.prior_figures import prior_figures
    from sweeps.report.figures.search_figures import search_figures

    say("drawing figures")
    of_search, reasons = search_figures(table)
    drawn = of_search | figures(table) | prior_figures(table)
    if ledger.storage.names("models"):
        from sweeps.report.figures.pictures import pictures

        say("drawing what the kept models make of images")
        more, missing = pictures(ledger, table)
        drawn |= more
        reasons += missing
    else:
        reasons.append("no pictures: no model was kept")
    say(f"saving {count_text(len(drawn), 'figure')} as PNG and PDF")
    files: dict[str, bytes] = {}
    for name, figure in drawn.items():
        files |= {f"{name}.{ending}": data for ending, data in save(figure).items()}
    return files, reasons


def origins(table: Table) -> list[str]:
    """Return lines on what made the numbers: commits, devices, machines, versions, hours and dates.

    The table must have been read with the columns `ORIGINS`.
    """
    units: list[Row] = [unit for row in table.shown for unit in row.folds.values()]
    commits = Counter(_commit(unit) for unit in units)
    dirty = " (*: with uncommitted changes)" * any(unit["git_dirty"] for unit in units)
    lines = [f"{len(units)} units", f"code: {_counted(commits)}{dirty}"]
    lines.append(f"device: {_counted(Counter(str(unit['device']) for unit in units))}")
    for name in ("processor", "host"):
        values = Counter(setting_text(unit[name] or "not recorded") for unit in units)
        lines += [f"{name}: {_counted(values)}"] if any(unit[name] for unit in units) else []
    lines.append(f"versions: {_counted(Counter(_versions(unit['versions']) for unit in units))}")
    hours = sum(unit["seconds"] or 0 for unit in units) / 3600
    dates = sorted(unit["finished_at"] for unit in units if unit["finished_at"])
    lines.append(f"{hours:.2f} hours of training" + (f", {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d}" if dates else ""))
    return [one_line(line) for line in lines]


def _commit(unit: Row) -> str:
    return f"{unit['git_commit'][:10]}{'*' * bool(unit['git_dirty'])}" if unit["git_commit"] else "no checkout"


def _counted(counts: Mapping[str, int]) -> str:
    """Return the names with their counts; one name alone without its count."""
    return ", ".join(counts) if len(counts) == 1 else ", ".join(f"{name} ({n})" for name, n in counts.items())


def _versions(text: str | None) -> str:
    """Return the ledger's JSON of packages and versions as text."""
    try:
        versions = json.loads(text or "{}")
    except ValueError:
        return setting_text(text)
    return " ".join(f"{name} {version}" for name, version in versions.items()) if versions else "unknown"
