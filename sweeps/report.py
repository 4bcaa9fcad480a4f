"""`python -m sweeps.report [SWEEP]`: the table of a sweep, from its Parquet files alone."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from sweeps.describe import value_text
from sweeps.grid import one_line
from sweeps.ledger import open_ledger, sweeps
from sweeps.statistics import Summary
from sweeps.storage import Storage
from sweeps.table import METRICS, Table, TableRow, read_table

UNITS = {"per_image": "per image", "per_pixel": "per pixel"}


def cell(summary: Summary | None) -> str:
    """Mean ± variance, as the thesis prints it; one fold has no variance."""
    if summary is None:
        return "-"
    return f"{summary.mean:.4f} ± " + (f"{summary.variance:.1e}" if summary.n > 1 else "?")


def setting_cell(value: object) -> str:
    """A setting as a grid file has it. A foreign file's text cannot write to the screen through it."""
    return "-" if value is None else one_line(value_text(tuple(value) if isinstance(value, list) else value))


def folds_cell(row: TableRow) -> str:
    """Done folds of those wanted, and how many failed."""
    failed = f" ({row.failed} failed)" if row.failed else ""
    return f"{len(row.units)}/{row.folds}{failed}"


def align(lines: Sequence[Sequence[str]]) -> list[str]:
    """Pads the cells of each column to one width."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def shared_lines(table: Table) -> list[str]:
    """The settings that all rows share, a line per group."""
    groups: dict[str, list[str]] = {}
    for name, value in table.shared().items():
        section, dot, leaf = name.rpartition(".")
        groups.setdefault(section, []).append(f"{leaf if dot else name} {setting_cell(value)}")
    return [(f"{section}: " if section else "") + ", ".join(items) for section, items in groups.items()]


def text(name: str, table: Table) -> str:
    """The table as plain text."""
    columns = table.columns()
    collapsed = any(row.collapsed for row in table.rows)
    head = [*columns, "folds", *[metric.replace("_", " ") for metric in METRICS], "error"]
    lines = [head + (["collapsed"] if collapsed else [])]
    for row in table.rows:
        line = [setting_cell(row.settings.get(name)) for name in columns]
        cells = {metric: cell(row.summary(metric)) for metric in METRICS}
        if row.settings["method"] == "conditioned" and row.units:
            cells["unconditioned"] += " *"
        line += [folds_cell(row), *cells.values(), UNITS[row.unit]]
        lines.append(line + ([str(row.collapsed)] if collapsed else []))
    aligned = align(lines)
    notes = [
        "mean ± population variance over the folds; unconditioned, conditioned: squared error of the reconstruction;",
        "latent loss: KL in nats per image (gaussian_vae), codebook and commitment loss per element (vqvae)",
    ]
    if any(row.settings["method"] == "conditioned" for row in table.rows):
        notes.append("* the zero condition, on which method conditioned was never trained")
    if table.shared().get("folds.selection") == "fold":
        notes.append("the tabulated fold itself picked the epoch: optimistic")
    return "\n".join([name, *shared_lines(table), "", aligned[0], "-" * len(aligned[0]), *aligned[1:], "", *notes])


def report(results: str, sweep: str) -> str:
    """The text table of one sweep."""
    table = read_table(open_ledger(results, sweep))
    damaged = [one_line(f"not read: {name} ({why})") for name, why in table.damaged]
    if not table.rows:
        return "\n".join([f"{sweep}: no finished unit yet", *damaged])
    return "\n".join([text(sweep, table), *damaged])


def main(
    sweep: Annotated[str | None, typer.Argument(help="name of a sweep; default: every sweep of the folder")] = None,
    results: Annotated[str, typer.Option(metavar="DIR", help="folder of all results")] = "results",
) -> None:
    """Prints the table of a sweep: mean ± variance over the folds, per configuration."""
    known = sweeps(Storage(results))
    if sweep is not None and sweep not in known:
        print(f"{results}: no sweep {sweep}" + (f", only {', '.join(known)}" if known else ""), file=sys.stderr)
        raise typer.Exit(2)
    if not known:
        print(f"{results}: no sweep here", file=sys.stderr)
        raise typer.Exit(2)
    print("\n\n".join(report(results, name) for name in ([sweep] if sweep else known)))


if __name__ == "__main__":
    typer.run(main)
