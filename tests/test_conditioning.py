"""Samplers: counts, positions, one draw per image, drawn anew, and the power law against scipy."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mtvae.conditioning import ConditionSampler, fixed_count, power_law_counts, zero_condition
from mtvae.config import Conditioning


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sampler(name="uniform", exponent=None, side=28):
    return ConditionSampler(Conditioning(sampler=name, exponent=exponent), side)


@pytest.mark.parametrize(("side", "count"), [(16, 9), (28, 36), (32, 49), (64, 196)])
def test_fixed_counts(side, count):
    assert fixed_count(side) == count


@given(st.integers(0, 2**32), st.sampled_from([16, 28]), st.sampled_from([None, 1.0, 20.0, 60.0]))
@settings(max_examples=25, deadline=None)
def test_condition_is_the_masked_image_and_the_mask(seed, side, exponent):
    images = torch.rand(5, 3, side, side, generator=seeded(seed)) + 0.01  # no pixel is zero by itself
    condition = sampler(exponent=exponent, side=side)(images, seeded(seed))
    assert condition.shape == (5, 4, side, side)
    mask = condition[:, -1:]
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(condition[:, :-1], images * mask)  # every channel of a position, or none


@given(st.integers(0, 2**32), st.sampled_from([16, 28, 32]))
@settings(max_examples=25, deadline=None)
def test_uniform_reveals_exactly_the_count(seed, side):
    mask = sampler(side=side).mask(6, seeded(seed))
    assert mask.sum((1, 2, 3)).tolist() == [fixed_count(side)] * 6


def test_every_image_and_every_pass_has_its_own_mask():
    s, generator = sampler(), seeded()
    first, second = s.mask(4, generator), s.mask(4, generator)
    masks = [tuple(m.flatten().tolist()) for m in torch.cat([first, second])]
    assert len(set(masks)) == 8
    assert torch.equal(first, s.mask(4, seeded()))


def test_uniform_positions_are_equally_likely():
    """Chi-squared over 784 positions; the seed is fixed, so this cannot flicker."""
    hits = sampler().mask(4000, seeded(5)).sum((0, 1)).flatten()
    assert stats.chisquare(hits.numpy()).pvalue > 0.01


@pytest.mark.parametrize("exponent", [20.0, 40.0, 60.0])
def test_power_law_counts_against_scipy(exponent):
    """1 - X ~ Beta(1, a): Kolmogorov-Smirnov on counts jittered inside their pixel."""
    counts = power_law_counts(20_000, 784, exponent, seeded(1)).double()
    jittered = (counts + torch.rand(20_000, generator=seeded(2), dtype=torch.float64)) / 784
    smooth = stats.beta(1, exponent)
    exact = stats.kstest(jittered.numpy(), smooth.cdf)
    assert exact.statistic < 0.015  # the jitter itself costs up to half a pixel's probability


@pytest.mark.parametrize(
    ("pixels", "exponent", "mean", "none"),
    [(784, 40, 18.6, 0.050), (784, 60, 12.4, 0.074), (256, 40, 5.8, 0.145), (256, 60, 3.7, 0.209)],
)
def test_power_law_counts_have_the_stated_mean_and_share_of_none(pixels, exponent, mean, none):
    counts = power_law_counts(200_000, pixels, exponent, seeded(3)).double()
    assert counts.mean().item() == pytest.approx(mean, abs=0.1)
    assert (counts == 0).double().mean().item() == pytest.approx(none, abs=0.003)
    assert counts.min() >= 0
    assert counts.max() <= pixels


def test_the_description_comes_from_the_object():
    assert sampler().describe() == "uniform, 36 pixels of 28x28"
    assert sampler(exponent=40.0).describe() == "uniform, power law 40 of 28x28"


def test_zero_condition():
    condition = zero_condition(torch.rand(2, 3, 16, 16))
    assert condition.shape == (2, 4, 16, 16)
    assert not condition.any()
