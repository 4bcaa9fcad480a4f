"""Groups of settings: conditioning, loss, SoftAdapt, training and evaluation.

Before `resolve`, ``None`` means "the default of this family, method or configuration"; after it, "does not apply".
"""

from collections.abc import Callable
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from mtvae.config.architecture import terms
from mtvae.config.families import FAMILIES
from mtvae.config.methods import METHODS, SamplerName
from mtvae.config.section import Count, Section, Weight
from mtvae.config.setting import Setting, Values, constant, setting_is

Precision = Literal["fp32", "tf32", "bf16"]


def _method_is(property_: str) -> Callable[[Values], bool]:
    """Return an `applies` that is true if a property of the method is."""
    return lambda v: bool(getattr(METHODS[v["method"]], property_))


def _family_has_metric(name: str) -> Callable[[Values], bool]:
    """Return an `applies` that is true if the family has this metric."""
    return lambda v: FAMILIES[v["family"]].metric(name) is not None


class Conditioning(Section):
    """Which pixels a conditioned decoder sees (3.1 to 3.3). They are drawn for each image, and again in every pass."""

    sampler: SamplerName
    exponent: Annotated[float, Field(gt=0)] | None = None
    count: Count | None = None
    positions: tuple[int, ...] | None = None
    replacement: bool | None = None  # None: as the sampler of the text, with replacement for gaussian alone
    spread: float | None = None


class ConditioningOptions(Section):
    """Options that change a sampler's own choice of pixels."""

    count: Annotated[
        Count | None,
        Setting(
            applies=lambda v: v["sampler"] == "uniform" and METHODS[v["method"]].fixed_count,
            why_not="only sampler uniform of a method with a fixed count takes a count",
            of_method=True,
            where="sampler uniform of method conditioned or multi_decoder",
            synonyms=("n_pixels", "num_pixels"),
        ),
    ] = Field(None, description="how many pixels the condition has; null: a square number, about 5 % of all")
    positions: Annotated[
        Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None,
        Setting(
            applies=setting_is("sampler", "exact"),
            why_not="only sampler exact takes positions",
            of_method=True,
            where="sampler exact",
        ),
    ] = Field(None, description="rows and columns that cross at the pixels; null: evenly spread, about 5 % of all")
    replacement: Annotated[
        bool | None,
        Setting(
            applies=setting_is("sampler", "uniform", "gaussian"),
            default=lambda v: v["sampler"] == "gaussian",
            why_not="only samplers uniform and gaussian have the choice",
            of_method=True,
            neutral=True,  # gaussian had no choice before
            neutral_where=setting_is("sampler", "gaussian"),
            where="sampler uniform or gaussian",
            default_text="true for gaussian, false for uniform",
        ),
    ] = Field(None, description="draw positions with replacement, so that some repeat")
    spread: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Setting(
            applies=setting_is("sampler", "gaussian"),
            why_not="only sampler gaussian has one",
            of_method=True,
            where="sampler gaussian",
            synonyms=("sigma", "std"),
        ),
    ] = Field(None, description="standard deviation of rows and columns as a share of the side; null: one sixth")


class Loss(Section):
    """Fixed weights of the training loss ``w1 rec1 + w2 rec2 + latent_weight latent`` (3.2.2, 3.2.3)."""

    w1: Weight = Field(1.0, description="weight of the first (or only) decoder's reconstruction loss")
    w2: Annotated[
        Weight | None,
        Setting(
            applies=_method_is("two_decoders"),
            default=constant(1.0),
            why_not="only method multi_decoder has a second decoder",
            of_method=True,
            where="method multi_decoder",
        ),
    ] = Field(None, description="weight of the second decoder's reconstruction loss")
    latent_weight: Annotated[
        Weight | None,
        Setting(
            applies=lambda v: "latent" in FAMILIES[v["family"]].terms,
            default=constant(1.0),
            why_not="family {family} has no latent loss",
            where="family gaussian_vae or vqvae",
            synonyms=("beta", "kl_weight", "kld_weight", "beta_kl"),
        ),
    ] = Field(None, description="weight of the latent loss; 0 turns it off")
    commitment_weight: Annotated[
        Weight | None,
        Setting(
            applies=_family_has_metric("commitment_loss"),
            default=constant(0.25),
            why_not="only family vqvae has a commitment loss",
            where="family vqvae",
            synonyms=("beta", "commitment_cost", "commitment_beta"),
        ),
    ] = Field(None, description="beta of eq. 2.5, the commitment loss's weight in the latent loss")


SoftAdaptVariant = Literal["original", "normalised", "loss_weighted"]


def _soft_adapt_setting(default: Callable[[Values], object], default_text: str = "") -> Setting:
    """Return the `Setting` of a setting that applies only if SoftAdapt is on."""
    return Setting(
        applies=setting_is("soft_adapt.variant", *get_args(SoftAdaptVariant)),
        default=default,
        why_not="SoftAdapt is off in this row",
        of_method=True,
        where="SoftAdapt on",
        default_text=default_text,
    )


