"""What the thesis claims of its results, as pairs of rows whose difference a table can show."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sweeps.analysis.columns import KEY_COLUMNS, METHOD_COLUMNS, HasSettings, rows_agreeing_except
from sweeps.analysis.statistics import Sample
from sweeps.ledger.schema import Row

Direction = Literal["lower", "higher", "little", "steadier"]


class HasSamples(HasSettings, Protocol):
    """A row of ours, or of the published table."""

    def sample(self, metric: str, scale: str | None = None) -> Sample | None: ...


Pair = tuple[Sample, Sample]
"""(a, b): a claim says what b is against a."""

Rows = Sequence[HasSamples]


@dataclass(frozen=True)
class Claim:
    """b against a: lower, higher, little different, or steadier (of a smaller variance over the folds)."""

    section: str
    text: str
    direction: Direction
    pairs: Callable[[Rows], Iterator[Pair]]


SOFT_ADAPT = {name for name in KEY_COLUMNS if name.startswith("soft_adapt")}
SAMPLER = {"sampler"} | {name for name in KEY_COLUMNS if name.startswith("conditioning.")}


def _having(rows: Rows, wanted: Row) -> list[HasSamples]:
    """`wanted` values may be tuples of alternatives."""
    return [
        row
        for row in rows
        if all(row.settings.get(n) in (v if isinstance(v, tuple) else (v,)) for n, v in wanted.items())
    ]


def between(a: Row, b: Row, vary: set[str], metric: str) -> Callable[[Rows], Iterator[Pair]]:
    """Rows with the settings `a` against those with `b` that agree in all others but `vary`."""

    def pairs(rows: Rows) -> Iterator[Pair]:
        find = rows_agreeing_except(_having(rows, a), vary)
        for row in _having(rows, b):
            for other in find(row.settings):
                samples = other.sample(metric), row.sample(metric)
                if samples[0] is not None and samples[1] is not None:
                    yield samples[0], samples[1]

    return pairs


def against_baseline(family: str, method: str, metric: str) -> Callable[[Rows], Iterator[Pair]]:
    plain = {"family": family, "method": "none", "soft_adapt.variant": None}
    return between(plain, {"family": family, "method": method}, METHOD_COLUMNS, metric)


def exponents(family: str, metric: str) -> Callable[[Rows], Iterator[Pair]]:
    """The lowest exponent of otherwise equal rows against their highest."""

    def pairs(rows: Rows) -> Iterator[Pair]:
        single = _having(rows, {"family": family, "method": "single_decoder"})
        find = rows_agreeing_except(single, {"exponent"})
        for row in single:
            like = sorted(find(row.settings), key=lambda other: other.settings["exponent"])
            samples = like[0].sample(metric), row.sample(metric)
            if row is like[-1] and row is not like[0] and samples[0] is not None and samples[1] is not None:
                yield samples[0], samples[1]

    return pairs


def outputs(family: str) -> Callable[[Rows], Iterator[Pair]]:
    """The unconditioned output of a row against its conditioned one."""

    def pairs(rows: Rows) -> Iterator[Pair]:
        for row in _having(rows, {"family": family, "method": (MULTI, SINGLE)}):
            samples = row.sample("unconditioned"), row.sample("conditioned")
            if samples[0] is not None and samples[1] is not None:
                yield samples[0], samples[1]

    return pairs


def gain(row: HasSamples) -> Sample | None:
    """By what share the condition lowers the error, by fold. A published one has no known spread."""
    plain, conditioned = row.sample("unconditioned"), row.sample("conditioned")
    if plain is None or conditioned is None or not plain.mean:
        return None
    if not plain.by_fold:
        return Sample(1 - conditioned.mean / plain.mean, None, plain.n, plain.k)
    by_fold = {f: 1 - conditioned.by_fold[f] / v for f, v in plain.by_fold.items() if v and f in conditioned.by_fold}
    return Sample.of_folds(by_fold, plain.splits, plain.k) if by_fold else None


def gains(rows: Rows) -> Iterator[Pair]:
    """The gain of a Gaussian VAE against that of the VQ-VAE of the same number and method."""
    names = ("dataset", "seed", "configuration", "method", "sampler", "exponent", "soft_adapt.variant")
    for gaussian in _having(rows, {"family": "gaussian_vae"}):
        for vq in _having(rows, {"family": "vqvae"} | {name: gaussian.settings.get(name) for name in names}):
            samples = gain(gaussian), gain(vq)
            if samples[0] is not None and samples[1] is not None:
                yield samples[0], samples[1]


G, VQ, MULTI, SINGLE = "gaussian_vae", "vqvae", "multi_decoder", "single_decoder"
_VQ_MULTI, _VQ_SINGLE, _G_SINGLE = ({"family": f, "method": m} for f, m in ((VQ, MULTI), (VQ, SINGLE), (G, SINGLE)))
_METHODS = {"family": VQ, "method": SINGLE}, {"family": VQ, "method": MULTI, "soft_adapt.variant": None}
_OFF, _ON = {"soft_adapt.variant": None}, {"soft_adapt.variant": "loss_weighted"}
_EXACT, _UNIFORM, _GAUSSIAN = {"sampler": "exact"}, {"sampler": "uniform"}, {"sampler": "gaussian"}

CLAIMS = (
    Claim("4.1.1", "Gaussian: the multi decoder lowers the unconditioned reconstruction", "lower",
          against_baseline(G, MULTI, "unconditioned")),
    Claim("4.1.1", "Gaussian: the multi decoder raises the KL", "higher", against_baseline(G, MULTI, "latent_loss")),
    Claim("4.1.1", "Gaussian: the conditioned output beats the unconditioned one", "lower", outputs(G)),
    Claim("4.1.1", "Gaussian: exact and uniform sampling differ little in reconstruction", "little",
          between({"family": G} | _EXACT, {"family": G} | _UNIFORM, SAMPLER, "unconditioned")),
    Claim("4.1.2", "VQ: the multi decoder lowers the unconditioned reconstruction", "lower",
          against_baseline(VQ, MULTI, "unconditioned")),
    Claim("4.1.2", "VQ: the multi decoder lowers the VQ loss", "lower", against_baseline(VQ, MULTI, "latent_loss")),
    Claim("4.1.2", "VQ: the conditioned output beats the unconditioned one", "lower", outputs(VQ)),
    Claim("4.1.2", "the condition's share of improvement is smaller in VQ than in Gaussian VAEs", "lower", gains),
    Claim("4.1.2", "VQ: SoftAdapt changes the reconstruction little", "little",
          between(_VQ_MULTI | _OFF, _VQ_MULTI | _ON, SOFT_ADAPT, "unconditioned")),
    Claim("4.1.2", "VQ: with SoftAdapt the reconstruction is steadier over the folds", "steadier",
          between(_VQ_MULTI | _OFF, _VQ_MULTI | _ON, SOFT_ADAPT, "unconditioned")),
    Claim("4.1.2", "VQ: uniform sampling reconstructs better than exact", "lower",
          between(_VQ_MULTI | _EXACT, _VQ_MULTI | _UNIFORM, SAMPLER, "unconditioned")),
    Claim("4.2.1", "Gaussian: the single decoder lowers the KL", "lower", against_baseline(G, SINGLE, "latent_loss")),
    Claim("4.2.1", "Gaussian: the single decoder raises the unconditioned reconstruction", "higher",
          against_baseline(G, SINGLE, "unconditioned")),
    Claim("4.2.1", "Gaussian: the single decoder's KL is lower with uniform than with gaussian sampling", "lower",
          between(_G_SINGLE | _GAUSSIAN, _G_SINGLE | _UNIFORM, SAMPLER, "latent_loss")),
    Claim("4.2.1", "Gaussian: a higher exponent lowers the unconditioned reconstruction", "lower",
          exponents(G, "unconditioned")),
    Claim("4.2.1", "Gaussian: a higher exponent raises the KL", "higher", exponents(G, "latent_loss")),
    Claim("4.2.2", "VQ: the single decoder lowers the VQ loss", "lower", against_baseline(VQ, SINGLE, "latent_loss")),
    Claim("4.2.2", "VQ: the single decoder improves the unconditioned reconstruction", "lower",
          against_baseline(VQ, SINGLE, "unconditioned")),
    Claim("4.2.2", "VQ: a higher exponent lowers the unconditioned reconstruction", "lower",
          exponents(VQ, "unconditioned")),
    Claim("4.2.2", "VQ: the single decoder reconstructs better with gaussian than with uniform sampling", "lower",
          between(_VQ_SINGLE | _UNIFORM, _VQ_SINGLE | _GAUSSIAN, SAMPLER, "unconditioned")),
    Claim("5.2.1", "Gaussian: the single decoder reconstructs better with uniform than with gaussian sampling", "lower",
          between(_G_SINGLE | _GAUSSIAN, _G_SINGLE | _UNIFORM, SAMPLER, "unconditioned")),
    Claim("5.3", "VQ: the single decoder's VQ loss is lower than the multi decoder's", "lower",
          between(_METHODS[1], _METHODS[0], METHOD_COLUMNS, "latent_loss")),
    Claim("5.3", "VQ: the multi decoder reconstructs better than the single decoder", "lower",
          between(_METHODS[0], _METHODS[1], METHOD_COLUMNS, "unconditioned")),
)  # fmt: skip
"""In the order of the text. "Reconstruction" without more is the unconditioned one, as the text means it."""
