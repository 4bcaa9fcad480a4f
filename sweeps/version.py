"""The option `--version` of the commands."""

import typer

from mtvae import __version__


def show_version(asked: bool) -> None:
    """Print the version and end the command, if the option was given."""
    if asked:
        print(f"mtvae-sweeps {__version__}")
        raise typer.Exit()
