"""The folds, and the split of each fold's training part into training set and validation set."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mtvae.config import Section
from sweeps.data import seeds

Indices = NDArray[np.int64]
NamedSelection = Literal["fold", "test_half", "random_test_half"]
HALVES = ("test_half", "random_test_half")
"""The validation sets that are half of the official test part."""


class Folds(Section):
    """Settings of how the images are split (thesis, 3.4.3)."""

    n_splits: Annotated[int, Field(ge=2, le=1000)] = Field(5, description="folds of scikit-learn's KFold")
    shuffle: bool = Field(True, description="seeded random folds; false: contiguous ones")
    selection: Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(gt=0)] | NamedSelection = Field(
        0.1,
        description="the validation set: a share or a number of the fold's training part, `fold`: the test fold "
        "itself (the thesis's reading, optimistic), `test_half`: the first half of the official test part, or "
        "`random_test_half`: a half of it drawn by the sweep's seed, the same in all folds (the published run drew its "
        "half), for which the whole part is kept in memory",
    )
    same_init: bool = Field(
        False, description="one initialisation for all folds (the published run); false: one for each fold"
    )


class FoldSizes(NamedTuple):
    """The numbers of images in training set, validation set and test fold."""

    train: int
    selection: int
    test: int


@dataclass(frozen=True)
class Split:
    """Ascending indices of the images in training set, validation set (`selection`) and test fold."""

    train: Indices
    selection: Indices
    test: Indices

    @property
    def hash(self) -> str:
        """Hash of all three parts. Units with the same hash saw the same split."""
        digest = hashlib.sha256()
        for part in (self.train, self.selection, self.test):
            digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


def fold_sizes(n: int, folds: Folds, fold: int, test_half: int = 0) -> FoldSizes:
    """Compute the sizes of `split`'s parts without scikit-learn, for a plan."""
    test = n // folds.n_splits + (fold < n % folds.n_splits)  # as in KFold, the first folds get the remainder
    rest = n - test
    if folds.selection == "fold":
        return FoldSizes(rest, test, test)
    if isinstance(folds.selection, str):  # one of HALVES
        return FoldSizes(rest, test_half, test)
    selection = round(folds.selection * rest) if isinstance(folds.selection, float) else folds.selection
    return FoldSizes(rest - selection, selection, test)


FoldNumbers = NDArray[np.int16]
"""The number of each image's test fold, int16 (n,)."""


class FoldDraw(NamedTuple):
    """The values that decide which test fold each image is in."""

    n_splits: int
    shuffle: bool
    seed: int

    @staticmethod
    def of(folds: Folds, seed: int) -> "FoldDraw":
        """Return the draw of these settings and this seed of a sweep."""
        return FoldDraw(folds.n_splits, folds.shuffle, seed)


def fold_numbers(n: int, drawn: FoldDraw) -> FoldNumbers:
    """Return the number, from 0, of the test fold of each of n images, by scikit-learn's KFold: int16 (n,).

    scikit-learn takes 110 MB of memory, so this is computed once where the images are read, and not in every worker.
    """
    from sklearn.model_selection import KFold

    random_state = seeds.derive(drawn.seed, "fold") % 2**32 if drawn.shuffle else None
    numbers = np.empty(n, np.int16)
    folds = KFold(drawn.n_splits, shuffle=drawn.shuffle, random_state=random_state)
    for fold, (_, test) in enumerate(folds.split(np.empty(n, np.int8))):
        numbers[test] = fold
    return numbers


def split(
    n: int,
    folds: Folds,
    seed: int,
    fold: int,
    test_half: int = 0,
    numbers: FoldNumbers | None = None,
    test_images: int = 0,
) -> Split:
    """Split `n` images for fold number `fold` (from 0). The folds depend on no seed but the sweep's.

    Args:
        test_half: the number of images of the official test part that validate, if `folds` says so.
        numbers: `fold_numbers` of the n images; None: computed here.
        test_images: the number of images of the official test part, from which `random_test_half` draws. Images of
            the official test part follow the n.
    """
    in_test = (fold_numbers(n, FoldDraw.of(folds, seed)) if numbers is None else numbers) == fold
    rest, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    if folds.selection == "fold":
        return Split(rest, test, test)
    if folds.selection == "test_half":
        return Split(rest, np.arange(n, n + test_half), test)
    if folds.selection == "random_test_half":
        order = np.random.default_rng(seeds.derive(seed, "test_half")).permutation(test_images)
        return Split(rest, n + np.sort(order[:test_half]), test)
    order = np.random.default_rng(seeds.of_fold(seed, fold)["selection"]).permutation(len(rest))
    n_selection = fold_sizes(n, folds, fold).selection
    return Split(np.sort(rest[order[n_selection:]]), np.sort(rest[order[:n_selection]]), test)
