"""Rows of the stages after the training: one for each configuration of a stage, such as a prior, on a model.

A model may have several priors, so they are not rows of the model's table, whose statistics would count it several
times. A row of a later stage has its model's settings and scores too, fold by fold.
"""

import json
from collections.abc import Mapping, Sequence

from mtvae.config import Metric
from sweeps.analysis.columns import LATER_COLUMNS
from sweeps.analysis.table_row import TableRow
from sweeps.ledger.schema import Row, not_finite

Stages = dict[str, dict[str, TableRow]]
"""The rows of each later stage, by key."""


def rows_of_stages(
    models: Mapping[str, TableRow], units: Sequence[Row], failed: Sequence[Row], listed: Sequence[Row]
) -> tuple[Stages, dict[str, str]]:
    """Return the rows of each later stage by their keys, and the key of each row's model.

    Args:
        models: the rows of the trainings (`TableRow`), by key.
        units, failed: the records of later stages' done and failed units.
        listed: the rows of the latest grid, whose `stages` has the keys of rows without a unit too.
    """
    found: Stages = {}
    parents: dict[str, str] = {}

    def row_of(stage: str, key: str, parent: str, settings: Row) -> TableRow:
        model = models[parent]
        rows = found.setdefault(stage, {})
        if key not in rows:
            later = {name: settings.get(name) for name in LATER_COLUMNS}
            rows[key] = TableRow(key, model.settings | later)
            parents[key] = parent
        return rows[key]

    for configuration in listed:
        for stage, key in json.loads(configuration.get("stages") or "{}").items():
            if configuration["key"] in models:
                row_of(stage, key, configuration["key"], configuration)
    known = {key for rows in found.values() for key in rows}
    for record in units:
        parent, fold = record["parent_key"], record["fold"]
        if parent not in models or (listed and record["key"] not in known):
            continue  # of another grid
        row = row_of(record["stage"], record["key"], parent, record)
        metrics = [Metric(**metric) for metric in json.loads(record["declarations"] or "{}").get("metrics", ())]
        row.stage_metrics |= {metric.name: metric for metric in metrics}
        own = {name: record.get(name) for metric in metrics for name in metric.columns}
        own |= {"given_pixels": record["given_pixels"]} if record.get("given_pixels") else {}
        if wrong := not_finite(own):
            row.failed[fold] = wrong
        elif fold in models[parent].folds:
            row.folds[fold] = models[parent].folds[fold] | own
    for failure in failed:
        if failure["parent_key"] in models and (not listed or failure["key"] in known):
            row = row_of(failure["stage"], failure["key"], failure["parent_key"], failure)
            if failure["fold"] not in row.folds:
                row.failed[failure["fold"]] = failure["reason"]
    for later in [row for rows in found.values() for row in rows.values()]:
        later.folds = dict(sorted(later.folds.items()))
    return found, parents


def join_to_models(models: Mapping[str, TableRow], stages: Stages, parents: Mapping[str, str]) -> None:
    """Add the metrics and failures of stages to the rows of their models, where a model has the stage once.

    A failure of one of several priors says nothing of the model, and is told with the priors.

    Args:
        parents: the model's key of each row's key.
    """
    for stage, rows in stages.items():
        children: dict[str, list[TableRow]] = {}
        for key, row in rows.items():
            children.setdefault(parents[key], []).append(row)
        for parent, own in children.items():
            model = models[parent]
            if len(own) == 1:
                model.failed |= {fold: f"{stage}: {reason}" for fold, reason in own[0].failed.items()}
                names = [name for metric in own[0].stage_metrics.values() for name in metric.columns]
                model.stage_metrics |= own[0].stage_metrics
                for fold, record in own[0].folds.items():
                    model.folds[fold] |= {name: record.get(name) for name in names}
