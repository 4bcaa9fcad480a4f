"""Priors over vectors z: the standard normal distribution, one normal distribution, or a mixture of several.

Shapes: N vectors of L numbers, k components.
"""

import math

import torch
from torch import Tensor, nn

KINDS = ("normal", "gaussian", "mixture")


class MixturePrior(nn.Module):
    """A mixture of normal distributions with full covariances. `normal` is one component, N(0, I).

    Args:
        kind: one of `KINDS`. `gaussian` has the mean and covariance of the vectors that fit it; `mixture` comes from
            scikit-learn's `GaussianMixture`.
        components: how many components a `mixture` has; the others have one.
    """

    log_weights: Tensor
    means: Tensor
    roots: Tensor

    def __init__(self, kind: str, latent: int, components: int = 1):
        super().__init__()
        self.kind, self.components = kind, components if kind == "mixture" else 1
        uniform = torch.full((self.components,), -math.log(self.components), dtype=torch.float64)
        self.register_buffer("log_weights", uniform)
        self.register_buffer("means", torch.zeros(self.components, latent, dtype=torch.float64))
        identity = torch.eye(latent, dtype=torch.float64)
        self.register_buffer("roots", identity.repeat(self.components, 1, 1))  # lower, of the covariances

    def fit(self, z: Tensor, seed: int) -> None:
        """Fit vectors z (N,L) of the training set.

        Raises:
            ValueError: there are fewer vectors than components.
        """
        if self.kind == "normal":
            return
        if len(z) < max(2, self.components):
            raise ValueError(f"{len(z)} vectors are too few for {self.components} components")
        from sklearn.mixture import GaussianMixture  # only this prior needs scikit-learn in a worker

        # With one component it is the mean and the covariance, with the same small addition to the variances.
        found = GaussianMixture(self.components, random_state=seed % 2**32).fit(z.double().cpu().numpy())
        self.log_weights.copy_(torch.from_numpy(found.weights_).log())
        self.means.copy_(torch.from_numpy(found.means_))
        self.roots.copy_(torch.linalg.cholesky(torch.from_numpy(found.covariances_)))

    def nats(self, z: Tensor) -> Tensor:
        """Return -log p of each vector (N,L), in nats, (N,) in double precision."""
        parts = torch.distributions.MultivariateNormal(self.means, scale_tril=self.roots, validate_args=False)
        log_p: Tensor = (self.log_weights + parts.log_prob(z.double()[:, None])).logsumexp(1)
        return -log_p

    @torch.no_grad()
    def sample(self, number: int, generator: torch.Generator, temperature: float = 1.0) -> Tensor:
        """Draw vectors (N,L) in single precision.

        Args:
            generator: on the CPU.
            temperature: the factor of the standard deviations within a component.
        """
        drawn = torch.multinomial(self.log_weights.exp().cpu(), number, replacement=True, generator=generator)
        noise = torch.randn(number, self.means.shape[1], generator=generator, dtype=torch.float64)
        drawn, noise = drawn.to(self.means.device), noise.to(self.means.device)
        spread = (self.roots[drawn] @ noise[:, :, None])[:, :, 0]
        return (self.means[drawn] + temperature * spread).float()
