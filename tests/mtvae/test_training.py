"""The training loop: its batches, its best epoch, digits that repeat, and trainings that it refuses."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtvae.config import Architecture, Loss, Sizes, Training, resolve_sizes
from mtvae.evaluation import evaluate, mean_image_error, to_pixels
from mtvae.loop import Diverged, batches
from mtvae.model import build
from mtvae.training import Fit, TrainingSet
from sweeps.data import seeds

LOSS = Loss(w2=1.0, latent_weight=1.0, commitment_weight=0.25)


def images(n=40, side=16):
    return torch.randint(0, 256, (n, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def fit(epochs=3, n=40, lr=1e-3, seed=0, shuffle=True, family="vqvae"):
    architecture = Architecture(
        family=family, method="none", channels=1, side=16, sizes=resolve_sizes(family, 1, Sizes())
    )
    model = build(architecture, torch.Generator().manual_seed(0))
    data = TrainingSet(images(n), torch.arange(n - 8), torch.arange(n - 8, n))
    training = Training(epochs=epochs, batch_size=8, lr=lr, shuffle=shuffle)
    return Fit(model, data, LOSS, training, None, seeds.of_fold(seed, 0))


def run(f):
    while not f.finished:
        f.epoch()
    return f


@given(st.integers(2, 300), st.integers(2, 40))
def test_batches_hold_every_image_once(n, size):
    """Batches keep the order, have at least two images, and all but the last have the same size."""
    parts = batches(torch.arange(n), size)
    assert torch.cat(list(parts)).tolist() == list(range(n))
    assert min(map(len, parts)) >= 2
    assert max(map(len, parts)) <= size + 1
    assert all(len(part) == size for part in parts[:-1])


def test_the_same_seeds_give_the_same_digits():
    """Another seed gives other digits, and no training draws from the global generator."""
    before = torch.get_rng_state()
    first, second, other = run(fit()), run(fit()), run(fit(seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.history == second.history
    assert first.history != other.history


def test_losses_are_means_over_the_running_epoch():
    """After the last step of an epoch they are what its history says, and so they stay until the next step."""
    f, looks = fit(epochs=2), []
    assert f.losses() == {}
    f.epoch(lambda: looks.append(f.losses()))
    recorded = {name: f.history[0][f"train_{name}"] for name in f.weights}
    assert looks[0] != looks[-1]
    assert looks[-1] == pytest.approx(recorded) and f.losses() == recorded


def test_the_best_epoch_has_the_least_total():
    """The best epoch has the least validation total, and `load_best` restores its weights."""
    f = run(fit(epochs=6, lr=0.02))
    totals = [epoch["selection_total"] for epoch in f.history]
    assert f.best_epoch == 1 + totals.index(min(totals))
    f.load_best()
    scores = evaluate(f.model, f.data.images[f.data.selection], LOSS, None, f.seeds)
    assert scores["unconditioned_per_pixel"] + scores["latent_loss"] == pytest.approx(f.best_total, rel=1e-6)


def test_training_learns():
    """Twenty epochs on eight different images bring the error well below the mean image's."""
    f = run(fit(epochs=20, n=16, family="gaussian_vae"))
    first, last = f.history[0]["train_unconditioned"], f.history[-1]["train_unconditioned"]
    assert last < 0.7 * first


def test_divergence_is_an_error_not_a_row():
    with pytest.raises(Diverged, match="not finite in epoch"):
        run(fit(epochs=20, lr=1e30))


@pytest.mark.parametrize("n", [8, 9])
def test_too_few_images(n):
    with pytest.raises(ValueError, match="too few"):
        fit(n=n)


def test_scores_are_means_over_images(monkeypatch):
    """A short last batch counts by its images; the published run averaged over batches, which made cells 0.2 % low."""
    f = fit()
    monkeypatch.setattr("mtvae.evaluation.BATCH_SIZE", 7)
    scores = evaluate(f.model, images(40), LOSS, None, {"evaluation": 0})
    x = to_pixels(images(40))
    with torch.no_grad():
        error = (f.model.eval().decode(f.model.encode(x, None).z) - x).square().mean().item()
    assert scores["unconditioned_per_pixel"] == pytest.approx(error, rel=1e-5)
    assert scores["unconditioned_per_image"] == pytest.approx(error * 256, rel=1e-5)
    assert "conditioned_per_pixel" not in scores
    assert 1 <= scores["perplexity"] <= 128


def test_perplexity_counts_effective_codes():
    """A codebook with one near vector and otherwise far ones has perplexity one."""
    f = fit()
    f.model.latent_space.quantizer.codebook.data.fill_(1e3)
    f.model.latent_space.quantizer.codebook.data[3] = 0
    assert evaluate(f.model, images(40), LOSS, None, {"evaluation": 0})["perplexity"] == pytest.approx(1.0)


def test_mean_image_error():
    """The error is the mean square of test images around the training images' mean."""
    train, test = images(40)[:30], images(40)[30:]
    mean = to_pixels(train).mean(0)
    assert mean_image_error(images(40), torch.arange(30), torch.arange(30, 40)) == pytest.approx(
        (to_pixels(test) - mean).square().mean().item(), rel=1e-6
    )


def test_unshuffled_batches_ignore_the_seed():
    """Two seeds give the same digits without shuffling, because this model draws nothing else."""
    first = run(fit(shuffle=False))
    assert first.history == run(fit(shuffle=False, seed=1)).history
    assert math.isfinite(first.best_total)
