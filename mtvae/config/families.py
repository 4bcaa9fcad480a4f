"""The latent spaces: their sizes, their loss terms and metrics, and where their networks are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from mtvae.config.metrics import Metric, Scale
from mtvae.config.registry import Choice, Registry, load
from mtvae.config.section import Section
from mtvae.config.sizes import GaussianSizes, VQSizes


@dataclass(frozen=True)
class Family:
    """A latent space.

    Attributes:
        latent_space: `module:Class` of its network (`mtvae.latent_spaces.LatentSpace`), imported by what builds it.
        cost: `module:function` of what its networks cost (`mtvae.cost`), by arithmetic.
        configurations: its sizes, by number (3.4.2).
        scale: of the reconstruction terms of its training loss, and of its errors in a table. Summed over an image as
            in the published run, because the text's 1/D would make the KL 784 times stronger on MNIST; or the mean.
        metrics: of its latent space. Those with a `term` are trained on, in this order, after the reconstructions.
        draws_z: z is drawn from a distribution, so that scores may take a sample or the mean.
        conditioned_head: a conditioned decoder begins with a head that a plain one lacks, so that `head_only` differs
            from `none`.
        halves: every width of `hidden` halves the side, which must allow it.
        soft_adapt_beta: the default of `soft_adapt.beta` (5.1).
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

    def metric(self, name: str) -> Metric | None:
        """Its metric of that name; None where it has none."""
        return self._by_name.get(name)

    @cached_property
    def _by_name(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in self.metrics}

    def describe(self) -> dict[str, Any]:
        """What a report must know of it: a description for the ledger, which `Family.described` reads."""
        return {"name": self.name, "scale": self.scale, "metrics": [metric.describe() for metric in self.metrics]}

    @classmethod
    def described(cls, name: str, scale: Scale = "per_pixel", metrics: Sequence[Mapping[str, Any]] = ()) -> "Family":
        """A family as far as a report needs it, without its networks."""
        return cls(name, "", "", {}, scale, tuple(Metric(**metric) for metric in metrics))

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The terms of its training loss besides the reconstructions."""
        return tuple(metric.term for metric in self.metrics if metric.term)

    def load_latent_space(self) -> Any:
        """The class of its network."""
        return load(self.latent_space)

    def load_cost(self) -> Callable[..., Any]:
        """The function that says what its networks cost."""
        found: Callable[..., Any] = load(self.cost)
        return found


FAMILIES = Registry(Family)

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
                direction="lower",
            ),
        ),
        conditioned_head=True,
        halves=True,
        soft_adapt_beta=5e-3,
    )
)
FAMILIES.register(
    Family(
        "autoencoder",
        latent_space="mtvae.latent_spaces:PlainLatentSpace",
        cost="mtvae.cost:autoencoder",
        configurations=_GAUSSIAN,
        scale="per_image",
    )
)

FamilyName = Annotated[str, Choice(FAMILIES)]
