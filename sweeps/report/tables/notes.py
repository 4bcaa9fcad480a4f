"""The notes below a sweep's table: what its rows warn of, what its columns mean, and how its rows compare."""

from collections import Counter
from collections.abc import Mapping, Sequence

from mtvae.config import FAMILIES, METHODS, UNCONDITIONED
from sweeps.analysis.columns import SEPARATE_COLUMNS
from sweeps.analysis.flags import FLAGS, SHARE, distance_to_shares, told
from sweeps.analysis.results import Table
from sweeps.analysis.statistics import LEVEL
from sweeps.analysis.table_row import TableRow
from sweeps.report.tables.cells import SPREAD_NOTES, NumberFormat, setting_text
from sweeps.text import count_text

MOST_FAILURES = 20
"""The most failed units that are listed below a table."""

MOST_MODELS = 3
"""The most models that a note counts one by one."""

NEAR_SHARES = 0.1
"""SoftAdapt's weights count as the losses' shares where they are within this share of them."""


def notes(table: Table, number_format: NumberFormat, shown: Sequence[str], any_best: bool) -> list[str]:
    """Return the notes below the main table: warnings first, then the columns' meaning, then how rows compare.

    Args:
        shown: the columns of the table.
        any_best: whether a value is marked as the best.
    """
    return [
        *_warnings(table),
        *_meanings(table, number_format, shown, any_best),
        *_comparability(table, shown),
        *_sources(table),
        *failures(table),
        *_selection(table),
    ]


def _warnings(table: Table) -> list[str]:
    """Return a note on the rows that a race has stopped, and one for each flag that a shown row has."""
    found = _stopped(table)
    for flag in FLAGS:
        values = {row.key: told(flag, row) for row in table.shown}
        if any(map(any, values.values())):
            found.append(flag.note.format(folds=by_model(table, values, "folds")))
    return found


def _stopped(table: Table) -> list[str]:
    n = sum(row.stopped is not None for row in table.shown)
    if not n:
        return []
    return [
        f"stopped: a race ended {count_text(n, 'configuration')} before the last fold; their means are of few folds, "
        "and no mark or p-value rests on them; racing: none trains the other folds"
    ]


def by_model(table: Table, values: Mapping[str, Sequence[bool]], what: str) -> str:
    """Return how many values are true, model by model: "21 of 45 folds of vqvae and 3 of 45 of gaussian_vae".

    The models with the most come first, and those after `MOST_MODELS` are counted as one.

    Args:
        values: by the key of their row.
        what: the name of the values.
    """
    counts = []
    for group in table.groups:
        own = [value for row in group for value in values.get(row.key, ())]
        if any(own):
            counts.append((sum(own), len(own), _model_text(table, group[0])))
    counts.sort(key=lambda count: -count[0])
    listed, rest = counts[:MOST_MODELS], counts[MOST_MODELS:]
    if rest:
        listed.append((sum(c[0] for c in rest), sum(c[1] for c in rest), count_text(len(rest), "more model")))
    texts = [
        f"{found} of {among}{f' {what}' * (i == 0)}" + (f" of {model}" if model else "")
        for i, (found, among, model) in enumerate(listed)
    ]
    return " and ".join(filter(None, [", ".join(texts[:-1]), texts[-1]]))


def _model_text(table: Table, row: TableRow) -> str:
    """Return what tells a row's model from the other models of the table."""
    names = [name for name in SEPARATE_COLUMNS if name in table.columns and name != "method"]
    texts = [setting_text(row.settings[name]) for name in names]
    return " ".join(
        f"configuration {text}" if n == "configuration" else text for n, text in zip(names, texts, strict=True)
    )


def _meanings(table: Table, number_format: NumberFormat, shown: Sequence[str], any_best: bool) -> list[str]:
    scales = {(number_format.scale or row.scale).replace("_", " ") for row in table.rows}
    scale = f", {scales.pop()}" if len(scales) == 1 else ""
    found = [
        f"mean ± {SPREAD_NOTES[number_format.spread]}",
        *_of_reconstructions(table, shown, scale),
        *_captions(table, shown),
    ]
    if any_best:
        found.append(
            f"* or bold: best of its model, {_better(table, shown)} each other row of it at {LEVEL:g} after Holm's "
            "correction" + (", stopped rows aside" if any(row.stopped for row in table.rows) else "")
        )
    if UNCONDITIONED.name in shown:
        found += [f"†: {text}" for text in dict.fromkeys(row.method.footnote for row in table.rows) if text]
    if table.chosen is not None:
        found.append(f"--only: {len(table.shown)} of {len(table.rows)} rows; marks and p-values are those of all rows")
    return found


def _better(table: Table, columns: Sequence[str]) -> str:
    """Return "lower than", or which of the columns are better if they are higher."""
    metrics = [m for row in table.rows for name in columns if (m := row.metric(name)) is not None and m.tabulated]
    higher = list(dict.fromkeys(m.name.replace("_", " ") for m in metrics if m.direction == "higher"))
    if not higher:
        return "lower than"
    lower = any(m.direction == "lower" for m in metrics)
    return f"lower (higher in {', '.join(higher)}) than" if lower else "higher than"