def _variant_of_switch(value: object) -> object:
    """Return the published run's variant for `soft_adapt: true`, None (off) for `false`, and other values unchanged."""
    return {True: "loss_weighted", False: None}[value] if isinstance(value, bool) else value


class SoftAdapt(Section):
    """SoftAdapt: weights that follow the losses (Heydari et al. 2019) instead of W1, W2 and `latent_weight`."""

    variant: Annotated[
        SoftAdaptVariant | None,
        BeforeValidator(_variant_of_switch),
        Setting(
            applies=lambda v: len(terms(v["family"], v["method"])) > 1,
            why_not="this family and method train on one term, which needs no weights",
            of_method=True,
            where="family gaussian_vae or vqvae, or method multi_decoder",
        ),
    ] = Field(None, description="true: loss_weighted; false or null: off, so that the fixed weights of `loss` are used")
    beta: Annotated[
        float | None,
        _soft_adapt_setting(lambda v: FAMILIES[v["family"]].soft_adapt_beta, "0.005 for vqvae, 0.0128 otherwise"),
    ] = Field(None, description="how much the terms that fall least are favoured; 0 ignores the slopes")
    every: Annotated[Annotated[int, Field(ge=2, le=2**20)] | None, _soft_adapt_setting(constant(101))] = Field(
        None, description="training steps between two updates of the weights"
    )
    accuracy_order: Annotated[Literal[1, 3, 5] | None, _soft_adapt_setting(constant(5))] = Field(
        None,
        description="accuracy order of the finite difference that estimates a slope from the last order + 1 losses",
    )


class Training(Section):
    """How a model is trained (3.4.3): with AdamW, a constant learning rate, and without gradient clipping."""

    epochs: Annotated[Count, Setting(synonyms=("num_epochs", "n_epochs", "max_epochs"))] = Field(
        100, description="passes over the training set"
    )
    batch_size: Annotated[int, Field(ge=2, le=2**20), Setting(synonyms=("batch", "minibatch_size"))] = Field(
        128, description="images per training step"
    )
    lr: Annotated[float, Field(gt=0), Setting(synonyms=("learning_rate",))] = Field(
        1e-3, description="AdamW's learning rate"
    )
    weight_decay: Annotated[Weight, Setting(synonyms=("wd", "l2"))] = Field(
        0.01, description="AdamW's decoupled weight decay; 0 turns it off"
    )
    shuffle: bool = Field(True, description="true: a new seeded order in every epoch; false: the order in the data set")
    precision: Annotated[Precision, Setting(synonyms=("amp", "mixed_precision", "dtype"))] = Field(
        "fp32",
        description="arithmetic of the training step; tf32: on GPUs only, a CPU computes in fp32; bf16: in the forward "
        "and backward pass, with fp32 weights. Scores are always computed in fp32",
    )
    deterministic: Annotated[bool, Setting(neutral=False)] = Field(
        False, description="on a GPU, use only algorithms that repeat bitwise (slower); a CPU always repeats"
    )


class Schedule(Section):
    """A training that begins with two decoders and goes on as the plain model (5.4)."""

    switch_epoch: Annotated[
        Count | None,
        Setting(
            applies=lambda v: METHODS[v["method"]].two_decoders and not METHODS[v["method"]].head,
            why_not="only method multi_decoder has a second decoder to end",
            of_method=True,
            where="method multi_decoder",
        ),
    ] = Field(
        None,
        description="the last epoch with both decoders, below training.epochs. Then decoder 2 and SoftAdapt end, and "
        "the rest trains on as method none with the fixed weights of `loss`; only later epochs can be best, and the "
        "kept model is a plain one. null: both decoders to the end",
    )


class Evaluation(Section):
    """How a trained model is scored."""

    latent: Annotated[
        Literal["sample", "mean"] | None,
        Setting(
            applies=lambda v: FAMILIES[v["family"]].draws_z,
            default=constant("sample"),
            why_not="only family gaussian_vae draws z",
            where="family gaussian_vae",
        ),
    ] = Field(None, description="score one seeded z per image, or z's mean, whose errors are far lower")
    draws: Annotated[Literal["joint", "separate"], Setting(neutral="joint", silent=True)] = Field(
        "joint",
        description="joint: one generator draws z and the pixels in turn, so that after the first 512 images z differs "
        "between methods; separate: the pixels have a generator of their own",
    )
    batch_norm: Annotated[
        Literal["running", "empty"] | None,
        Setting(
            applies=lambda v: METHODS[v["method"]].conditioned and not METHODS[v["method"]].plain,
            default=constant("running"),
            why_not="only where a conditioned decoder makes the unconditioned output",
            neutral="running",
            silent=True,
            of_method=True,
            where="method conditioned or single_decoder",
        ),
    ] = Field(
        None,
        description="batch statistics of the decoder for its unconditioned scores; running: those of training, over "
        "mixed conditions; empty: measured anew with the zero condition",
    )
