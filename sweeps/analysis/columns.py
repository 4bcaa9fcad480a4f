"""Columns of the ledger that tables read, and rows that agree in some of them."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from sweeps.config.labels import DATA_NAME
from sweeps.config.settings import FIELDS, SETTING_INFO, column
from sweeps.ledger.schema import BUILT_IN, IMAGES, OWN_SIZES, Row
from sweeps.plan.identity import LABEL_ORDER, LATER_SETTINGS

METRICS = tuple(metric.name for metric in BUILT_IN if metric.tabulated)
"""Metrics of built-in families that have a column in a table."""

SEPARATE_COLUMNS = ("dataset", "family", "configuration", "method")
"""Settings that have a separate column in a table. The others share one, like "Parameters" in the thesis."""

TABLE_COLUMNS = ("dataset", DATA_NAME, "family", "configuration", "method")
"""The same with the name of the user's own images, where rows differ in it."""

SETTING_COLUMNS = [*[column(path) for path in FIELDS], OWN_SIZES]
"""The columns of all settings. The sizes that only a plug-in's family has share one."""

KEY_COLUMNS = [column(path) for path, info in SETTING_INFO.items() if info.in_key and not info.stage]
"""Settings that are part of a training's key."""

ROW_COLUMNS = [column(path) for path in LABEL_ORDER if SETTING_INFO[path].in_key or path == DATA_NAME]
"""Settings that make a row another one than another row: those of its key, and the name of its images."""

SILENT_VALUES = {column(path): info.neutral for path, info in SETTING_INFO.items() if info.silent}
"""Values of settings that the lines above a table leave out."""

LATER_COLUMNS = [column(path) for path in LATER_SETTINGS]
"""The settings that only later stages read. The rows of models have none of them."""

LABEL_COLUMNS = [*[column(path) for path in LABEL_ORDER], *LATER_COLUMNS]
"""All settings, in the order in which labels try them."""

METHOD_COLUMNS = {column(path) for path, info in SETTING_INFO.items() if info.of_method}
"""Settings that belong to a method: rows that agree in all other settings differ by method only."""

SCORE_COLUMNS = [name for metric in BUILT_IN if metric.tabulated for name in metric.columns]
"""Scores of built-in families, a column for each scale."""

STAGE_COLUMNS = ("stage", "parent_key")
"""Columns that say which stage a unit is of."""

FURTHER_METRICS = ("relative_codebook_error", "perplexity", "active_units")
"""Metrics that say how a latent space is used. Records and statistics hold them where a ledger does."""

BASE_COLUMNS = ("split_hash", *IMAGES, *SCORE_COLUMNS, "collapsed", "best_epoch", "family_source", *FURTHER_METRICS)
"""Results that every table reads."""


def own_size_names(rows: Iterable[Row]) -> list[str]:
    """Return the settings `model.X` of these rows that only a plug-in's family has."""
    known = {*SETTING_COLUMNS, "declarations"}
    return list(dict.fromkeys(name for row in rows for name in row if name not in known and name.startswith("model.")))


def data_text(settings: Row) -> str:
    """Return what a row's data set is called: the name of the user's own images, or the published one."""
    return str(settings.get(DATA_NAME) or settings.get("dataset"))


class HasSettings(Protocol):
    """A row of a sweep's table or of a published table."""

    @property
    def settings(self) -> Row: ...


AnyRow = TypeVar("AnyRow", bound=HasSettings)


def rows_agreeing_except(rows: Iterable[AnyRow], vary: set[str]) -> Callable[[Row], list[AnyRow]]:
    """Return a function that finds the rows which agree with given settings in everything but `vary`."""
    rows = list(rows)
    names = [name for name in (*ROW_COLUMNS, *own_size_names(row.settings for row in rows)) if name not in vary]
    index: dict[str, list[AnyRow]] = {}
    for row in rows:
        index.setdefault(repr([row.settings.get(name) for name in names]), []).append(row)
    return lambda given: index.get(repr([given.get(name) for name in names]), [])
