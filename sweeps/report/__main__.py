"""The command `python -m sweeps.report [SWEEP]`: it prints a sweep's tables from its Parquet files alone."""

import sys
from typing import Annotated

import typer

from mtvae.config import Scale
from sweeps import output
from sweeps.analysis.results import find_sweeps
from sweeps.analysis.table_row import ReportError
from sweeps.ledger.ledger import open_ledger
from sweeps.ledger.storage import StorageError, leave_gone_folder
from sweeps.report.actions import Actions
from sweeps.report.contents import KINDS, ReportRequest, report
from sweeps.report.tables.cells import NumberFormat, Spread
from sweeps.report.tables.formats import Format
from sweeps.screen import terminal_width
from sweeps.text import UNSET, one_line
from sweeps.version import show_version


def main(
    sweep: Annotated[str | None, typer.Argument(help="name of a sweep (default: every sweep of the folder)")] = None,
    results: Annotated[
        str, typer.Option(metavar="DIR", envvar="MTVAE_SWEEPS_RESULTS", help="folder of all results")
    ] = "results",
    show: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT,...", help=f"any of {', '.join(KINDS)}; several times too (default: table)"),
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="compare with the thesis: --show published,claims")
    ] = False,
    format: Annotated[Format, typer.Option(help="format of what is printed")] = "text",
    spread: Annotated[Spread, typer.Option(help="the spread printed behind ±")] = "variance",
    scale: Annotated[
        Scale | None,
        typer.Option(
            "--scale",
            "--unit",
            help="scale of reconstruction errors (default: each family's in the thesis); formerly --unit",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="columns of the table: settings, metrics, folds, error, flags"),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="show only the rows of this label or key; may be given several times"),
    ] = None,
    all_rows: Annotated[bool, typer.Option("--all", help="show the rows of earlier grids too")] = False,
    write: Annotated[
        bool, typer.Option("--write", help="write tables, figures and page into DIR/<sweep>/report/")
    ] = False,
    export: Annotated[
        str | None, typer.Option(metavar="FILE", help="write all units, one per line, as .parquet or .csv")
    ] = None,
    curves: Annotated[
        str | None, typer.Option(metavar="FILE", help="write all epochs of all units as .parquet or .csv")
    ] = None,
    tensorboard: Annotated[
        str | None, typer.Option(metavar="DIR", help="write the epochs as TensorBoard event files")
    ] = None,
    compact: Annotated[
        bool, typer.Option("--compact", help="merge the units' files into DIR/<sweep>/units.parquet")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Print the tables of a sweep: mean ± variance over the folds, per configuration."""
    try:
        paths = {"results": results, "export": export, "curves": curves, "tensorboard": tensorboard}
        if unset := [option for option, path in paths.items() if path == ""]:
            raise ReportError(f"--{unset[0]} {UNSET}")
        leave_gone_folder(*paths.values())
        kinds = [kind for kinds in show or () if kinds for kind in kinds.split(",")]
        kinds = [*kinds, *(("published", "claims") if published else ())] or ["table"]
        chosen = tuple(columns.split(",")) if columns else None
        request = ReportRequest(
            tuple(dict.fromkeys(kinds)), format, NumberFormat(spread, scale), chosen, all_rows, tuple(only or ()),
            terminal_width(),
        )  # fmt: skip
        actions = Actions(compact, write, export, curves, tensorboard)
        names = find_sweeps(results, sweep)
        if len(names) > 1 and (export or curves):
            raise ReportError(f"a file holds one sweep; name one: {', '.join(names)}")
        if len(names) > 1 and only:
            raise ReportError(f"a label belongs to one sweep; name one: {', '.join(names)}")
        for i, name in enumerate(names):
            done = actions.run(open_ledger(results, name), name, request)
            print("\n" * (i > 0) + ("\n".join(done) if done else report(results, name, request)))
    except (ReportError, StorageError) as error:
        print(one_line(str(error)), file=sys.stderr)
        raise typer.Exit(2) from None
    if not output.all_was_written():
        raise typer.Exit(2)


if __name__ == "__main__":
    output.guard()
    typer.run(main)
