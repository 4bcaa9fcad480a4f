"""A row of a table: one configuration with the results of its units, fold by fold."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from mtvae.config import CONDITIONED, FAMILIES, METHODS, OF_OUTPUTS, UNCONDITIONED, Family, Method, Metric, Scale
from sweeps.analysis.statistics import Sample
from sweeps.ledger.schema import Row
from sweeps.text import one_line


class ReportError(ValueError):
    """A report cannot show what was asked for; the message says why."""


Declared = TypeVar("Declared", Family, Method)


@dataclass
class TableRow:
    """One configuration with the results of its units.

    Attributes:
        folds: the records of the done units, by fold. A done unit with a score that is not finite counts as failed.
        failed: why the other units failed, by fold.
        stage_metrics: the metrics of the stages after the training.
        images: a name of the set of images that each fold saw.
        stopped: why a race stopped it before it had all its folds; None if no race did.
    """

    key: str
    settings: Row
    folds: dict[int, Row] = field(default_factory=dict)
    failed: dict[int, str | None] = field(default_factory=dict)
    stage_metrics: dict[str, Metric] = field(default_factory=dict)
    images: dict[int, str | None] = field(default_factory=dict)
    stopped: str | None = None

    @property
    def image_sets(self) -> list[str | None]:
        """The sets of images that its done folds saw. With more than one set, no mean of the row has a meaning."""
        return list(dict.fromkeys(self.images[fold] for fold in self.folds if fold in self.images))

    @property
    def folds_wanted(self) -> int:
        """How many folds the row has when it is complete."""
        return int(self.settings["folds.n_splits"])

    @property
    def complete(self) -> bool:
        """Whether every fold is done, all of them on one set of images."""
        return len(self.folds) == self.folds_wanted and len(self.image_sets) == 1

    @property
    def scale(self) -> Scale:
        """The scale of reconstruction errors that the thesis prints for this family."""
        return self.family.scale

    @cached_property
    def family(self) -> Family:
        """Its family. A plug-in's family comes from the ledger's description, without importing the plug-in.

        Raises:
            ReportError: the description cannot be read.
        """
        return FAMILIES.get(self.settings["family"]) or self._from_ledger("family", Family.from_description)

    @cached_property
    def method(self) -> Method:
        """Its method, from the same sources as `family`."""
        return METHODS.get(self.settings["method"]) or self._from_ledger("method", Method.from_description)

    @property
    def final_method(self) -> Method:
        """The method of the model that is scored: `none` after a switch to the plain model."""
        return self.method if self.settings.get("schedule.switch_epoch") is None else METHODS["none"]

    def _from_ledger(self, kind: str, make: Callable[..., Declared]) -> Declared:
        """Make a plug-in's family or method from the ledger's description; without one, from its name only."""
        try:
            declarations = json.loads(self.settings.get("declarations") or "{}")
            return make(**{"name": self.settings[kind]} | declarations.get(kind, {}))
        except (AttributeError, TypeError, ValueError) as error:
            raise ReportError(one_line(f"{self.key}: its description of its {kind} cannot be read: {error}")) from error

    def metric(self, name: str) -> Metric | None:
        """Return a metric of its outputs, its family or a later stage; None for another column of the ledger."""
        others = {metric.name: metric for metric in (*OF_OUTPUTS, *self.stage_metrics.values())}
        return others.get(name) or self.family.metric(name)

    def has(self, name: str) -> bool:
        """Whether its family and method have a metric."""
        if name == UNCONDITIONED.name:
            return self.family.reconstructs
        if name == CONDITIONED.name:
            return self.family.decodes and self.method.conditioned
        return self.metric(name) is not None

    @property
    def is_baseline(self) -> bool:
        """Whether other rows are compared with it."""
        return self.method.baseline

    def sample(self, metric: str, scale: str | None = None) -> Sample | None:
        """Return the values by fold of a metric, or of any numeric column of the ledger; None if the row has none.

        Args:
            scale: the scale of reconstruction errors, one of `SCALES`; None for the thesis's scale of the family.
        """
        known = self.metric(metric)
        name = f"{metric}_{scale or self.scale}" if known is not None and known.scaled else metric
        return self.sample_of({fold: float(row[name]) for fold, row in self.folds.items() if row.get(name) is not None})

    def sample_of(self, values: Mapping[int, float]) -> Sample | None:
        """Return numbers that were made of its folds, by fold, as a sample; None where there is none."""
        splits = {fold: (row.get("split_hash"), self.images.get(fold)) for fold, row in self.folds.items()}
        return Sample.of_folds(values, splits, self.folds_wanted) if values else None
