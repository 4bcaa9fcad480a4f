"""Priors: what they may see, what they compute against other libraries, and that samples come from their densities."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import make_blobs
from sklearn.mixture import GaussianMixture

from mtvae.config import KINDS_OF, Architecture, GaussianSizes, Loss, Prior, VQSizes
from mtvae.cost import prior_cost
from mtvae.evaluation import evaluate
from mtvae.latent_spaces import Latent, kl_divergence
from mtvae.model import build
from mtvae.prior import pixelcnn as pixelcnn_module
from mtvae.prior.drawing import decode, draw_latent
from mtvae.prior.fitting import PriorFit, build_prior, codes_of
from mtvae.prior.likelihood import measure, rate_of
from mtvae.prior.mixtures import MixturePrior
from mtvae.prior.pixelcnn import PixelCNN, receptive_field
from mtvae.prior.sampling import draw
from mtvae.prior.tables import CONTEXTS, TablePrior

VQ = Architecture(
    family="vqvae",
    method="none",
    channels=1,
    side=16,
    sizes=VQSizes(embeddings=12, embedding_size=4, hidden=(8, 8), residual_layers=0),
)
SIDE = 4  # of VQ's grid of codes
GAUSSIAN = Architecture(
    family="gaussian_vae", method="none", channels=1, side=16, sizes=GaussianSizes(latent=3, hidden=(4, 4))
)


def pixelcnn(kernel=3, layers=4, classes=0, dtype=torch.float64):
    """Return a PixelCNN in evaluation mode whose weights are random."""
    torch.manual_seed(0)
    return PixelCNN(12, layers, 6, kernel, classes=classes).to(dtype).eval()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("kernel", "layers"), [(3, 5), (5, 3), (7, 2)])
def test_a_code_sees_all_codes_before_it(kernel, layers):
    """No gradient comes from a code itself or a later one, and every earlier one is reached: there is no blind spot."""
    model, side = pixelcnn(kernel, layers), 5
    for place in range(side * side):
        seen = receptive_field(model, side, place // side, place % side).flatten()
        assert (seen[place:] == 0).all()
        assert (seen[:place] > 0).all()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("kernel", [3, 5])
def test_cached_samples_equal_full_passes(kernel, classes):
    model = pixelcnn(kernel, 3, classes)
    labels = torch.arange(20) % classes if classes else None
    fast = model.sample(20, 5, seeded(1), labels, temperature=0.8)
    assert torch.equal(fast, model.sample_by_full_passes(20, 5, seeded(1), labels, temperature=0.8))
    assert len(fast.unique()) == 12


@pytest.mark.parametrize("classes", [0, 3])
def test_many_samples_are_drawn_in_parts(monkeypatch, classes):
    """The parts bound the memory, and change no code."""
    torch.manual_seed(0)
    model = PixelCNN(5, 2, 4, 3, classes=classes).double().eval()
    labels = torch.arange(10) % classes if classes else None
    whole = model.sample(10, 3, torch.Generator().manual_seed(1), labels)
    seen = []
    monkeypatch.setattr(pixelcnn_module, "AT_ONCE", 4)
    vertical = model.gated_layers[0].vertical
    monkeypatch.setattr(
        model.gated_layers[0], "vertical", lambda rows, bias: seen.append(len(rows)) or vertical(rows, bias)
    )
    assert torch.equal(model.sample(10, 3, torch.Generator().manual_seed(1), labels), whole)
    assert max(seen) == 4


def test_a_class_changes_the_probabilities():
    model, codes = pixelcnn(classes=3), torch.zeros(2, 5, 5, dtype=torch.long)
    first, second = model.nats(codes, torch.tensor([0, 2]))
    assert (first != second).all()


def test_probabilities_of_all_grids_sum_to_one():
    """Over a grid of 2x2 codes of 3 values, all 81 grids together have probability 1."""
    torch.manual_seed(0)
    model = PixelCNN(3, 3, 4, 3).double().eval()
    grids = torch.cartesian_prod(*[torch.arange(3)] * 4).reshape(-1, 2, 2)
    assert (-model.nats(grids).sum((1, 2))).exp().sum().item() == pytest.approx(1)


def test_a_draw_follows_its_probabilities():
    p = torch.tensor([0.1, 0.6, 0.3], dtype=torch.float64)
    codes = draw(p.log().expand(30_000, 3), torch.rand(30_000, generator=seeded(), dtype=torch.float64))
    assert codes.bincount().numpy() / 30_000 == pytest.approx(p.numpy(), abs=0.01)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_a_draw_takes_no_impossible_code(uniform):
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]], dtype=torch.float64)
    assert draw(logits, torch.tensor([uniform], dtype=torch.float64)).item() in (1, 2)


def test_a_low_temperature_takes_the_likeliest():
    logits = torch.tensor([[1.0, 3.0, 2.0]]).expand(100, 3)
    assert (draw(logits, torch.rand(100, generator=seeded()), temperature=0.01) == 1).all()


class TestTables:
    codes = (
        torch.randint(5, (400, SIDE, SIDE), generator=seeded(2)) * torch.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 12
    )

    @pytest.mark.parametrize("kind", CONTEXTS)
    def test_probabilities_sum_to_one(self, kind):
        prior = TablePrior(kind, 12, SIDE)
        prior.fit(self.codes)
        assert prior.log_p.exp().sum(1).numpy() == pytest.approx(1)

    def test_more_context_means_fewer_bits(self):
        bits = {}
        for kind in CONTEXTS:
            prior = TablePrior(kind, 12, SIDE)
            prior.fit(self.codes)
            bits[kind] = prior.nats(self.codes).mean().item() / math.log(2)
        assert bits["uniform"] == pytest.approx(math.log2(12))
        assert bits["position_histogram"] < bits["markov"] < bits["histogram"] < bits["uniform"]

    def test_a_histogram_is_the_entropy_of_the_counts(self):
        prior = TablePrior("histogram", 12, SIDE)
        prior.fit(self.codes)
        p = np.bincount(self.codes.flatten(), minlength=12) / self.codes.numel()
        entropy = -(p[p > 0] * np.log(p[p > 0])).sum()
        assert prior.nats(self.codes).mean().item() == pytest.approx(entropy, rel=1e-3)

    def test_markov_knows_the_left_neighbour(self):
        """A row that counts up from its first code is certain but for that code."""
        start = torch.randint(12, (3000, 1, 1), generator=seeded())
        codes = (start + torch.arange(SIDE)).expand(3000, SIDE, SIDE) % 12
        prior = TablePrior("markov", 12, SIDE)
        prior.fit(codes)
        nats = prior.nats(codes).mean((0, 1))
        assert nats[0].item() == pytest.approx(math.log(12), abs=0.02)
        assert nats[1:].max().item() < 0.01
        drawn = prior.sample(50, SIDE, seeded())
        assert ((drawn.diff(dim=2) % 12 == 1).float().mean() > 0.98).item()

    def test_samples_have_the_fitted_frequencies(self):
        prior = TablePrior("position_histogram", 12, SIDE)
        prior.fit(self.codes)
        drawn = prior.sample(5000, SIDE, seeded(3))
        for place in range(SIDE * SIDE):
            found = drawn.flatten(1)[:, place].bincount(minlength=12).double() / 5000
            assert found.numpy() == pytest.approx(prior.log_p[place].exp().numpy(), abs=0.03)

    def test_each_class_has_its_own_table(self):
        labels = torch.arange(400) % 2
        codes = self.codes.clone()
        codes[labels == 1] = 7
        prior = TablePrior("histogram", 12, SIDE, classes=2)
        prior.fit(codes, labels)
        nats = prior.nats(codes, labels)
        assert nats[labels == 1].max().item() < 0.01 < nats[labels == 0].mean().item()


class TestMixtures:
    z = torch.from_numpy(make_blobs(600, 3, centers=4, random_state=0)[0])

    def test_normal_is_the_standard_normal(self):
        nats = MixturePrior("normal", 3).nats(self.z)
        assert nats.numpy() == pytest.approx(-multivariate_normal(np.zeros(3), np.eye(3)).logpdf(self.z.numpy()))

    def test_gaussian_has_mean_and_covariance(self):
        prior = MixturePrior("gaussian", 3)
        prior.fit(self.z, seed=0)
        theirs = multivariate_normal(self.z.mean(0).numpy(), np.cov(self.z.numpy().T, bias=True))
        assert prior.nats(self.z).numpy() == pytest.approx(-theirs.logpdf(self.z.numpy()), rel=1e-4)

    def test_mixture_is_scikit_learns(self):
        prior = MixturePrior("mixture", 3, components=4)
        prior.fit(self.z, seed=5)
        theirs = GaussianMixture(4, random_state=5).fit(self.z.numpy())
        assert prior.nats(self.z).numpy() == pytest.approx(-theirs.score_samples(self.z.numpy()))

    @pytest.mark.parametrize("kind", KINDS_OF["vector"])
    def test_samples_have_the_priors_moments(self, kind):
        prior = MixturePrior(kind, 3, components=4)
        prior.fit(self.z, seed=0)
        drawn = prior.sample(40_000, seeded()).double()
        weights = prior.log_weights.exp()
        mean = weights @ prior.means
        assert drawn.mean(0).numpy() == pytest.approx(mean.numpy(), abs=0.15)
        second = (
            weights[:, None, None] * (prior.roots @ prior.roots.mT + prior.means[:, :, None] * prior.means[:, None])
        ).sum(0)
        assert (drawn.T @ drawn / len(drawn)).numpy() == pytest.approx(second.numpy(), abs=1.5)

    def test_too_few_vectors_are_an_error(self):
        with pytest.raises(ValueError, match="3 vectors are too few for 4 components"):
            MixturePrior("mixture", 3, 4).fit(self.z[:3], 0)


def test_the_rate_is_the_kl_divergence():
    """By one draw of z each, its mean over many images is the closed form of eq. 2.1 within its noise."""
    generator = seeded()
    mean, log_variance = torch.randn(20_000, 3, generator=generator), torch.randn(20_000, 3, generator=generator) - 1
    z = mean + torch.randn(mean.shape, generator=generator) * (log_variance / 2).exp()
    latent = Latent(z, mean=mean, log_variance=log_variance)
    rate = rate_of(MixturePrior("normal", 3), latent)
    assert rate is not None
    assert rate.mean().item() == pytest.approx(kl_divergence(latent).item(), rel=0.02)


@pytest.mark.parametrize("architecture", [VQ, GAUSSIAN], ids=["vqvae", "gaussian_vae"])
def test_the_distortion_is_the_models_error(architecture, digits):
    model = build(architecture, seeded()).eval()
    prior = build_prior(Prior(kind="uniform" if architecture is VQ else "normal"), architecture).eval()
    images = torch.tensor(digits[:50])
    found = measure(model, prior, images, seed=4, variance=0.1)
    scores = evaluate(model, images, Loss(commitment_weight=0.25), None, {"evaluation": 4})
    assert found.distortion == pytest.approx(scores["unconditioned_per_pixel"], rel=1e-5)
    log_p = -256 * (found.distortion / 0.2 + 0.5 * math.log(2 * math.pi * 0.1))
    assert found.rate is not None and found.bound == pytest.approx(log_p - found.rate)
    if architecture is VQ:
        assert found.bits_per_code == pytest.approx(math.log2(12))
        assert found.bits_per_image == pytest.approx(16 * math.log2(12))


def test_a_vector_without_distribution_has_no_bits(digits):
    architecture = GAUSSIAN.model_copy(update={"family": "autoencoder"})
    model = build(architecture, seeded()).eval()
    found = measure(model, MixturePrior("normal", 3), torch.tensor(digits[:9]), 0, 0.1)
    assert (found.rate, found.bits_per_image, found.bits_per_code, found.bound) == (None, None, None, None)


@pytest.mark.parametrize(("layers", "kernel", "classes"), [(1, 3, 0), (4, 5, 0), (3, 3, 10)])
def test_its_cost_counts_its_parameters(layers, kernel, classes):
    prior = Prior(kind="pixelcnn", layers=layers, width=6, kernel=kernel, dropout=0.0)
    module = build_prior(prior, VQ, classes)
    assert sum(p.numel() for p in module.parameters()) == prior_cost(VQ, prior, classes).parameters


@pytest.mark.parametrize("kernel", [1, 4])
def test_a_kernel_without_centre_is_an_error(kernel):
    with pytest.raises(ValueError, match="must be odd and at least 3"):
        PixelCNN(12, 2, 4, kernel)


SEEDS = {"prior_batches": 1, "prior_dropout": 2}


def fit(epochs=3, dropout=0.3):
    """Return the training of a small PixelCNN on codes in which each row repeats."""
    codes = torch.randint(12, (60, 1, SIDE), generator=seeded(9)).repeat(1, SIDE, 1)
    prior = Prior(kind="pixelcnn", layers=2, width=8, kernel=3, dropout=dropout, lr=1e-2, epochs=epochs, batch_size=16)
    module = build_prior(prior, VQ, seed=3)
    return PriorFit(module, codes, torch.arange(45), torch.arange(45, 60), prior, SEEDS)


def test_training_learns_repeated_rows():
    trained = fit(epochs=40, dropout=0.0)
    while not trained.finished:
        trained.epoch()
    first, last = trained.history[0], trained.history[-1]
    assert last["selection_code"] < 0.6 * first["selection_code"]
    assert trained.best_total == min(epoch["selection_code"] for epoch in trained.history)


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_a_prior_resumes_to_the_same_digits(steps):
    """Dropout is drawn from the training's own generator, so that an interruption changes nothing."""

    class Killed(Exception):
        pass

    whole = fit()
    while not whole.finished:
        whole.epoch()
    part, done = fit(), 0

    def kill():
        nonlocal done
        done += 1
        if done == steps:
            raise Killed

    with pytest.raises(Killed):
        while True:
            part.epoch(kill)
    resumed = fit()
    resumed.resume(torch.load(_saved(part.state()), weights_only=True))
    while not resumed.finished:
        resumed.epoch()
    assert resumed.history == whole.history
    for name, value in whole.best_state.items():
        assert torch.equal(value, resumed.best_state[name])


def _saved(state):
    import io

    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return file


def test_dropout_leaves_the_global_generator(digits):
    """What others draw does not depend on whether a prior is trained before."""
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit().epoch()
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("kind", [*KINDS_OF["codes"], *KINDS_OF["vector"]])
def test_every_prior_gives_images(kind, digits):
    architecture = VQ if kind in KINDS_OF["codes"] else GAUSSIAN
    model = build(architecture, seeded()).eval()
    prior = Prior(kind=kind, layers=2, width=8, kernel=3, components=2)
    drawn = draw_latent(build_prior(prior, architecture).eval(), model, 5, seeded())
    images = decode(model, drawn.z)
    assert images.shape == (5, 1, 16, 16) and images.min() >= 0 and images.max() <= 1
    assert (drawn.codes is not None) == (kind in KINDS_OF["codes"])


def test_codes_are_the_models(digits):
    model, images = build(VQ, seeded()).eval(), torch.tensor(digits)
    codes = codes_of(model, images)
    assert codes.shape == (60, SIDE, SIDE)
    assert torch.equal(codes, model.encode(images.float() / 255, None).indices)
