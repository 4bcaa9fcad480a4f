"""`python -m sweeps.run GRID`: plan, run or inspect a sweep. The same command resumes it.

Exit codes: 0 every unit is done, 1 some failed, 2 bad input or results that cannot be written, 75 stopped before
complete.
"""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from mtvae_sweeps import name_clash, owners
from sweeps import output
from sweeps.backends.malloc import restart_with_malloc_settings
from sweeps.backends.stop import ignore_signals
from sweeps.run.command import command, complain
from sweeps.run.completion import complete_grid, complete_setting
from sweeps.run.list_settings import list_settings
from sweeps.run.options import Options
from sweeps.version import show_version

NO_GRID = "GRID is missing: name a grid file, or a shipped one such as quick; --help lists the options"


def main(
    context: typer.Context,
    grid_file: Annotated[
        str | None,
        typer.Argument(metavar="GRID", help="a grid file, or the name of a shipped one", autocompletion=complete_grid),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY.PATH=VALUE", help="change a setting, everywhere", autocompletion=complete_setting
        ),
    ] = None,
    results: Annotated[
        str, typer.Option(metavar="DIR", envvar="MTVAE_SWEEPS_RESULTS", help="folder of all results")
    ] = "results",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", envvar="MTVAE_SWEEPS_WORKERS", help="units at a time (default: the CPU cores)"
        ),
    ] = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="train in this process, a unit at a time, without Ray")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option(metavar="A", help="a running Ray cluster (auto, HOST:PORT); default: Ray on this machine"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would run, and what it would cost")] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="train each shape for some steps, and print how many hours the rest takes")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="print what is done of each row, its scores, and what runs")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="train failed units again")] = False,
    redo: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="train done units again: a label, a part of one, or with *")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="UNIT", help="train this unit alone, in this process: a label, as for --redo")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="train the I-th of N parts, for N jobs that share the folder"),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="wait so long for a node that is large enough, if there is none yet"
        ),
    ] = 0.0,
    per_gpu: Annotated[
        str | None,
        typer.Option(metavar="N", help="train on GPUs, N units on each; auto: as many as its memory holds"),
    ] = None,
    tensorboard: Annotated[
        str | None, typer.Option(metavar="DIR", help="write every epoch as TensorBoard event files while it runs")
    ] = None,
    accept_images: Annotated[
        bool, typer.Option("--accept-images", help="train on, though done units saw other images than there are now")
    ] = False,
    export_study: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="write the search as an Optuna journal, for optuna-dashboard; train nothing"),
    ] = None,
    confirm: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="[N]", help="train the search's best N and its default on new splits and seeds (default: 1)"
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="print failures and errors only")] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="print a line too when a unit starts, and on a terminal when it ends"),
    ] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="list all settings, or those that a PATTERN in place of GRID names")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Train every configuration of a grid on every fold, and print the table.

    The same command resumes the sweep: it trains only what is not done. A unit
    is named by its files (<key>-fold<k>) or by its label as --status and the
    tables print it, with or without ", fold <k>". Exit codes: 0 every unit is
    done, 1 some failed, 2 bad input or results that cannot be written, 75
    stopped before complete.
    """
    if settings:
        raise typer.Exit(list_settings(grid_file))
    if grid_file is None:
        raise typer.Exit(complain(NO_GRID))
    if (only or inline) and str(context.get_parameter_source("workers")).endswith("ENVIRONMENT"):
        workers = None  # it is for sweeps with workers, and this command has none
    options = Options(
        results, workers, inline, address, dry_run, status, retry, tensorboard, redo, only, shard, wait, per_gpu,
        accept_images, export_study, confirm, quiet, verbose, probe,
    )  # fmt: skip
    code = command(grid_file, overrides or [], options)
    output.all_was_written()  # whether the output could be written does not change the exit code
    ignore_signals()  # a signal while the interpreter ends would replace the exit code
    raise typer.Exit(code)


def with_number(arguments: Sequence[str]) -> list[str]:
    """Return the command line with `--confirm=1` for a `--confirm` without a number, because typer wants a value."""
    following = [*arguments[1:], ""]
    return [
        "--confirm=1" if argument == "--confirm" and not after.isdecimal() else argument
        for argument, after in zip(arguments, following, strict=True)
    ]


if __name__ == "__main__":
    sys.argv = with_number(sys.argv)
    if "--inline" in sys.argv:
        restart_with_malloc_settings()
    output.guard()
    if clash := name_clash(owners()):
        print(f"warning: {clash}", file=sys.stderr)
    typer.run(main)
