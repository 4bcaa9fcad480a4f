"""Sizes of the networks (3.4.2): those that a grid may set, and all sizes of each kind of network."""

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field
from pydantic.fields import FieldInfo

from mtvae.config.section import Count, Section
from mtvae.config.setting import Setting

OF_CONFIGURATION = "of the configuration"
"""The default of a size that each configuration of a family gives."""

Output = Literal["linear", "tanh"]
CodebookInit = Literal["uniform", "data"]


class Sizes(Section):
    """Sizes of the networks (3.4.2) that a grid sets. Omitted sizes come from the family's configuration.

    Sizes that only a plug-in's family has are further fields, which its own section checks.
    """

    model_config = ConfigDict(extra="allow")

    latent: Annotated[
        Count | None,
        Setting(
            where="family gaussian_vae or autoencoder",
            default_text=OF_CONFIGURATION,
            synonyms=("latent_dim", "latent_dims", "latent_size", "n_latent", "z_dim", "z_size"),
        ),
    ] = Field(None, description="dimensions of z")
    embeddings: Annotated[
        Count | None,
        Setting(
            where="family vqvae",
            default_text=OF_CONFIGURATION,
            synonyms=("codebook_size", "num_embeddings", "n_embeddings", "num_codes", "n_codes", "k", "embedding"),
        ),
    ] = Field(None, description="number of codebook vectors, K")
    embedding_size: Annotated[
        Count | None,
        Setting(
            where="family vqvae",
            default_text=OF_CONFIGURATION,
            synonyms=("embedding_dim", "codebook_dim", "code_dim", "code_size", "embedding"),
        ),
    ] = Field(None, description="length of a codebook vector, E")
    residual_layers: Annotated[
        Annotated[int, Field(ge=0, le=64)] | None,
        Setting(
            where="family vqvae",
            default_text=OF_CONFIGURATION,
            synonyms=("num_residual_layers", "n_residual_layers", "res_layers", "n_res_block"),
        ),
    ] = Field(None, description="number of residual layers in encoder and in decoder")
    hidden: Annotated[
        Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)] | None,
        Setting(default_text=OF_CONFIGURATION, synonyms=("hidden_dims", "hidden_dim", "hidden_size", "widths")),
    ] = Field(None, description="widths (channels) of the encoder's convolutions; the decoder has them in reverse")
    batch_norm: Annotated[bool | None, Setting(default_text="true", synonyms=("bn",))] = Field(
        None, description="batch normalisation in the convolution stacks"
    )
    output: Annotated[Output | None, Setting(default_text="tanh for vqvae, linear otherwise")] = Field(
        None, description="last layer of a decoder"
    )
    codebook_init: Annotated[
        CodebookInit | None,
        Setting(neutral="uniform", silent=True, where="family vqvae", default_text="uniform"),
    ] = Field(
        None,
        description="first codebook; uniform: within 0.05 (the published run); data: outputs of the encoder for the "
        "first batch",
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

    def grid_side(self, side: int) -> int:
        """Return the side of the grid of codes of an image with this side, which each width halves."""
        return int(side // 2 ** len(self.hidden))


def size_kind(field: FieldInfo) -> type | None:
    """Return the type of a size: int, float, bool, str or tuple (of int); None for another or a mixed type."""
    kinds = set(_kinds(field.annotation))
    return kinds.pop() if len(kinds) == 1 else None


def _kinds(annotation: Any) -> list[type | None]:
    """Return the types of the members of a union, without None."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kinds(arguments[0])
    if origin in (Union, UnionType):
        return [kind for member in arguments for kind in _kinds(member)]
    if origin is Literal:
        return [type(value) for value in arguments]
    if origin is tuple:
        return [tuple] if arguments[1:] == (...,) and _kinds(arguments[0]) == [int] else [None]
    return [] if annotation is NoneType else [annotation if annotation in (int, float, bool, str) else None]
