"""Samplers reveal the right number of pixels at the right positions, drawn anew for every image and pass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mtvae.conditioning import ConditionSampler, exact_positions, fixed_count, power_law_counts, zero_condition
from mtvae.config import Conditioning


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sampler(name="uniform", exponent=None, side=28, **options):
    return ConditionSampler(Conditioning(sampler=name, exponent=exponent, **options), side)


EVERY = [  # every sampler x count that a method takes, and those of the published run
    ("exact", {}),
    ("exact", {"positions": (5, 10, 12, 15)}),
    ("uniform", {}),
    ("uniform", {"count": 39, "replacement": True}),
    ("uniform", {"exponent": 20.0}),
    ("uniform", {"exponent": 2.0, "replacement": True}),
    ("gaussian", {"exponent": 20.0}),
    ("gaussian", {"exponent": 1.0}),
]


@pytest.mark.parametrize(("side", "count"), [(16, 9), (28, 36), (32, 49), (64, 196)])
def test_fixed_counts(side, count):
    assert fixed_count(side) == count


@given(st.integers(0, 2**32), st.sampled_from([16, 28]), st.sampled_from([1, 3]), st.sampled_from(EVERY))
@settings(max_examples=60, deadline=None)
def test_condition_is_the_masked_image_and_the_mask(seed, side, channels, kind):
    """Every sampler reveals all channels of a position or none, and never more pixels than were drawn."""
    name, options = kind
    images = torch.rand(5, channels, side, side, generator=seeded(seed)) + 0.01  # only masked pixels are zero
    s = sampler(name, side=side, **options)
    condition = s(images, seeded(seed))
    assert condition.shape == (5, channels + 1, side, side)
    mask = condition[:, -1:]
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(condition[:, :-1], images * mask)
    counts = s.counts(5, seeded(seed))
    revealed = mask.sum((1, 2, 3)).long()
    assert torch.equal(revealed, counts) or (s.replacement and bool((revealed <= counts).all()))


@pytest.mark.parametrize(
    ("side", "lines"),
    [(28, (2, 7, 11, 16, 21, 25)), (16, (2, 8, 13)), (32, exact_positions(32)), (64, exact_positions(64))],
)
def test_exact_reveals_the_same_even_grid_always(side, lines):
    """The positions are the same in every image and every draw."""
    expected = torch.zeros(side, side)
    for row in lines:
        for col in lines:
            expected[row, col] = 1
    s, generator = sampler("exact", side=side), seeded()
    assert exact_positions(side) == lines
    for mask in [*s.mask(3, generator), *s.mask(2, generator)]:
        assert torch.equal(mask[0], expected)
    assert s.mask(1, generator).sum() == fixed_count(side)


def test_the_published_runs_sixteen_pixels():
    mask = sampler("exact", positions=(5, 10, 15, 20)).mask(1, seeded())[0, 0]
    assert mask.nonzero().tolist() == [[r, c] for r in (5, 10, 15, 20) for c in (5, 10, 15, 20)]


def test_draws_with_replacement_repeat_as_expected():
    """39 draws of 784 pixels give 784 (1 - (783/784)^39) = 38.06 different pixels on average."""
    revealed = sampler(count=39, replacement=True).mask(4000, seeded(7)).sum((1, 2, 3))
    assert revealed.max() <= 39
    assert revealed.mean().item() == pytest.approx(784 * (1 - (783 / 784) ** 39), abs=0.05)


def test_gaussian_positions_are_clamped_normals():
    """Rows and columns are distributed as floor(clamp(N(14, 28/6), 0, 27)) and are not correlated."""
    s = sampler("gaussian", exponent=20.0)
    flat = s.positions(300, seeded(4)).flatten()
    row, col = flat // 28, flat % 28
    edges = np.concatenate([[-np.inf], np.arange(1, 28), [np.inf]])
    probability = np.diff(stats.norm(14, 28 / 6).cdf(edges))
    for line in (row, col):
        observed = np.bincount(line.numpy(), minlength=28)
        assert stats.chisquare(observed, probability * len(flat)).pvalue > 0.01
    assert abs(np.corrcoef(row, col)[0, 1]) < 0.01


@given(st.integers(0, 2**32), st.sampled_from([16, 28, 32]))
@settings(max_examples=25, deadline=None)
def test_uniform_reveals_exactly_the_count(seed, side):
    mask = sampler(side=side).mask(6, seeded(seed))
    assert mask.sum((1, 2, 3)).tolist() == [fixed_count(side)] * 6


def test_every_image_and_pass_draws_a_mask():
    """Eight masks of four images in two passes all differ, and the same generator repeats them."""
    s, generator = sampler(), seeded()
    first, second = s.mask(4, generator), s.mask(4, generator)
    masks = [tuple(m.flatten().tolist()) for m in torch.cat([first, second])]
    assert len(set(masks)) == 8
    assert torch.equal(first, s.mask(4, seeded()))


def test_uniform_positions_are_equally_likely():
    """A chi-squared test over 784 positions finds no difference; the seed is fixed, so the result never varies."""
    hits = sampler().mask(4000, seeded(5)).sum((0, 1)).flatten()
    assert stats.chisquare(hits.numpy()).pvalue > 0.01


@pytest.mark.parametrize("exponent", [20.0, 40.0, 60.0])
def test_power_law_counts_against_scipy(exponent):
    """Counts, jittered inside their pixel, follow 1 - X ~ Beta(1, a) by a Kolmogorov-Smirnov test."""
    counts = power_law_counts(20_000, 784, exponent, seeded(1)).double()
    jittered = (counts + torch.rand(20_000, generator=seeded(2), dtype=torch.float64)) / 784
    smooth = stats.beta(1, exponent)
    exact = stats.kstest(jittered.numpy(), smooth.cdf)
    assert exact.statistic < 0.015  # the jitter itself costs up to half a pixel's probability


@pytest.mark.parametrize(
    ("pixels", "exponent", "mean", "none"),
    [(784, 40, 18.6, 0.050), (784, 60, 12.4, 0.074), (256, 40, 5.8, 0.145), (256, 60, 3.7, 0.209)],
)
def test_power_law_counts_have_the_stated_mean(pixels, exponent, mean, none):
    """The mean count and the share of images without any pixel are the documented ones."""
    counts = power_law_counts(200_000, pixels, exponent, seeded(3)).double()
    assert counts.mean().item() == pytest.approx(mean, abs=0.1)
    assert (counts == 0).double().mean().item() == pytest.approx(none, abs=0.003)
    assert counts.min() >= 0
    assert counts.max() <= pixels


def test_samplers_describe_themselves():
    assert sampler().describe() == "uniform, 36 draws of 28x28"
    assert sampler(exponent=40.0).describe() == "uniform, power law 40 of 28x28"
    assert sampler("gaussian", exponent=20.0).describe() == "gaussian, power law 20 with replacement of 28x28"
    assert sampler("exact", side=16).describe() == "exact, 9 draws at [2, 8, 13] of 16x16"
    assert sampler(count=39, replacement=True).describe() == "uniform, 39 draws with replacement of 28x28"


def test_zero_condition():
    condition = zero_condition(torch.rand(2, 3, 16, 16))
    assert condition.shape == (2, 4, 16, 16)
    assert not condition.any()
