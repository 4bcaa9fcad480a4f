"""The choice of the images that `data.limit` takes."""

from typing import Literal

import numpy as np

from sweeps.data import seeds
from sweeps.data.readers import Labels
from sweeps.data.splits import Indices

Sample = Literal["first", "random", "stratified"]
WITHOUT_CLASSES: tuple[Sample, ...] = ("first", "random")
WITH_CLASSES: tuple[Sample, ...] = (*WITHOUT_CLASSES, "stratified")


def chosen(n: int, limit: int | None, sample: Sample | None, seed: int | None, labels: Labels | None = None) -> Indices:
    """Return the places, ascending, of the images that are taken out of n.

    With one seed a smaller limit takes a part of the images of a larger one. A stratified sample takes images of each
    class in proportion to its size, by the divisor method of Webster and Sainte-Lague.

    Args:
        sample: None: the first images.
        seed: the sweep's seed; needed unless the first images are taken.
        labels: the class of each image, int16 (n,); needed for a stratified sample.

    Raises:
        ValueError: seed or labels are needed and missing.
    """
    if limit is None or limit >= n:
        return np.arange(n)
    if sample in (None, "first"):
        return np.arange(limit)
    if seed is None or (sample == "stratified" and labels is None):
        raise ValueError(f"a {sample} sample needs {'a seed' if seed is None else 'labels'}")
    order = np.random.default_rng(seeds.derive(seed, "sample")).permutation(n)
    if sample == "stratified" and labels is not None:
        order = _spread_over_classes(order, labels)
    return np.sort(order[:limit])


def _spread_over_classes(order: Indices, labels: Labels) -> Indices:
    """Return the images in another order, whose every beginning has the classes in proportion to their sizes."""
    by_class = np.argsort(labels[order], kind="stable")  # places in `order`, class by class
    sizes = np.unique(labels, return_counts=True)[1]
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    share = (rank + 0.5) / np.repeat(sizes, sizes)
    return order[by_class[np.lexsort((by_class, share))]]
