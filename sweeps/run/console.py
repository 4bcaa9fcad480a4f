"""The console script `mtvae-sweeps`, whose commands `run` and `report` are the modules of those names.

Unlike a module, a script can offer shell completion (`mtvae-sweeps --install-completion`).
"""

import sys
from typing import Annotated

import typer

from sweeps import output
from sweeps.backends.malloc import restart_with_malloc_settings
from sweeps.report.__main__ import main as report
from sweeps.run.__main__ import main as run
from sweeps.run.__main__ import with_number
from sweeps.version import show_version

app = typer.Typer(no_args_is_help=True)
app.command("run")(run)
app.command("report")(report)


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """Run cross-validated sweeps of small generative models, and report them."""


def start() -> None:
    """Run the command line of the console script."""
    sys.argv = with_number(sys.argv)
    if "--inline" in sys.argv:
        restart_with_malloc_settings()
    output.guard()
    app(prog_name="mtvae-sweeps")
