"""Flags of a row: how many of its folds give a reason not to take its numbers as they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from statistics import fmean

from sweeps.analysis.table_row import TableRow
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.schema import Row

MOST_CURVES = 2_000
"""Units whose histories are read for figures, claims and flags: a hundred epochs of one take 0.2 MB of memory."""

FALL = 0.01
"""A validation total that falls by more than this share in the last tenth of the epochs still falls."""

DEAD = 0.1
"""A codebook whose perplexity is below this share of its vectors is dead."""


@dataclass(frozen=True)
class Flag:
    """A reason not to take a fold's numbers as they are.

    Attributes:
        name: the name of its column, which counts the folds.
        of_fold: whether a fold has it, by the row's settings and the fold's record; None where the ledger does not
            tell.
        note: the note below a table with such folds; `{folds}` stands for how many of how many folds.
        shown: whether a table has its column where a row has such folds. Otherwise the column is there on request.
    """

    name: str
    of_fold: Callable[[Row, Row], bool | None]
    note: str
    shown: bool = True


def _dead_codebook(settings: Row, record: Row) -> bool | None:
    perplexity, vectors = record.get("perplexity"), settings.get("model.embeddings")
    return None if perplexity is None or vectors is None else bool(perplexity < DEAD * vectors)


def _collapsed_posterior(settings: Row, record: Row) -> bool | None:
    return None if record.get("active_units") is None else bool(record["active_units"] == 0)


def _best_is_last(settings: Row, record: Row) -> bool | None:
    return None if record.get("best_epoch") is None else bool(record["best_epoch"] == settings["training.epochs"])


def _still_falls(settings: Row, record: Row) -> bool | None:
    """Compare the mean validation total of the last tenth of the epochs, at least one, with the tenth before it.

    Epochs before a switch to the plain model do not count, because their totals have a term more.
    """
    epochs = (record.get("history") or ())[settings.get("schedule.switch_epoch") or 0 :]
    totals = [(epoch or {}).get("selection_total") for epoch in epochs]
    tenth = max(1, len(totals) // 10)
    late = [total for total in totals[-2 * tenth :] if total is not None and isfinite(total)]
    if len(late) < 2 * tenth:
        return None
    before, last = fmean(late[:tenth]), fmean(late[tenth:])
    return before - last > FALL * abs(before)


FLAGS = (
    Flag(
        "collapsed",
        lambda settings, record: None if record["collapsed"] is None else bool(record["collapsed"]),
        "collapsed: folds whose reconstruction is hardly better than the mean image (above half its error)",
    ),
    Flag(
        "dead_codebook",
        _dead_codebook,
        "dead codebook: {folds} use less than a tenth of the codebook (perplexity below K/10)",
    ),
    Flag(
        "collapsed_posterior",
        _collapsed_posterior,
        "collapsed posterior: {folds} have no active latent unit (above 0.01)",
    ),
    Flag(
        "best_is_last",
        _best_is_last,
        "train longer: {folds} picked the last epoch",
        shown=False,
    ),
    Flag(
        "still_falls",
        _still_falls,
        "still falling: the validation total of {folds} (the last tenth of the epochs is more than "
        f"{100 * FALL:g} % below the tenth before)",
        shown=False,
    ),
)
"""All flags, the gravest first."""

BY_NAME = {flag.name: flag for flag in FLAGS}


def history_columns(ledger: Ledger) -> list[str]:
    """Return the columns of the ledger that hold the histories; none where they would take too much memory."""
    return ["history"] if len(ledger.units()) <= MOST_CURVES else []


def told(flag: Flag, row: TableRow) -> list[bool]:
    """Return whether each fold has a flag, without the folds of which the ledger does not tell."""
    found = (flag.of_fold(row.settings, record) for record in row.folds.values())
    return [value for value in found if value is not None]


def flagged(flag: Flag, row: TableRow) -> int | None:
    """Return how many folds of a row have a flag; None where the ledger tells of none of its folds."""
    found = told(flag, row)
    return sum(found) if found or not row.folds else None


def flags_to_show(rows: Sequence[TableRow]) -> list[str]:
    """Return the names of the flags that have a column in a table of these rows."""
    return [flag.name for flag in FLAGS if flag.shown and any(flagged(flag, row) for row in rows)]


SHARE = 0.9
"""The share of epochs in which SoftAdapt's weights must be near the losses' shares."""


def distance_to_shares(row: TableRow) -> float | None:
    """Return how far SoftAdapt's weights are from the shares of the training losses, as a share of the latter.

    An epoch's distance is the greatest of its terms' |weight / (loss / sum of losses) - 1|, with the epoch's mean
    losses and its last weights. The result is the least bound of `SHARE` of the epochs in the second half of the
    training, over all folds. None without SoftAdapt and where the histories were not read. Epochs after a switch to the
    plain model do not count, because SoftAdapt ends there.
    """
    if row.settings.get("soft_adapt.variant") is None:
        return None
    distances: list[float] = []
    for record in row.folds.values():
        weighted = (record.get("history") or ())[: row.settings.get("schedule.switch_epoch")]
        epochs = [epoch for epoch in weighted if epoch]
        distances += [d for epoch in epochs[len(epochs) // 2 :] if (d := _distance(epoch)) is not None]
    return sorted(distances)[ceil(SHARE * len(distances)) - 1] if distances else None


def _distance(epoch: Row) -> float | None:
    """Return the distance of one epoch; None where a weight has no positive loss."""
    weights = {name.removeprefix("weight_"): w for name, w in epoch.items() if name.startswith("weight_") and w}
    losses = {term: epoch.get(f"train_{term}") or 0.0 for term in weights}
    if not losses or min(losses.values()) <= 0:
        return None
    total = sum(losses.values())
    return float(max(abs(weights[term] * total / loss - 1) for term, loss in losses.items()))
