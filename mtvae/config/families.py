"""Families of models, one for each latent space: their sizes, loss terms and metrics, and where their networks are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from mtvae.config.metrics import Metric, Scale
from mtvae.config.registry import Choice, Registry, import_attribute
from mtvae.config.section import Section
from mtvae.config.sizes import GaussianSizes, VQSizes


@dataclass(frozen=True)
class Family:
    """A family of models with the same latent space.

    Attributes:
        latent_space: `module:Class` of its network (`mtvae.latent_spaces.LatentSpace`); only what builds it imports it.
        cost: `module:function` that computes what its networks cost (`mtvae.cost`).
        configurations: its sizes, by number (3.4.2).
        scale: the scale of the reconstruction terms of its training loss, and of its errors in a table. Errors are
            summed over an image as in the published run, because the text's 1/D would make the KL 784 times stronger
            on MNIST; or they are means over pixels.
        metrics: the metrics of its latent space. Those with a `term` are terms of the training loss, in this order,
            after the reconstructions.
        draws_z: whether z is drawn from a distribution, so that scores may use a sample or the mean.
        conditioned_head: whether a conditioned decoder begins with a head that a plain one lacks, so that method
            `head_only` differs from `none`.
        halves: whether each width in `hidden` halves the side of the image, which must be divisible accordingly.
        soft_adapt_beta: the default of `soft_adapt.beta` (5.1).
        latent: what z is, a grid of codes or a vector; it decides which priors fit. None: no prior fits.
        network: `module:Class` of its model, built from an `Architecture`.
        fit: `module:Class` of the training of such a model (`mtvae.training.Fit`).
        check: `module:function` that returns what is wrong with a model of an `Architecture`, or an empty text; empty
            where nothing can be.
        decodes: whether it has the decoders of a method, and their errors are terms of its loss. Otherwise it takes
            only method none, and all terms are its own.
        reconstructs: whether it has reconstructions, whose errors are scored.
        needs_labels: whether its images must have labels.
        version: part of the key; None for a family without versions.
        source: a hash of a plug-in's code; empty for a built-in family.
    """

    name: str
    latent_space: str
    cost: str
    configurations: Mapping[int, Section]
    scale: Scale
    metrics: tuple[Metric, ...] = ()
    draws_z: bool = False
    conditioned_head: bool = False
    halves: bool = False
    soft_adapt_beta: float = 1.28e-2
    latent: Literal["codes", "vector"] | None = None
    network: str = "mtvae.model:Model"
    fit: str = "mtvae.training:Fit"
    check: str = ""
    decodes: bool = True
    reconstructs: bool = True
    needs_labels: bool = False
    version: int | None = None
    source: str = ""

    def metric(self, name: str) -> Metric | None:
        """Return the family's metric of this name, or None."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in self.metrics}

    def describe(self) -> dict[str, Any]:
        """Return what a report must know of the family, for the ledger; `Family.from_description` reads it."""
        return {
            "name": self.name,
            "scale": self.scale,
            "metrics": [metric.describe() for metric in self.metrics],
            "decodes": self.decodes,
            "reconstructs": self.reconstructs,
            "version": self.version,
        }

    @classmethod
    def from_description(
        cls, name: str, scale: Scale = "per_pixel", metrics: Sequence[Mapping[str, Any]] = (), **more: Any
    ) -> "Family":
        """Return a family as far as a report needs it, without its networks."""
        return cls(name, "", "", {}, scale, tuple(Metric(**metric) for metric in metrics), **more)

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The names of its training loss's terms besides the reconstructions."""
        return tuple(metric.term for metric in self.metrics if metric.term)

    @property
    def own(self) -> bool:
        """Whether it is a plug-in's class with terms and metrics of its own instead of decoders."""
        return not self.decodes

    @cached_property
    def validated(self) -> tuple[str, ...]:
        """The names of its metrics besides the terms that each epoch measures on the validation set."""
        return tuple(metric.name for metric in self.metrics if metric.validated)

    def fault(self, architecture: Any) -> str:
        """Return what is wrong with a model of an `Architecture` of this family, or an empty text."""
        return str(import_attribute(self.check)(architecture)) if self.check else ""

    def load_network(self) -> Any:
        """Import the class of its model."""
        return import_attribute(self.network)

    def load_fit(self) -> Any:
        """Import the class that trains its model."""
        return import_attribute(self.fit)

    def load_latent_space(self) -> Any:
        """Import the class of its network."""
        return import_attribute(self.latent_space)

    def load_cost(self) -> Callable[..., Any]:
        """Import the function that computes what its networks cost."""
        found: Callable[..., Any] = import_attribute(self.cost)
        return found


FAMILIES = Registry(Family, adapt="mtvae.config.own_model:family_of")

_GAUSSIAN = {
    1: GaussianSizes(latent=16, hidden=(32, 64, 128, 256)),
    2: GaussianSizes(latent=64, hidden=(32, 64, 128, 256)),
}

FAMILIES.register(
    Family(
        "gaussian_vae",
        latent_space="mtvae.latent_spaces:GaussianLatentSpace",
        cost="mtvae.cost:gaussian",
        configurations=_GAUSSIAN,
        scale="per_image",
        metrics=(
            Metric(
                "latent_loss",
                "nats per image",
                "KL in nats per image",
                direction="lower",
                term="latent",
                tabulated=True,
                axis="KL divergence (nats per image)",
            ),
            Metric(
                "active_units",
                "latent units whose posterior mean has a variance above 0.01 over the images",
                digits=1,
                direction="higher",
            ),
        ),
        draws_z=True,
        latent="vector",
    )
)
FAMILIES.register(
    Family(
        "vqvae",
        latent_space="mtvae.latent_spaces:VectorQuantizedLatentSpace",
        cost="mtvae.cost:vq",
        configurations={
            1: VQSizes(embeddings=128, embedding_size=16, hidden=(32, 64), residual_layers=0),
            2: VQSizes(embeddings=128, embedding_size=32, hidden=(128, 256), residual_layers=2),
            3: VQSizes(embeddings=256, embedding_size=64, hidden=(128, 256), residual_layers=4),
        },
        scale="per_pixel",
        metrics=(
            Metric(
                "latent_loss",
                "squared error per element of the grid",
                "codebook and commitment loss per element",
                digits=6,
                direction="lower",
                term="latent",
                tabulated=True,
                axis="VQ objective (squared error per element)",
            ),
            Metric("codebook_loss", "squared error per element of the grid", digits=6, direction="lower"),
            Metric("commitment_loss", "squared error per element of the grid, unweighted", digits=6, direction="lower"),
            Metric("perplexity", "codebook vectors in effective use, 1 to K", direction="higher"),
            Metric(
                "relative_codebook_error",
                "codebook loss divided by the variance of the encoder's output",
                "codebook loss per variance of the encoder's output, so that its scale does not count",
                direction="lower",
            ),
        ),
        conditioned_head=True,
        halves=True,
        soft_adapt_beta=5e-3,
        latent="codes",
    )
)
FAMILIES.register(
    Family(
        "autoencoder",
        latent_space="mtvae.latent_spaces:PlainLatentSpace",
        cost="mtvae.cost:autoencoder",
        configurations=_GAUSSIAN,
        scale="per_image",
        latent="vector",
    )
)

FamilyName = Annotated[str, Choice(FAMILIES)]
