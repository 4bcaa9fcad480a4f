"""The scores of one unit or of one row as text, for what a run and its status print."""

from collections.abc import Iterable, Mapping
from typing import Any

from mtvae.config import CONDITIONED, FAMILIES, SCALE_DIGITS, UNCONDITIONED, Metric
from sweeps.analysis.objective import finite_number, readable_columns
from sweeps.config.settings import Settings
from sweeps.config.stages import STAGES, stages_of
from sweeps.ledger.ledger import Ledger
from sweeps.plan.unit import Outcome, Unit

Scores = list[tuple[str, float, int]]
"""The name, the value and the decimals of each score."""


def _metrics(settings: Settings, stages: Iterable[str]) -> list[Metric]:
    """Return the metrics that tables show of a configuration: of its outputs, its family and these stages.

    Those of later stages that are not in the table of models are in a table of the stage, and have a caption.
    """
    of_stages = [m for stage in stages for m in STAGES[stage].metrics if m.tabulated or m.caption]
    return [m for m in (UNCONDITIONED, CONDITIONED, *FAMILIES[settings.family].metrics) if m.tabulated] + of_stages


def columns(settings: Settings) -> tuple[str, ...]:
    """Return the columns of the ledger that hold the scores of a configuration's units."""
    stages = [stage.name for stage in stages_of(settings)]
    return readable_columns([column for metric in _metrics(settings, stages) for column in metric.columns])


def scores(settings: Settings, record: Mapping[str, Any], stages: Iterable[str]) -> Scores:
    """Return the finite scores that a record holds, reconstruction errors in the scale of the family's table."""
    scale = FAMILIES[settings.family].scale
    found = []
    for metric in _metrics(settings, stages):
        value = finite_number(record.get(f"{metric.name}_{scale}" if metric.scaled else metric.name))
        if value is not None:
            found.append((metric.name, value, SCALE_DIGITS[scale] if metric.scaled else metric.digits))
    return found


def text(found: Scores) -> str:
    """Return scores as text, two spaces apart."""
    return "  ".join(f"{name.replace('_', ' ')} {value:z.{digits}f}" for name, value, digits in found)


def ending(ledger: Ledger, unit: Unit, outcome: Outcome) -> str:
    """Return what stands behind a unit that ended: its scores, or why it failed and where its log is."""
    if outcome is Outcome.FAILED:
        return f"{reason(ledger, unit)}; log: {ledger.log_path(unit)}"
    table, _ = ledger.try_read(f"units/{unit.name}.parquet", columns(unit.settings))
    return "" if table is None else text(scores(unit.settings, table.to_pylist()[0], [unit.stage]))


def reason(ledger: Ledger, unit: Unit) -> str:
    """Return why a unit failed, from its file."""
    table, damage = ledger.try_read(f"failed/{unit.name}.parquet", ["reason"])
    return f"its file is damaged ({damage})" if table is None else str(table["reason"][0])
