"""Sizes and options of a model and of its training.

Imports no torch, so that a grid can be validated on a login node in milliseconds. Every section is closed (an unknown
field is an error), frozen, and strict (``"3"`` is not 3). ``None`` means "the default of this family, method or
configuration" before `resolve`, and "does not apply" after it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Family = Literal["gaussian_vae", "vqvae", "autoencoder"]
Method = Literal["none", "conditioned", "multi_decoder", "single_decoder"]
SamplerName = Literal["exact", "uniform", "gaussian"]

Output = Literal["linear", "tanh"]
Precision = Literal["fp32", "tf32", "bf16"]

PER_IMAGE_FAMILIES: tuple[Family, ...] = ("gaussian_vae", "autoencoder")
"""Families whose reconstruction term is summed over pixels and channels (as the published run; the text's 1/D would
make the KL 784 times stronger on MNIST). The others' is the mean over everything."""

Count = Annotated[int, Field(gt=0, le=2**31)]
Weight = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Base of every group of settings: closed, frozen, strict, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sizes(Section):
    """Sizes of the networks (3.4.2) that a grid sets. Omitted ones come from `CONFIGURATIONS`."""

    latent: Count | None = Field(None, description="gaussian_vae, autoencoder: dimensions of z")
    embeddings: Count | None = Field(None, description="vqvae: K, vectors in the codebook")
    embedding_size: Count | None = Field(None, description="vqvae: E, length of a codebook vector")
    residual_layers: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, description="vqvae: residual layers in encoder and decoder, 0 for none"
    )
    hidden: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)] | None = Field(
        None, description="widths of the encoder's convolutions, the decoder's in reverse"
    )
    batch_norm: bool | None = Field(None, description="batch normalisation in the convolution stacks (default true)")
    output: Output | None = Field(None, description="last layer of a decoder (vqvae: tanh; the others: linear)")


class GaussianSizes(Section):
    """All sizes of a `gaussian_vae` or an `autoencoder`, whose networks are the same but for the latent heads."""

    latent: int
    hidden: tuple[int, ...]
    batch_norm: bool = True
    output: Output = "linear"


class VQSizes(Section):
    """All sizes of a `vqvae`."""

    embeddings: int
    embedding_size: int
    residual_layers: int
    hidden: tuple[int, ...]
    batch_norm: bool = True
    output: Output = "tanh"


class Conditioning(Section):
    """Which pixels a conditioned decoder sees (3.1 to 3.3), drawn per image and anew at every pass."""

    sampler: SamplerName
    exponent: Annotated[float, Field(gt=0)] | None = None
    count: Count | None = None
    positions: tuple[int, ...] | None = None
    replacement: bool = False


class ConditioningOptions(Section):
    """Departures from the samplers' own choice of pixels."""

    count: Count | None = Field(None, description="uniform with a fixed count: pixels; null: about 5 %, a square")
    positions: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = Field(
        None, description="exact: the rows and columns of the grid of pixels; null: evenly spread, about 5 %"
    )
    replacement: bool | None = Field(
        None, description="uniform: draw positions with replacement, so that some repeat (default false)"
    )


class Loss(Section):
    """Fixed weights of the training loss ``w1 rec1 + w2 rec2 + latent_weight latent`` (3.2.2, 3.2.3)."""

    w1: Weight = Field(1.0, description="weight of the first (or only) decoder's reconstruction")
    w2: Weight | None = Field(None, description="multi_decoder: weight of the second decoder's (default 1)")
    latent_weight: Weight | None = Field(
        None, description="gaussian_vae, vqvae: weight of the latent loss (default 1); 0 turns it off"
    )
    commitment_weight: Weight | None = Field(
        None, description="vqvae: beta of eq. 2.5, the commitment's share of the latent loss (default 0.25)"
    )


SoftAdaptVariant = Literal["original", "normalised", "loss_weighted"]


def _variant(value: object) -> object:
    """`soft_adapt: true` is the published run's variant, `false` is off."""
    return {True: "loss_weighted", False: None}[value] if isinstance(value, bool) else value


