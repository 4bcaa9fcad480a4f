"""Sizes of the networks (3.4.2): those that a grid may set, and all sizes of each kind of network."""

from typing import Annotated, Literal

from pydantic import Field

from mtvae.config.section import Count, Section
from mtvae.config.setting import Setting

Output = Literal["linear", "tanh"]
CodebookInit = Literal["uniform", "data"]


class Sizes(Section):
    """Sizes of the networks (3.4.2) that a grid sets. Omitted sizes come from the family's configuration."""

    latent: Count | None = Field(None, description="gaussian_vae, autoencoder: dimensions of z")
    embeddings: Count | None = Field(None, description="vqvae: number of codebook vectors, K")
    embedding_size: Count | None = Field(None, description="vqvae: length of a codebook vector, E")
    residual_layers: Annotated[int, Field(ge=0, le=64)] | None = Field(
        None, description="vqvae: number of residual layers in encoder and in decoder"
    )
    hidden: Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)] | None = Field(
        None, description="widths (channels) of the encoder's convolutions; the decoder has them in reverse"
    )
    batch_norm: bool | None = Field(None, description="batch normalisation in the convolution stacks (default true)")
    output: Output | None = Field(
        None, description="last layer of a decoder (default tanh for vqvae, linear otherwise)"
    )
    codebook_init: Annotated[CodebookInit | None, Setting(neutral="uniform", silent=True)] = Field(
        None,
        description="vqvae: first codebook; uniform: within 0.05 (default, the published run); data: outputs of the "
        "encoder for the first batch",
    )


class GaussianSizes(Section):
    """All sizes of a `gaussian_vae` or an `autoencoder`. Their networks differ in the latent heads only."""

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
