"""The settings of a prior, which is fitted to the latent space of a trained model (2.2.2, 2.5.1).

`mtvae.config.families` says which family has which kinds. None of these settings is part of a training's key.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field

from mtvae.config.families import FAMILIES
from mtvae.config.section import Count, Section
from mtvae.config.setting import Setting, Values, constant

STAGE = "prior"
"""The stage that alone reads these settings."""

PriorKind = Literal["uniform", "histogram", "position_histogram", "markov", "pixelcnn", "normal", "gaussian", "mixture"]

KINDS_OF: Mapping[str, tuple[PriorKind, ...]] = {
    "codes": ("uniform", "histogram", "position_histogram", "markov", "pixelcnn"),
    "vector": ("normal", "gaussian", "mixture"),
}
"""The kinds of prior over each kind of latent space (`Family.latent`)."""

KINDS_WITH_LABELS: tuple[PriorKind, ...] = ("histogram", "position_histogram", "markov", "pixelcnn")
"""The kinds of prior that can be given an image's class."""


def _kind_is(*kinds: PriorKind) -> Callable[[Values], bool]:
    return lambda v: v["prior.kind"] in kinds


_of_prior = partial(Setting, stage=STAGE)


def _of_pixelcnn(default: Any, synonyms: tuple[str, ...] = ()) -> Setting:
    return _of_prior(
        applies=_kind_is("pixelcnn"),
        default=constant(default),
        default_text=f"{default:g}",
        why_not="only prior.kind pixelcnn has it",
        where="prior.kind pixelcnn",
        synonyms=synonyms,
    )


class Prior(Section):
    """Which prior is fitted to the latent space of the trained model of each fold, and how."""

    kind: Annotated[PriorKind | None, _of_prior(synonyms=("prior_type",))] = Field(
        None,
        description="null: no prior. Over codes: uniform, histogram (of all positions), position_histogram, markov "
        "(given the left neighbour) or pixelcnn. Over vectors: normal (N(0, I)), gaussian (full covariance) or mixture",
    )
    layers: Annotated[Annotated[int, Field(ge=1, le=256)] | None, _of_pixelcnn(15)] = Field(
        None, description="gated layers (2.5.1)"
    )
    width: Annotated[Count | None, _of_pixelcnn(64, ("n_channels",))] = Field(
        None, description="channels of every layer, and numbers in the vector of a code"
    )
    kernel: Annotated[Annotated[int, Field(ge=3, le=31)] | None, _of_pixelcnn(3)] = Field(
        None, description="columns that a layer sees at once; odd"
    )
    dropout: Annotated[Annotated[float, Field(ge=0, lt=1)] | None, _of_pixelcnn(0.0)] = Field(
        None, description="share of a layer's features that a training step sets to zero"
    )
    lr: Annotated[Annotated[float, Field(gt=0)] | None, _of_pixelcnn(1e-3)] = Field(
        None, description="AdamW's learning rate for the prior"
    )
    epochs: Annotated[Count | None, _of_pixelcnn(30)] = Field(
        None, description="passes over the codes of the training set; the best by the validation set is kept"
    )
    batch_size: Annotated[Annotated[int, Field(ge=2, le=2**20)] | None, _of_pixelcnn(128)] = Field(
        None, description="grids of codes per training step of the prior"
    )
    components: Annotated[
        Count | None,
        _of_prior(
            applies=_kind_is("mixture"),
            default=constant(10),
            default_text="10",
            why_not="only prior.kind mixture has components",
            where="prior.kind mixture",
            synonyms=("n_components",),
        ),
    ] = Field(None, description="normal distributions in the mixture")
    labels: Annotated[
        bool | None,
        _of_prior(
            applies=_kind_is(*KINDS_WITH_LABELS),
            default=constant(False),
            default_text="false",
            why_not="only a prior over codes, other than uniform, can be given the class",
            where="priors over codes, except uniform",
            synonyms=("conditional", "class_conditional"),
        ),
    ] = Field(None, description="fit p(codes given class), where the images have classes")


def kinds_of(family: str) -> tuple[PriorKind, ...]:
    """Return the kinds of prior that fit a family's latent space; none if the family does not say what it is."""
    return KINDS_OF.get(FAMILIES[family].latent or "", ())