class SoftAdapt(Section):
    """Weights that follow the losses (Heydari et al. 2019) instead of W1, W2 and `latent_weight`."""

    variant: Annotated[SoftAdaptVariant | None, BeforeValidator(_variant)] = Field(
        None, description="true: loss_weighted; false or null: off, the fixed weights of `loss` train"
    )
    beta: float | None = Field(
        None, description="favours the terms that fall least (vqvae: 5e-3; the others: 1.28e-2); 0 ignores the slopes"
    )
    every: Annotated[int, Field(ge=2, le=2**20)] | None = Field(
        None, description="training steps between two renewals of the weights (default 101)"
    )
    accuracy_order: Literal[1, 3, 5] | None = Field(
        None, description="of the finite difference that estimates a slope, from its order + 1 last losses (default 5)"
    )


class Training(Section):
    """How a model is trained (3.4.3): AdamW, no schedule, no clipping."""

    epochs: Count = Field(100, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=2, le=2**20)] = Field(128, description="images per step")
    lr: Annotated[float, Field(gt=0)] = Field(1e-3, description="AdamW's learning rate")
    weight_decay: Weight = Field(0.01, description="AdamW's decoupled weight decay; 0 turns it off")
    shuffle: bool = Field(True, description="a new seeded order every epoch; false: the folds' order")
    precision: Precision = Field(
        "fp32",
        description="arithmetic of the training step; tf32: GPUs only, a CPU computes as in fp32; bf16: of its forward "
        "and backward pass, with fp32 weights. Scores are always computed in fp32",
    )
    deterministic: bool = Field(
        False, description="on a GPU, only algorithms that repeat bitwise (slower); a CPU repeats without"
    )


class Evaluation(Section):
    """How a fitted model is scored."""

    latent: Literal["sample", "mean"] | None = Field(
        None,
        description="gaussian_vae: one seeded z per image (default), or the mean, which scores far lower",
    )


class Architecture(Section):
    """All that shapes one model: family x method, the images' shape, and every size."""

    family: Family
    method: Method
    channels: Count
    side: Count
    sizes: GaussianSizes | VQSizes

    @property
    def conditioned(self) -> bool:
        """Whether some decoder takes a condition."""
        return self.method != "none"


_GAUSSIAN: dict[int, GaussianSizes | VQSizes] = {
    1: GaussianSizes(latent=16, hidden=(32, 64, 128, 256)),
    2: GaussianSizes(latent=64, hidden=(32, 64, 128, 256)),
}

CONFIGURATIONS: dict[Family, dict[int, GaussianSizes | VQSizes]] = {
    "gaussian_vae": _GAUSSIAN,
    "vqvae": {
        1: VQSizes(embeddings=128, embedding_size=16, hidden=(32, 64), residual_layers=0),
        2: VQSizes(embeddings=128, embedding_size=32, hidden=(128, 256), residual_layers=2),
        3: VQSizes(embeddings=256, embedding_size=64, hidden=(128, 256), residual_layers=4),
    },
    "autoencoder": _GAUSSIAN,
}
"""The numbered configurations of 3.4.2, by family."""


def resolve_sizes(family: Family, configuration: int, overrides: Sizes) -> GaussianSizes | VQSizes:
    """The sizes of a numbered configuration with the given ones put in their place.

    Raises:
        KeyError: `family` has no such configuration.
        pydantic.ValidationError: an override names a size that `family` does not have.
    """
    base = CONFIGURATIONS[family][configuration]
    return type(base)(**base.model_dump() | overrides.model_dump(exclude_none=True))


SAMPLERS: dict[Method, tuple[SamplerName, ...]] = {
    "none": (),
    "conditioned": ("uniform", "exact"),
    "multi_decoder": ("uniform", "exact"),
    "single_decoder": ("uniform", "gaussian"),
}
"""The samplers that a method takes (3.2.1, 3.3.1), its default first."""


def terms(family: Family, method: Method) -> tuple[str, ...]:
    """The names of the training loss's terms: one per decoder that the method trains, and the latent one."""
    decoders = {"none": ("unconditioned",), "multi_decoder": ("unconditioned", "conditioned")}
    return decoders.get(method, ("conditioned",)) + (() if family == "autoencoder" else ("latent",))
