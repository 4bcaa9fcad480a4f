"""Which images `data.limit` takes, for any classes and sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.data.sampling import chosen

labels_drawn = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda labels: np.array(labels, np.int16))


@settings(deadline=None)
@given(labels_drawn, st.integers(1, 70), st.sampled_from(["first", "random", "stratified"]), st.integers(0, 9))
def test_a_sample_has_different_places_in_order(labels, limit, sample, seed):
    """It has `limit` images, or all, and the same seed takes the same ones."""
    n = len(labels)
    places = chosen(n, limit, sample, seed, labels)
    assert len(places) == min(n, limit)
    assert places.tolist() == sorted(set(places.tolist()))
    assert set(places.tolist()) <= set(range(n))
    assert np.array_equal(places, chosen(n, limit, sample, seed, labels))
    if sample == "first" or limit >= n:
        assert np.array_equal(places, np.arange(min(n, limit)))


@settings(deadline=None)
@given(labels_drawn, st.integers(1, 59), st.sampled_from(["random", "stratified"]))
def test_a_larger_limit_only_adds_images(labels, limit, sample):
    smaller, larger = (set(chosen(len(labels), k, sample, 3, labels).tolist()) for k in (limit, limit + 1))
    assert smaller <= larger


@settings(deadline=None)
@given(labels_drawn, st.integers(1, 60))
def test_stratified_keeps_the_proportions(labels, limit):
    """Every class gets its share of the images, to within one image for each class."""
    places = chosen(len(labels), limit, "stratified", 5, labels)
    sizes = np.bincount(labels, minlength=5)
    taken = np.bincount(labels[places], minlength=5)
    quota = sizes * len(places) / len(labels)
    assert np.abs(taken - quota).max() <= max(1, np.count_nonzero(sizes) / 2)
    equal = sizes[sizes > 0]
    if len(set(equal.tolist())) == 1:
        assert np.ptp(taken[sizes > 0]) <= 1


def test_a_folder_sorted_by_class_is_balanced():
    """The issue's folder: 2,000 of 50,000 images in ten classes of 5,000, one after another."""
    labels = np.repeat(np.arange(10, dtype=np.int16), 5000)
    assert np.bincount(labels[chosen(50_000, 2000, "stratified", 0, labels)]).tolist() == [200] * 10
    drawn = np.bincount(labels[chosen(50_000, 2000, "random", 0, labels)])
    assert 140 < drawn.min() < drawn.max() < 260


@pytest.mark.parametrize(("sample", "seed", "lacks"), [("random", None, "seed"), ("stratified", 1, "labels")])
def test_what_a_sample_needs(sample, seed, lacks):
    with pytest.raises(ValueError, match=lacks):
        chosen(5, 2, sample, seed)


def test_another_seed_takes_other_images():
    assert not np.array_equal(chosen(1000, 20, "random", 1), chosen(1000, 20, "random", 2))
