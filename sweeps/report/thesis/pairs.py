"""Pairs of rows: which rows of a table a claim of the thesis compares, and by which measure."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import linear_regression, stdev
from typing import Any, Protocol

from mtvae.config import FAMILIES, Architecture
from mtvae.config.registry import is_plug_in
from mtvae.cost import cost
from sweeps.analysis.columns import KEY_COLUMNS, METHOD_COLUMNS, HasSettings, rows_agreeing_except
from sweeps.analysis.statistics import Sample
from sweeps.analysis.table_row import TableRow
from sweeps.config.settings import column
from sweeps.data.datasets import DATASETS, Data, Published, shape
from sweeps.ledger.schema import Row

HEAD_ONLY = "head_only"
"""The method that is the control of claims about conditioning: a conditioned decoder's network that sees no pixel."""

MNIST = "mnist"
"""The data set of the published table, whose rows do not name it."""

SIZES = tuple(column(f"model.{name}") for name in ("latent", "embeddings", "embedding_size", "residual_layers"))
HIDDEN = column("model.hidden")


class HasSamples(HasSettings, Protocol):
    """A row of our table or of the published one."""

    def sample(self, metric: str, scale: str | None = None) -> Sample | None: ...


Rows = Sequence[HasSamples]
Measure = Callable[[HasSamples], Sample | None]


@dataclass(frozen=True)
class Pair:
    """Two samples that a claim compares: `b` against `a`.

    `control` marks a comparison with the control instead of the baseline. `share` marks samples that are shares of
    something, whose differences are percentage points.
    """

    a: Sample
    b: Sample
    control: bool = False
    share: bool = False


Alternative = tuple[Pair, ...]
"""Pairs that must all show what a claim says."""

Comparison = tuple[Alternative, ...]
"""Alternatives of which one suffices. Most comparisons have a single alternative of a single pair."""

Comparisons = Callable[[Rows], Iterator[Comparison]]


def score(metric: str) -> Measure:
    """Return the measure that reads a metric of the table."""
    return lambda row: row.sample(metric)


