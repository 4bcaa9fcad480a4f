"""Build a prior, and fit it to the latent space of a trained model: counts at once, a PixelCNN epoch by epoch."""

from collections.abc import Mapping

import torch
from torch import Tensor

from mtvae.config import Architecture, Prior, Training, VQSizes
from mtvae.evaluation import BATCH_SIZE, to_pixels
from mtvae.loop import Loop
from mtvae.model import Model
from mtvae.prior.mixtures import MixturePrior
from mtvae.prior.pixelcnn import PixelCNN
from mtvae.prior.tables import TablePrior
from mtvae.runtime.determinism import seeded

TERM = "code"
"""The name of a PixelCNN's training term: -log p of a code, in nats."""

AnyPrior = TablePrior | PixelCNN | MixturePrior


def build_prior(prior: Prior, architecture: Architecture, classes: int = 0, seed: int = 0) -> AnyPrior:
    """Return a prior that is not fitted yet, on the CPU.

    Args:
        classes: how many classes condition it; 0 for none.
        seed: of a PixelCNN's initial values.
    """
    kind, sizes = prior.kind, architecture.sizes
    assert kind is not None
    if not isinstance(sizes, VQSizes):
        return MixturePrior(kind, sizes.latent, prior.components or 1)  # type: ignore[attr-defined]
    if kind != "pixelcnn":
        return TablePrior(kind, sizes.embeddings, sizes.grid_side(architecture.side), classes)
    assert prior.layers is not None and prior.width is not None and prior.kernel is not None
    with seeded(seed, torch.device("cpu")):  # torch's constructors draw from the global generator
        return PixelCNN(sizes.embeddings, prior.layers, prior.width, prior.kernel, prior.dropout or 0.0, classes)


@torch.no_grad()
def codes_of(model: Model, images: Tensor) -> Tensor:
    """Return the codes (N,h,h) of uint8 images (N,C,H,H), by a model in evaluation mode."""
    found = [model.encode(to_pixels(batch), None).indices for batch in images.split(BATCH_SIZE)]
    return torch.cat([codes for codes in found if codes is not None])


@torch.no_grad()
def vectors_of(model: Model, images: Tensor, seed: int) -> Tensor:
    """Return one vector z (N,L) for each of these uint8 images (N,C,H,H), drawn if the encoder gives a distribution.

    Draws and not means: a prior that is fitted to the means alone gives the width of q(z|x) next to no probability.
    """
    generator = torch.Generator(images.device).manual_seed(seed)
    return torch.cat([model.encode(to_pixels(batch), generator).z for batch in images.split(BATCH_SIZE)])


class PriorFit(Loop):
    """The training of a PixelCNN on codes. The best epoch has the least nats per code on the validation set.

    Args:
        codes: (N,h,h), of all images.
        train: indices of the training set; `selection` those of the validation set.
        labels: (N,) classes, if the PixelCNN has any.
        seeds: of `prior_batches` and `prior_dropout`.
    """

    def __init__(
        self,
        module: PixelCNN,
        codes: Tensor,
        train: Tensor,
        selection: Tensor,
        prior: Prior,
        seeds: Mapping[str, int],
        labels: Tensor | None = None,
    ):
        self.codes, self.selection, self.labels, self.pixelcnn = codes, selection, labels, module
        assert prior.epochs is not None and prior.batch_size is not None and prior.lr is not None
        training = Training(epochs=prior.epochs, batch_size=prior.batch_size, lr=prior.lr)
        generators = {name: torch.Generator().manual_seed(seeds[f"prior_{name}"]) for name in ("batches", "dropout")}
        super().__init__(module, train, training, {TERM: 1.0}, generators)

    def train_terms(self, batch: Tensor) -> dict[str, Tensor]:
        seed = int(torch.randint(2**62, (), generator=self.generators["dropout"]))
        with seeded(seed, self.codes.device):  # dropout draws from the global generator of the device
            return {TERM: self._nats(batch)}

    @torch.no_grad()
    def validation_terms(self) -> dict[str, float]:
        self.module.eval()
        total = sum(self._nats(part).double() * len(part) for part in self.selection.split(BATCH_SIZE))
        return {TERM: float(total) / len(self.selection)}

    def _nats(self, places: Tensor) -> Tensor:
        """Return the mean of -log p over the codes of the images at these indices."""
        return self.pixelcnn.nats(self.codes[places], None if self.labels is None else self.labels[places]).mean()
