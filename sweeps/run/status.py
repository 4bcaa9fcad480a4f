"""The status of a sweep as text: a line for each configuration."""

from collections.abc import Mapping

from sweeps.analysis import scores
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.running import running_units
from sweeps.ledger.schema import Row
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Unit, UnitId, by_key, parse_unit_name
from sweeps.run.search_text import asked_text
from sweeps.screen import columns, folded
from sweeps.search.asked import Archive


def read_status(plan: Plan, ledger: Ledger) -> tuple[Plan, "Status"]:
    """Read the scores of a plan's done units, and what runs. In the returned plan, damaged files' units are not done.

    A report does not count these units either, and a run trains them again.
    """
    units = [units[0] for row in plan.rows for units in by_key(row)]
    wanted = dict.fromkeys(column for unit in units for column in scores.columns(unit.settings))
    records, damaged = ledger.read("units", list(wanted))
    found = {(record["key"], record["fold"]): record for record in records}
    lost = {parse_unit_name(name.removesuffix(".parquet")) for name, _ in damaged} - found.keys()
    lines = [f"not read: {name} ({why})" for name, why in damaged]
    plan = plan.replaced(done=plan.done - {id_ for id_ in lost if id_ is not None})
    return plan, Status(found, running_units(ledger.storage) or {}, lines)


class Status:
    """What a sweep's status shows besides its plan: scores by unit, what runs, and lines on damaged files."""

    def __init__(self, records: Mapping[UnitId, Row], running: Mapping[UnitId, float], damage: list[str]):
        self.records, self.running, self.damage = records, running, damage

    def text(self, plan: Plan, archive: Archive | None = None, width: int | None = None) -> str:
        """Return a line per configuration: key, done, failed and blocked units, label, mean scores, running units.

        Each later stage of a configuration, such as a prior, has a line of its own.

        Args:
            archive: the suggestions of the sweep's search, if it has one.
            width: of the terminal; None: no line is folded.
        """
        failed = {unit.id for unit in plan.still_failed}
        running = [unit for unit in plan.units if self._runs(plan, unit)]
        head = f"sweep {plan.grid.name}: {plan.count(plan.done)} of {len(plan.units)} units done"
        head += f", {len(running)} running" if running else ""
        lines = folded(
            [head, *([] if archive is None else [f"search: {asked_text(archive)}", *archive.problems])], width
        )
        rows = [self._row(plan, units, failed) for units in plan.rows for units in by_key(units)]
        table = columns(rows, width)
        return "\n".join([*lines, *([table] if table else []), *folded(self.damage, width)])

    def _row(self, plan: Plan, units: list[Unit], failed: set[UnitId]) -> list[str]:
        done = sum(unit.id in plan.done for unit in units)
        open_units = [unit for unit in units if unit.id not in plan.done | failed]
        counts = {
            "failed": sum(unit.id in failed for unit in units),
            "blocked": sum(not failed.isdisjoint(unit.requires) for unit in open_units),
        }
        remarks = [f"{count} {what}" for what, count in counts.items() if count]
        note = f" ({', '.join(remarks)})" if remarks else ""
        note += ", stopped" if done < len(units) and plan.is_stopped(units[0]) else ""
        parts = [units[0].stage_label, self._scores(plan, units), self._running_text(plan, units)]
        return [units[0].key, f"{done}/{len(units)}{note}", "  ".join(filter(None, parts))]

    def _runs(self, plan: Plan, unit: Unit) -> bool:
        return unit.id in self.running and unit.id not in plan.done

    def _scores(self, plan: Plan, units: list[Unit]) -> str:
        """Return the means of a row's scores over its done units."""
        values: dict[tuple[str, int], list[float]] = {}
        for unit in units:
            if unit.id in plan.done and unit.id in self.records:
                for name, value, digits in scores.scores(unit.settings, self.records[unit.id], [unit.stage]):
                    values.setdefault((name, digits), []).append(value)
        return scores.text([(name, sum(v) / len(v), digits) for (name, digits), v in values.items()])

    def _running_text(self, plan: Plan, units: list[Unit]) -> str:
        running = [f"fold {unit.fold} {self.running[unit.id]:.0%}" for unit in units if self._runs(plan, unit)]
        return f"running: {', '.join(running)}" if running else ""
