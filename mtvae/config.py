"""Sizes and options of a model and of its training.

Imports no torch, so that a grid can be validated on a login node in milliseconds. Every section is closed (an unknown
field is an error), frozen, and strict (``"3"`` is not 3). ``None`` means "the default of this family, method or
configuration" before `resolve`, and "does not apply" after it.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Family = Literal["gaussian_vae", "vqvae"]
Method = Literal["none", "multi_decoder", "single_decoder"]
SamplerName = Literal["uniform"]

Output = Literal["linear", "tanh"]

PER_IMAGE_FAMILIES: tuple[Family, ...] = ("gaussian_vae",)
"""Families whose reconstruction term is summed over pixels and channels (as the published run; the text's 1/D would
make the KL 784 times stronger on MNIST). The others' is the mean over everything."""

Count = Annotated[int, Field(gt=0, le=2**31)]
Weight = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """Base of every group of settings: closed, frozen, strict, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Sizes(Section):
    """Sizes of the networks (3.4.2) that a grid sets. Omitted ones come from `CONFIGURATIONS`."""

    latent: Count | None = Field(None, description="gaussian_vae: dimensions of z")
    embeddings: Count | None = Field(None, description="vqvae: K, vectors in the codebook")
    embedding_size: Count | None = Field(None, description="vqvae: E, length of a codebook vector")
    residual_layers: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, description="vqvae: residual layers in encoder and decoder, 0 for none"
    )
    hidden: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)] | None = Field(
        None, description="widths of the encoder's convolutions, the decoder's in reverse"
    )
    batch_norm: bool | None = Field(None, description="batch normalisation in the convolution stacks (default true)")
    output: Output | None = Field(None, description="last layer of a decoder (gaussian_vae: linear; vqvae: tanh)")


class GaussianSizes(Section):
    """All sizes of a `gaussian_vae`."""

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
    exponent: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="a of the power law a x^(a-1) (2.5.2); large reveals few pixels; None: a fixed count",
    )


class Loss(Section):
    """Fixed weights of the training loss ``w1 rec1 + w2 rec2 + latent_weight latent`` (3.2.2, 3.2.3)."""

    w1: Weight = Field(1.0, description="weight of the first (or only) decoder's reconstruction")
    w2: Weight | None = Field(None, description="multi_decoder: weight of the second decoder's (default 1)")
    latent_weight: Weight = Field(1.0, description="weight of the latent loss; 0 turns it off")
    commitment_weight: Weight | None = Field(
        None, description="vqvae: beta of eq. 2.5, the commitment's share of the latent loss (default 0.25)"
    )


class Training(Section):
    """How a model is trained (3.4.3): AdamW, no schedule, no clipping."""

    epochs: Count = Field(100, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=2, le=2**20)] = Field(128, description="images per step")
    lr: Annotated[float, Field(gt=0)] = Field(1e-3, description="AdamW's learning rate")
    weight_decay: Weight = Field(0.01, description="AdamW's decoupled weight decay; 0 turns it off")
    shuffle: bool = Field(True, description="a new seeded order every epoch; false: the folds' order")
    precision: Literal["fp32"] = Field("fp32", description="arithmetic of the training step")


class Evaluation(Section):
    """How a fitted model is scored."""

    latent: Literal["sample", "mean"] | None = Field(
        None,
        description="gaussian_vae: one seeded z per image (default), or the mean, which scores far lower",
    )


class Architecture(Section):
    """All that shapes one model: family x method, the images' shape, and every size."""

    method: Method
    channels: Count
    side: Count
    sizes: GaussianSizes | VQSizes

    @property
    def family(self) -> Family:
        """The latent space, by its sizes."""
        return "vqvae" if isinstance(self.sizes, VQSizes) else "gaussian_vae"

    @property
    def conditioned(self) -> bool:
        """Whether some decoder takes a condition."""
        return self.method != "none"


CONFIGURATIONS: dict[Family, dict[int, GaussianSizes | VQSizes]] = {
    "gaussian_vae": {
        1: GaussianSizes(latent=16, hidden=(32, 64, 128, 256)),
    },
    "vqvae": {
        1: VQSizes(embeddings=128, embedding_size=16, hidden=(32, 64), residual_layers=0),
    },
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
