"""`python -m sweeps.report [SWEEP]`: the tables of a sweep, from its Parquet files alone."""

import sys
from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from sweeps import views
from sweeps.analysis.results import ReportError, read_table
from sweeps.cells import Look, Spread, Unit
from sweeps.formats import Format, render
from sweeps.ledger.ledger import COMPACTED, Damage, Ledger, open_ledger, sweeps
from sweeps.ledger.storage import Storage, StorageError
from sweeps.sheets import KINDS, Asked, sheets
from sweeps.text import one_line


def report(results: str, sweep: str, asked: Asked) -> str:
    """The report of one sweep. In text, files that could not be read are named below it."""
    table = read_table(open_ledger(results, sweep), asked.all_rows, views.more_columns(asked.columns))
    damaged = _named(table.damaged)
    if not table.rows:
        return "\n".join([f"{one_line(sweep)}: no finished unit yet", *damaged])
    shown = render(sheets(sweep, table, asked), asked.format)
    if asked.format != "text":
        for line in damaged:
            print(line, file=sys.stderr)
        return shown
    return "\n".join([shown, *damaged])


def find(results: str, sweep: str | None) -> list[str]:
    """The sweeps of a folder, or the one asked for. Raises ReportError where there is none."""
    known = sweeps(Storage(results))
    if sweep is not None and sweep not in known:
        raise ReportError(f"{results}: no sweep {one_line(sweep)}" + (f", only {', '.join(known)}" if known else ""))
    if not known:
        raise ReportError(f"{results}: no sweep here")
    return [sweep] if sweep else known


@dataclass(frozen=True)
class Actions:
    """What a report shall do instead of printing."""

    compact: bool = False
    write: bool = False
    export: str | None = None
    curves: str | None = None
    tensorboard: str | None = None

    def run(self, ledger: Ledger, name: str, asked: Asked) -> list[str]:
        """Does it, and says what was done. Nothing heavy is imported for what was not asked."""
        said = []
        if self.compact:
            from sweeps.ledger.compaction import compact

            units, damaged = compact(ledger)
            said += [f"{units:,} units in {ledger.storage.path(COMPACTED)}", *_named(damaged)]
        if self.write:
            from sweeps.writing import write

            said += write(ledger, name, asked)
        wanted: list[tuple[str | None, Literal["units", "curves"]]] = [(self.export, "units"), (self.curves, "curves")]
        for file, what in wanted:
            if file:
                from sweeps.analysis.export import export

                rows, damaged = export(ledger, file, what)
                said += [f"{rows:,} rows in {file}", *_named(damaged)]
        if self.tensorboard:
            from sweeps.ledger.tensorboard import from_ledger

            units, damaged = from_ledger(ledger, self.tensorboard)
            said += [f"the epochs of {units:,} units in {self.tensorboard}", *_named(damaged)]
        return said


def _named(damaged: Damage) -> list[str]:
    return [one_line(f"not read: {file} ({why})") for file, why in damaged]


def main(
    sweep: Annotated[str | None, typer.Argument(help="name of a sweep; default: every sweep of the folder")] = None,
    results: Annotated[str, typer.Option(metavar="DIR", help="folder of all results")] = "results",
    show: Annotated[
        str | None, typer.Option(metavar="WHAT,...", help=f"any of {', '.join(KINDS)} [default: table]")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="beside the thesis's table and its claims: --show published,claims")
    ] = False,
    format: Annotated[Format, typer.Option(help="of what is printed")] = "text",
    spread: Annotated[Spread, typer.Option(help="what stands behind ±")] = "variance",
    unit: Annotated[
        Unit | None, typer.Option(help="of reconstruction errors [default: the thesis's of each family]")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="of the table: settings, results, folds, error, collapsed")
    ] = None,
    all_rows: Annotated[bool, typer.Option("--all", help="rows of earlier grids too")] = False,
    write: Annotated[bool, typer.Option("--write", help="tables, figures and page, into DIR/<sweep>/report/")] = False,
    export: Annotated[
        str | None, typer.Option(metavar="FILE", help="write all units, flat, as .parquet or .csv")
    ] = None,
    curves: Annotated[
        str | None, typer.Option(metavar="FILE", help="write all epochs of all units as .parquet or .csv")
    ] = None,
    tensorboard: Annotated[
        str | None, typer.Option(metavar="DIR", help="write the epochs as TensorBoard event files")
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="fold the units' files into one, DIR/<sweep>/units.parquet")
    ] = False,
) -> None:
    """Prints the tables of a sweep: mean ± variance over the folds, per configuration."""
    try:
        kinds = [*(show.split(",") if show else []), *(("published", "claims") if published else ())] or ["table"]
        chosen = tuple(columns.split(",")) if columns else None
        asked = Asked(tuple(dict.fromkeys(kinds)), format, Look(spread, unit), chosen, all_rows)
        actions = Actions(compact, write, export, curves, tensorboard)
        names = find(results, sweep)
        if len(names) > 1 and (export or curves):
            raise ReportError(f"one file holds one sweep; say which: {', '.join(names)}")
        for i, name in enumerate(names):
            done = actions.run(open_ledger(results, name), name, asked)
            print("\n" * (i > 0) + ("\n".join(done) if done else report(results, name, asked)))
    except (ReportError, StorageError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
