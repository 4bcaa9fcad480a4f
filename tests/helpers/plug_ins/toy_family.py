"""A plugged-in family: an autoencoder with a loss term that keeps z small."""

from mtvae.config import Family, GaussianSizes, Metric
from mtvae.latent_spaces import PlainLatentSpace


class SmallLatentSpace(PlainLatentSpace):
    """Adds the mean absolute value of z to the loss, and measures the largest absolute value."""

    @staticmethod
    def terms(latent, loss):
        return {"size": latent.z.abs().mean()}

    def measures(self, latent):
        return {"mean_size": latent.z.abs().mean(), "largest": latent.z.abs().amax()}


SMALL = Family(
    "small",
    latent_space="toy_family:SmallLatentSpace",
    cost="mtvae.cost:autoencoder",
    configurations={1: GaussianSizes(latent=8, hidden=(8, 16))},
    scale="per_image",
    metrics=(
        Metric("mean_size", "|z|", "mean of |z|", direction="lower", term="size", tabulated=True, axis="mean |z|"),
        Metric("largest", "|z|", "largest |z|, by batch", digits=2, direction="lower", tabulated=True),
    ),
)
