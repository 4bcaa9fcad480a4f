"""`python -m sweeps.run GRID`: plan, run or look at a sweep. The same command again continues it.

Exit codes: 0 every unit is done, 1 some failed, 2 bad input or results that cannot be written, 75 stopped before
complete.
"""

from typing import Annotated

import typer

from sweeps import output
from sweeps.backends.stop import ignore_signals
from sweeps.run.command import command
from sweeps.run.options import Options


def main(
    grid_file: Annotated[str, typer.Argument(metavar="GRID", help="a grid file, or the name of a shipped one")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE", help="change a setting, everywhere")
    ] = None,
    results: Annotated[str, typer.Option(metavar="DIR", help="folder of all results")] = "results",
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="units at a time [default: the CPU cores]")
    ] = None,
    inline: Annotated[bool, typer.Option("--inline", help="in this process, one after another, without Ray")] = False,
    address: Annotated[
        str | None, typer.Option(metavar="A", help="a running Ray cluster (auto, HOST:PORT); default: a local one")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would run, and what it costs")] = False,
    status: Annotated[bool, typer.Option("--status", help="say how far each row is")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="train failed units again")] = False,
    redo: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="train done units again: a label, a part of one, or with *")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="UNIT", help="just this unit, in this process: a label, as for --redo")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="the I-th of N parts, for N jobs that share the folder"),
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="for a node that fits, where the cluster has none yet")
    ] = 0.0,
    per_gpu: Annotated[
        str | None,
        typer.Option(metavar="N", help="train on GPUs, N units on each; auto: as many as its memory holds"),
    ] = None,
    tensorboard: Annotated[
        str | None, typer.Option(metavar="DIR", help="write every epoch as TensorBoard event files while it runs")
    ] = None,
    accept_images: Annotated[
        bool, typer.Option("--accept-images", help="go on where done units saw other images than there are now")
    ] = False,
) -> None:
    """Trains every configuration of a grid on every fold, and prints the table.

    The same command again trains only what is not done. A unit goes by its files' name (<key>-fold<k>) or by its label
    as --status and the tables print it, with or without ", fold <k>". Exit codes: 0 every unit is done, 1 some failed,
    2 bad input or results that cannot be written, 75 stopped before complete.
    """
    options = Options(
        results, workers, inline, address, dry_run, status, retry, tensorboard, redo, only, shard, wait, per_gpu,
        accept_images,
    )  # fmt: skip
    code = command(grid_file, overrides or [], options)
    output.all_was_written()  # the exit code says how the sweep ended, and not whether somebody could read of it
    ignore_signals()  # one that comes while the interpreter ends would take the exit code's place
    raise typer.Exit(code)


if __name__ == "__main__":
    output.guard()
    typer.run(main)