def _of_reconstructions(table: Table, columns: Sequence[str], scale: str) -> list[str]:
    """Return what the errors of reconstructions are. A table of plug-ins' classes only may lack them."""
    if any(not row.family.own for row in table.rows):
        text = "squared error of the reconstruction without and with the condition"
        return [f"unconditioned, conditioned: {text}{scale}"]
    return [f"unconditioned: squared error of the reconstruction{scale}"] * (UNCONDITIONED.name in columns)


def _captions(table: Table, columns: Sequence[str]) -> list[str]:
    """Return a note for each metric among the columns: what it is in each family of the rows shown."""
    families = {row.family.name: row.family for row in table.shown}
    built_in_first = sorted(families, key=[*[f.name for f in FAMILIES.built_in()], *families].index)
    captions: dict[str, list[str]] = {}
    for family in [families[name] for name in built_in_first]:
        for metric in family.metrics:
            if metric.name in columns and metric.caption:
                captions.setdefault(metric.name, []).append(f"{metric.caption} ({family.name})")
    return [f"{name.replace('_', ' ')}: {', '.join(texts)}" for name, texts in captions.items()]


def _comparability(table: Table, shown: Sequence[str]) -> list[str]:
    """Return what a reader must know to compare rows of different methods."""
    done = [row for row in table.shown if row.folds]
    found = []
    terms = {_name_of_total(row): row.final_method.terms for row in done}
    names = sorted(terms, key=[*METHODS.names(), *terms].index)
    totals = list(dict.fromkeys(terms[name] for name in names))
    if len(totals) > 1:
        texts = [f"{' + '.join(t)} ({', '.join(n for n in names if terms[n] == t)})" for t in totals]
        latent = ", each with its latent terms" * any(row.family.terms for row in done)
        found.append(f"methods pick their best epoch by different totals: {', '.join(texts)}{latent}")
    # Batch normalisation of the convolutions may be off, but a conditioned decoder's head always normalises.
    handicapped = [
        row.method.name
        for row in done
        if row.method.power_law and not row.method.plain and row.settings.get("evaluation.batch_norm") == "running"
    ]
    if handicapped and UNCONDITIONED.name in shown:
        found.append(
            f"{', '.join(dict.fromkeys(handicapped))}: its {UNCONDITIONED.name} is at a disadvantage, because its "
            "batch normalisation uses statistics of mixed conditions (evaluation.batch_norm: empty does not)"
        )
    if any(row.final_method is not row.method for row in done):
        found.append(
            "schedule.switch_epoch: both decoders train up to this epoch, then the rest goes on as the plain model; "
            "only later epochs can be best, and there is no conditioned output"
        )
    return found + _soft_adapt(table)


def _name_of_total(row: TableRow) -> str:
    """Return the name under which a note says by which total a row picks its best epoch."""
    return row.method.name + (" after its switch" if row.final_method is not row.method else "")


def _sources(table: Table) -> list[str]:
    """Return a note for each plug-in's family whose code changed between units of the table."""
    counts: dict[str, Counter[str]] = {}
    for row in table.shown:
        found = counts.setdefault(row.family.name, Counter())
        found.update(source for record in row.folds.values() if (source := record.get("family_source")))
    return [
        f"{name}: its code changed between units ({', '.join(f'{n} of {code}' for code, n in found.items())}); "
        "raise its version if that changes the numbers"
        for name, found in counts.items()
        if len(found) > 1
    ]


def _soft_adapt(table: Table) -> list[str]:
    """Return a note on the rows in which SoftAdapt weighs every loss by its own share."""
    distances = {row.key: d for row in table.shown if (d := distance_to_shares(row)) is not None}
    near = [distance for distance in distances.values() if distance <= NEAR_SHARES]
    if not near:
        return []
    rows = by_model(table, {key: [distance <= NEAR_SHARES] for key, distance in distances.items()}, "rows")
    return [
        f"SoftAdapt: in {rows} every weight is its loss's share of all losses, within {100 * max(near):.1f} % "
        f"({100 * SHARE:g} % of the epochs of the second half)"
    ]


def failures(table: Table, stage: str = "") -> list[str]:
    """Return a line for each unit that failed and is not done since, with its reason.

    Args:
        stage: the later stage to name in the lines.
    """
    named = f", {stage}" if stage else ""
    lines = [
        f"failed: {table.label(row)}{named}, fold {fold}: {setting_text(reason)}"
        for row in table.shown
        for fold, reason in row.failed.items()
    ]
    more = [f"and {len(lines) - MOST_FAILURES} more failed"] if len(lines) > MOST_FAILURES else []
    return lines[:MOST_FAILURES] + more


def _selection(table: Table) -> list[str]:
    if table.shared.get("folds.selection") != "fold":
        return []
    return ["the test fold itself picked the best epoch: its errors are optimistic"]
