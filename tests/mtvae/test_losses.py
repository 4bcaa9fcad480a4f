"""Weights of the training loss agree with hand-made ones (fixed) and with the author's package `softadapt`."""

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtvae.config import Architecture, Loss, Sizes, SoftAdapt, resolve_sizes
from mtvae.losses import FixedWeighting, SoftAdaptWeighting, fixed_weights, weighting

NAMES = ("unconditioned", "conditioned", "latent")
CPU = torch.device("cpu")


def soft_adapt(variant="loss_weighted", beta=0.1, every=8, order=5):
    config = SoftAdapt(variant=variant, beta=beta, every=every, accuracy_order=order)
    return SoftAdaptWeighting(config, NAMES, CPU)


def feed(adapt, losses):
    """Feed rows of losses as steps, and return the totals."""
    totals = []
    for row in losses:
        totals.append(adapt(dict(zip(NAMES, row, strict=True))).item())
        adapt.after_step()
    return totals


def author_weights(variant, beta, order, losses):
    """Return the weights of the package `softadapt` for losses (steps, terms)."""
    os.environ["KERAS_BACKEND"] = "torch"
    library = pytest.importorskip("softadapt", reason="softadapt (a test extra) is not installed")
    kinds = {
        "original": library.SoftAdapt,
        "normalised": library.NormalizedSoftAdapt,
        "loss_weighted": library.LossWeightedSoftAdapt,
    }
    columns = [losses[:, i] for i in range(losses.shape[1])]
    return kinds[variant](beta=beta, accuracy_order=order).get_component_weights(*columns, verbose=False).detach()


falling = st.lists(st.lists(st.floats(0.1, 10), min_size=3, max_size=3), min_size=8, max_size=8)


@given(falling, st.sampled_from(["original", "loss_weighted"]), st.sampled_from([1, 3, 5]), st.floats(-0.5, 0.5))
@settings(max_examples=40, deadline=None)
def test_soft_adapt_against_its_authors_package(rows, variant, order, beta):
    losses = torch.tensor(rows)
    ours = soft_adapt(variant, beta, order=order).renewed(losses)
    assert torch.allclose(ours, author_weights(variant, beta, order, losses), rtol=1e-4, atol=1e-6)


def test_normalised_slopes_where_all_rise():
    """The normalised variant equals the package's while all losses rise, and differs where all fall.

    The package divides by the signed sum of the slopes, ours by the sum of their absolute values. Where all losses
    fall, the package's sign turns and it favours the term that falls most; ours favours the term that falls least.
    """
    rising = torch.arange(8.0)[:, None] * torch.tensor([1.0, 2.0, 5.0])
    ours = soft_adapt("normalised").renewed(rising)
    assert torch.allclose(ours, author_weights("normalised", 0.1, 5, rising), rtol=1e-4)
    falling = soft_adapt("normalised").renewed(10 - rising)
    assert falling.argmax() == 0  # the term that falls least
    assert author_weights("normalised", 0.1, 5, 10 - rising).argmax() == 2


def test_weights_begin_at_one():
    """Weights are one until the first renewal, and sum to one afterwards."""
    adapt = soft_adapt(every=4, order=3)
    rows = torch.rand(10, 3, generator=torch.Generator().manual_seed(0)) + 0.5
    totals = feed(adapt, rows)
    assert totals[:4] == pytest.approx(rows[:4].sum(1).tolist())
    second = adapt.renewed(rows[:4])  # from the losses since the last renewal
    assert totals[4:8] == pytest.approx((rows[4:8] * second).sum(1).tolist())
    assert sum(adapt.weights().values()) == pytest.approx(1, abs=1e-6)
    assert adapt.filled == 2


def test_weights_of_two_lines():
    """Two terms with slopes of 1 and -1 per step get weights in the ratio 1 to exp(-2 beta)."""
    adapt = SoftAdaptWeighting(SoftAdapt(variant="original", beta=0.5, every=6, accuracy_order=5), ("a", "b"), CPU)
    line = torch.arange(6.0)
    weights = adapt.renewed(torch.stack([line, 5 - line], 1))
    expected = torch.tensor([1.0, torch.e**-1.0]) / (1 + torch.e**-1.0)
    assert torch.allclose(weights, expected, atol=1e-5)


def test_gradients_pass_the_weights_only():
    """The gradient is that of the weighted terms, and the remembered losses hold none."""
    adapt = soft_adapt(every=2, order=1)
    leaf = torch.ones(3, requires_grad=True)
    adapt(dict(zip(NAMES, leaf * torch.tensor([1.0, 2.0, 3.0]), strict=True))).backward()
    assert leaf.grad.tolist() == [1.0, 2.0, 3.0]
    assert not adapt.window.requires_grad


@pytest.mark.parametrize(
    ("family", "method", "expected"),
    [
        ("vqvae", "none", {"unconditioned": 2.0, "latent": 5.0}),
        ("vqvae", "conditioned", {"conditioned": 2.0, "latent": 5.0}),
        ("gaussian_vae", "single_decoder", {"conditioned": 2.0, "latent": 5.0}),
        ("gaussian_vae", "multi_decoder", {"unconditioned": 2.0, "conditioned": 3.0, "latent": 5.0}),
        ("autoencoder", "multi_decoder", {"unconditioned": 2.0, "conditioned": 3.0}),
    ],
)
def test_fixed_weights(family, method, expected):
    a = Architecture(family=family, method=method, channels=1, side=16, sizes=resolve_sizes(family, 1, Sizes()))
    weights = fixed_weights(a, Loss(w1=2.0, w2=3.0, latent_weight=5.0, commitment_weight=0.25))
    assert weights == expected
    adaptive = weighting(SoftAdapt(), weights, CPU)
    assert isinstance(adaptive, FixedWeighting)
    assert adaptive({name: torch.tensor(1.0) for name in weights}).item() == sum(expected.values())