def fluctuation(row: HasSamples) -> Sample | None:
    """Return, by fold, how much the validation loss fluctuates from epoch to epoch in the second half of a training.

    It is the standard deviation of the epoch-to-epoch change of the logarithm of the validation total (fixed weights).
    None for a published row and where the histories were not read.
    """
    if not isinstance(row, TableRow):
        return None
    found = {}
    for fold, record in row.folds.items():
        totals = [epoch["selection_total"] for epoch in record.get("history") or ()]
        late = [math.log(total) for total in totals[len(totals) // 2 :] if total is not None and total > 0]
        if len(late) > 2:
            found[fold] = stdev(b - a for a, b in pairwise(late))
    return row.sample_of(found) if found else None


def gain(row: HasSamples) -> Sample | None:
    """Return by what share the condition lowers the error, by fold. A published share has no known spread."""
    plain, conditioned = row.sample("unconditioned"), row.sample("conditioned")
    if plain is None or conditioned is None or not plain.mean:
        return None
    if not plain.by_fold:
        return Sample(1 - conditioned.mean / plain.mean, None, plain.n, plain.k)
    by_fold = {f: 1 - conditioned.by_fold[f] / v for f, v in plain.by_fold.items() if v and f in conditioned.by_fold}
    return Sample.of_folds(by_fold, plain.splits, plain.k) if by_fold else None


def generalisation_gap(row: HasSamples) -> Sample | None:
    """Return, by fold, by how much the test fold's error exceeds that of the training set, both of the best checkpoint.

    None where the training set's error was not recorded (older ledgers, the published table).
    """
    test, train = row.sample("unconditioned"), row.sample("training_unconditioned")
    if test is None or train is None:
        return None
    by_fold = {f: value - train.by_fold[f] for f, value in test.by_fold.items() if f in train.by_fold}
    return Sample.of_folds(by_fold, test.splits, test.k) if by_fold else None


def size_of(number: str) -> Measure:
    """Return the measure of a `Cost` ("parameters", "flops"), which needs no training: its spread is zero."""

    return lambda row: Sample(float(getattr(cost(architecture(row)), number)), 0.0, 2, 2)


def architecture(row: HasSettings) -> Architecture:
    """Return the architecture of a row that is like the thesis's."""
    s = row.settings
    sizes = FAMILIES[s["family"]].configurations[s["configuration"]]
    given: dict[str, Any] = {name: s.get(column(f"model.{name}")) for name in type(sizes).model_fields}
    own = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items() if v is not None}
    channels, side = shape(Data(dataset=s.get("dataset", MNIST)))
    sizes = type(sizes)(**sizes.model_dump() | own)
    return Architecture(family=s["family"], method=s["method"], channels=channels, side=side, sizes=sizes)


def like_the_thesis(row: HasSettings, any_depth: bool = False) -> bool:
    """Whether a row is one that the thesis speaks of: a built-in family, a published data set, and its sizes.

    The thesis names a training that switches to the plain model only as future work (5.4).

    Batch normalisation and the decoder's last layer are free: the text and the published run differ in them.
    """
    s = row.settings
    family = FAMILIES.get(str(s["family"]))
    data = DATASETS.get(str(s.get("dataset", MNIST)))
    if family is None or is_plug_in(family.name) or not isinstance(data, Published):
        return False
    if s.get("schedule.switch_epoch") is not None:
        return False
    sizes = family.configurations.get(s.get("configuration") or 0)
    if sizes is None:
        return False
    wanted = {column(f"model.{name}"): value for name, value in sizes.model_dump().items()}
    checked = SIZES if any_depth else (*SIZES, HIDDEN)
    return all(name not in wanted or _same(s.get(name), wanted[name]) for name in checked)


def _same(value: object, wanted: object) -> bool:
    """Whether a size is the configuration's own; a published row names none."""
    return value is None or (list(value) == list(wanted) if isinstance(wanted, tuple) else value == wanted)  # type: ignore[call-overload]


def having(rows: Rows, wanted: Row) -> list[HasSamples]:
    """Return the rows with these settings; a tuple lists the values that a setting may have."""
    return [
        row
        for row in rows
        if all(row.settings.get(n) in (v if isinstance(v, tuple) else (v,)) for n, v in wanted.items())
    ]


def between(a: Row, b: Row, vary: set[str], measure: Measure, same_pixels: bool = False) -> Comparisons:
    """Compare rows with the settings `b` against those with `a` that agree in all others but `vary`.

    Args:
        same_pixels: leave out rows whose conditions reveal different numbers of distinct pixels.
    """

    def comparisons(rows: Rows) -> Iterator[Comparison]:
        find = rows_agreeing_except(having(rows, a), vary)
        for row in having(rows, b):
            for other in find(row.settings):
                if same_pixels and not _reveal_alike(other, row):
                    continue
                if pair := _pair(other, row, measure):
                    yield ((pair,),)

    return comparisons


def _reveal_alike(a: HasSamples, b: HasSamples) -> bool:
    """Whether the conditions of two rows reveal the same number of pixels, within 1 %."""
    first, second = a.sample("condition_pixels"), b.sample("condition_pixels")
    return first is not None and second is not None and math.isclose(first.mean, second.mean, rel_tol=0.01)


def against_baseline(family: str, methods: Sequence[str], measure: Measure, some_exponent: bool = False) -> Comparisons:
    """Compare rows of methods against their baseline and, where the sweep has it, against the control.

    The baseline is the row of method `none` that agrees in everything else, the control that of `head_only`.

    Args:
        some_exponent: rows that differ in their exponent alone are alternatives of one comparison.
    """
    plain = {"family": family, "soft_adapt.variant": None}

    def comparisons(rows: Rows) -> Iterator[Comparison]:
        find_baseline = rows_agreeing_except(having(rows, plain | {"method": "none"}), METHOD_COLUMNS)
        find_control = rows_agreeing_except(having(rows, plain | {"method": HEAD_ONLY}), METHOD_COLUMNS)
        found: dict[str, list[Alternative]] = {}
        for i, row in enumerate(having(rows, {"family": family, "method": tuple(methods)})):
            pairs = [_pair(other, row, measure) for other in find_baseline(row.settings)]
            pairs += [_pair(other, row, measure, control=True) for other in find_control(row.settings)]
            alternative = tuple(pair for pair in pairs if pair is not None)
            if any(not pair.control for pair in alternative):
                found.setdefault(_all_but_exponent(row) if some_exponent else str(i), []).append(alternative)
        yield from map(tuple, found.values())

    return comparisons


def _all_but_exponent(row: HasSettings) -> str:
    """Return a text that rows share if they differ in nothing but their exponent."""
    return repr([row.settings.get(name) for name in KEY_COLUMNS if name != "exponent"])


def outputs(family: str, method: str) -> Comparisons:
    """Compare the conditioned output of rows against their unconditioned one."""

    def comparisons(rows: Rows) -> Iterator[Comparison]:
        for row in having(rows, {"family": family, "method": method}):
            a, b = row.sample("unconditioned"), row.sample("conditioned")
            if a is not None and b is not None:
                yield ((Pair(a, b),),)

    return comparisons


def trend(family: str, measure: Measure) -> Comparisons:
    """Compare the ends of the line that fits a measure best over the exponents of otherwise equal single decoders.

    The least-squares line is fitted fold by fold; its value at the highest exponent is compared with that at the
    lowest, so the test is one of the slope. Published rows are left out: both of their labels very probably ran at 40.
    """

    def comparisons(rows: Rows) -> Iterator[Comparison]:
        groups: dict[str, list[HasSamples]] = {}
        for row in having(rows, {"family": family, "method": "single_decoder"}):
            groups.setdefault(_all_but_exponent(row), []).append(row)
        for group in groups.values():
            samples = [(float(row.settings["exponent"]), measure(row)) for row in group if isinstance(row, TableRow)]
            if pair := ends_of_trend([(exponent, sample) for exponent, sample in samples if sample is not None]):
                yield ((pair,),)

    return comparisons


def ends_of_trend(samples: Sequence[tuple[float, Sample]]) -> Pair | None:
    """Return the fitted values at the lowest and at the highest exponent; None with fewer than two exponents."""
    exponents = [exponent for exponent, _ in samples]
    if len(set(exponents)) < 2:
        return None
    first = samples[0][1]
    common = [
        fold
        for fold in first.by_fold
        if all(fold in s.by_fold and s.splits.get(fold) == first.splits.get(fold) for _, s in samples)
    ]
    if not common:
        return None
    lines = {fold: linear_regression(exponents, [s.by_fold[fold] for _, s in samples]) for fold in common}
    low, high = (
        Sample.of_folds({f: line.intercept + line.slope * at for f, line in lines.items()}, first.splits, first.k)
        for at in (min(exponents), max(exponents))
    )
    return Pair(low, high)


def gains(rows: Rows) -> Iterator[Comparison]:
    """Compare what the condition gains in VQ-VAEs with what it gains in Gaussian VAEs of the same number and method."""
    names = ("dataset", "seed", "configuration", "method", "sampler", "exponent", "soft_adapt.variant")
    for gaussian in having(rows, {"family": "gaussian_vae", "method": "multi_decoder"}):
        for vq in having(rows, {"family": "vqvae"} | {name: gaussian.settings.get(name) for name in names}):
            a, b = gain(gaussian), gain(vq)
            if a is not None and b is not None:
                yield ((Pair(a, b, share=True),),)


def deeper(family: str, measure: Measure) -> Comparisons:
    """Compare rows against those with fewer convolutions that agree in everything else."""

    def comparisons(rows: Rows) -> Iterator[Comparison]:
        known = [row for row in having(rows, {"family": family, "method": "none"}) if row.settings.get(HIDDEN)]
        find = rows_agreeing_except(known, {HIDDEN})
        for row in known:
            for other in find(row.settings):
                shallower = len(other.settings[HIDDEN]) < len(row.settings[HIDDEN])
                if shallower and (pair := _pair(other, row, measure)):
                    yield ((pair,),)

    return comparisons


def _pair(a: HasSamples, b: HasSamples, measure: Measure, control: bool = False) -> Pair | None:
    """Return a pair of measured rows; None where one has no such measure."""
    samples = measure(a), measure(b)
    return None if samples[0] is None or samples[1] is None else Pair(samples[0], samples[1], control)
