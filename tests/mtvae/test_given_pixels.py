"""Samples given pixels: their scores against brute force and known distributions."""

import math

import pytest
import torch

from mtvae.config import Architecture, GaussianSizes, Prior
from mtvae.model import build
from mtvae.prior.fitting import build_prior
from mtvae.prior.given_pixels import can_reveal, conditioning_of, crps, measure_given_pixels

ARCHITECTURE = Architecture(
    family="gaussian_vae", method="single_decoder", channels=1, side=16, sizes=GaussianSizes(latent=3, hidden=(4, 4))
)


@pytest.fixture
def model():
    return build(ARCHITECTURE, torch.Generator().manual_seed(0)).eval()


@pytest.fixture
def prior():
    return build_prior(Prior(kind="normal"), ARCHITECTURE).eval()


def test_crps_is_its_definition():
    """The sorted form equals the double sum over pairs of different samples."""
    samples = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    truth = torch.linspace(-1, 1, 5, dtype=torch.float64)
    pairs = (samples[:, None] - samples[None]).abs().sum((0, 1)) / (7 * 6)
    assert crps(samples, truth).numpy() == pytest.approx(((samples - truth).abs().mean(0) - pairs / 2).numpy())


def test_crps_of_a_normal_distribution():
    """For N(0, 1) and the truth 0 it is sqrt(2/pi) - 1/sqrt(pi) (Gneiting and Raftery 2007), whatever the ensemble."""
    samples = torch.randn(4, 100_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = crps(samples, torch.zeros(100_000, dtype=torch.float64)).mean().item()
    assert found == pytest.approx(math.sqrt(2 / math.pi) - 1 / math.sqrt(math.pi), abs=0.005)


@pytest.mark.parametrize("count", [9, 36])
def test_exact_reveals_a_square_grid(count):
    found = conditioning_of("exact", count, 16)
    assert len(found.positions) ** 2 == count
    assert can_reveal("exact", count, 16) and not can_reveal("exact", 18, 16) and can_reveal("uniform", 18, 16)


@pytest.mark.parametrize("sampler", ["exact", "uniform", "gaussian"])
def test_some_pixel_must_stay_hidden(sampler):
    """With all pixels revealed there is nothing whose error, coverage or CRPS could be told."""
    assert not can_reveal(sampler, 256, 16) and not can_reveal(sampler, 300, 16) and can_reveal("uniform", 255, 16)


def test_many_draws_are_decoded_in_parts(model, prior, digits, monkeypatch):
    """However many draws there are, at most `DECODED` images are decoded at a time, if an image has so few draws."""
    sizes = []
    decode = model.decode_conditioned
    monkeypatch.setattr(model, "decode_conditioned", lambda z, c: sizes.append(len(z)) or decode(z, c), raising=False)
    measure_given_pixels(model, prior, torch.tensor(digits[:40]), "uniform", 9, draws=100, seed=0)
    assert max(sizes) == 1000 and sum(sizes) == 4000


def test_scores_by_brute_force(model, prior, digits):
    """A loop over images gives the same means; the first batch and the second are joined."""
    images = torch.tensor(digits).repeat(2, 1, 1, 1)[:70]
    found = measure_given_pixels(model, prior, images, "uniform", 18, draws=4, seed=3)
    assert found.pixels == 18 and found.revealed_error is not None
    share = 18 / 256
    none = measure_given_pixels(model, prior, images, "uniform", 0, draws=4, seed=3)
    assert none.revealed_error is None
    total = share * found.revealed_error + (1 - share) * found.hidden_error
    assert total == pytest.approx(none.hidden_error, rel=0.5)  # an untrained decoder hardly looks at the pixels
    assert 0 <= found.coverage <= 1 and found.spread > 0 and found.crps > 0


def test_a_decoder_that_knows_the_image(model, prior, digits, monkeypatch):
    """Samples that are the image itself have no error, no spread, and cover it."""
    images = torch.tensor(digits)[:5]
    x = images.float() / 255

    def decode(z, condition):
        return x.repeat_interleave(len(z) // 5, 0)

    monkeypatch.setattr(model, "decode_conditioned", decode)
    found = measure_given_pixels(model, prior, images, "uniform", 9, draws=3, seed=0)
    assert (found.revealed_error, found.hidden_error, found.spread, found.coverage) == (0, 0, 0, 1)
    assert found.crps == pytest.approx(0, abs=1e-7)


def test_calibrated_samples_cover_nine_tenths(model, prior, monkeypatch):
    """Where images and samples are of one distribution, the central 90 % of many samples hold 90 % of the images."""
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(256, (40, 1, 16, 16), generator=generator, dtype=torch.uint8)

    def decode(z, condition):
        return torch.randint(256, (len(z), 1, 16, 16), generator=generator).float() / 255

    monkeypatch.setattr(model, "decode_conditioned", decode)
    found = measure_given_pixels(model, prior, images, "uniform", 9, draws=100, seed=0)
    assert found.coverage == pytest.approx(0.9, abs=0.03)
    assert found.crps == pytest.approx(
        1 / 6, abs=0.01
    )  # of a uniform distribution: E|X - x| - E|X - X'| / 2 = 1/3 - 1/6


@pytest.mark.parametrize("kind", ["gaussian", "exact", "uniform"])
def test_every_sampler_and_repeats(model, prior, digits, kind):
    images = torch.tensor(digits)[:5]
    first, second = (measure_given_pixels(model, prior, images, kind, 9, draws=3, seed=7) for _ in range(2))
    assert first == second
