"""Sizes of the networks (3.4.2): what a grid may set, and all that a network of each kind has."""

from typing import Annotated, Literal

from pydantic import Field

from mtvae.config.section import Count, Section
from mtvae.config.setting import Setting

Output = Literal["linear", "tanh"]
CodebookInit = Literal["uniform", "data"]


class Sizes(Section):
    """Sizes of the networks (3.4.2) that a grid sets. Omitted ones come from the family's configurations."""

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
    codebook_init: Annotated[CodebookInit | None, Setting(neutral="uniform")] = Field(
        None,
        description="vqvae: first codebook; uniform: within 0.05 (default, the published run); data: outputs of the "
        "encoder for the first batch",
    )


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
    codebook_init: CodebookInit = "uniform"
