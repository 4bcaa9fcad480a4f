"""Project the floating-point operations and hours of each row of a grid from the speeds of sweeps that were run.

python benchmarks/projection.py grid_thesis.yaml --measured results/mnist10k [--measured ...] [--workers 2]

A row whose model one of the sweeps trained takes that model's images per second, evaluation included. Every other row
takes the operations per second of the measured model of its family that is nearest in size, and says so. Speeds are
those of one worker while the others ran beside it.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mtvae.config import Architecture
from mtvae.cost import cost
from sweeps.config import grid
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import flops
from sweeps.plan.unit import Unit

Shape = tuple[Architecture, str]


@dataclass
class Measured:
    """The done units of one shape: images through the training step, seconds, and devices."""

    images: int = 0
    seconds: float = 0.0
    devices: frozenset[str] = frozenset()

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


def shape_of(unit: Unit) -> Shape:
    return unit.settings.architecture, unit.settings.training.precision


def add_speeds(found: dict[Shape, Measured], folder: Path) -> None:
    """Add the speeds of a sweep's folder to those found in others."""
    plan = Plan(grid.load(str(folder / "grid.yaml")), frozenset(), frozenset())
    shapes = {unit.id: shape_of(unit) for unit in plan.units}
    rows, _ = open_ledger(folder.parent, folder.name).read(
        "units", ["key", "fold", "images_trained", "seconds", "device"]
    )
    for row in rows:
        if (row["key"], row["fold"]) in shapes:
            speed = found.setdefault(shapes[row["key"], row["fold"]], Measured())
            speed.images += row["images_trained"]
            speed.seconds += row["seconds"]
            speed.devices |= {row["device"]}


def rate(shape: Shape, measured: dict[Shape, Measured]) -> tuple[float, str]:
    """Return a shape's images per second and their source; NaN if no model of its family and precision was run."""
    if shape in measured:
        return measured[shape].images_per_second, "measured"
    (architecture, precision), size = shape, cost(shape[0]).flops
    kin = [s for s in measured if s[0].family == architecture.family and s[1] == precision]
    if not kin:
        return math.nan, "no model of its family was run"
    nearest = min(kin, key=lambda s: abs(math.log(cost(s[0]).flops / size)))
    return measured[nearest].images_per_second * cost(nearest[0]).flops / size, "by operations"


def rows(plan: Plan, measured: dict[Shape, Measured], workers: int) -> list[str]:
    """Return the lines of the page's table."""
    lines = [
        "| row | units | FLOP | images/s of a worker | GFLOP/s | from | hours of one worker |",
        "|---" * 7 + "|",
    ]
    total, operations = 0.0, 0
    for units in plan.rows:
        per_second, source = rate(shape_of(units[0]), measured)
        images, flop = sum(unit.images_to_train for unit in units), sum(map(flops, units))
        seconds = images / per_second
        total, operations = total + seconds, operations + flop
        lines.append(
            f"| {units[0].label} | {len(units)} | {flop:.2e} | {per_second:,.0f} "
            f"| {flop / seconds / 1e9:,.0f} | {source} | {seconds / 3600:,.1f} |"
        )
    lines.append(f"| all | {len(plan.units)} | {operations:.2e} | | | | {total / 3600:,.1f} |")
    days = total / workers / 86400
    return [*lines, "", f"On {workers} such workers, kept busy to the end: {24 * days:,.1f} hours ({days:,.1f} days)."]


def main(
    grid_file: str,
    measured: Annotated[list[Path], typer.Option(help="the folder of a sweep that was run")],
    workers: Annotated[int, typer.Option(min=1, help="at a time")] = 2,
) -> None:
    """Print a page of Markdown."""
    found: dict[Shape, Measured] = {}
    for folder in measured:
        add_speeds(found, folder)
    if not found:
        raise SystemExit(f"{', '.join(map(str, measured))}: no done unit")
    plan = Plan(grid.load(grid_file), frozenset(), frozenset())
    devices = sorted(frozenset().union(*(speed.devices for speed in found.values())))
    names = ", ".join(folder.name for folder in measured)
    print(f"# {plan.grid.name}, projected\n\nFrom {names}, run on {', '.join(devices)}. None of these rows was run.\n")
    print("\n".join(rows(plan, found, workers)))


if __name__ == "__main__":
    typer.run(main)
