"""The folds and, inside each fold's training part, the images that pick the epoch."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mtvae.config import Section
from sweeps.data import seeds

Indices = NDArray[np.int64]


class Folds(Section):
    """How the images are split (3.4.3)."""

    n_splits: Annotated[int, Field(ge=2, le=1000)] = Field(5, description="folds of scikit-learn's KFold")
    shuffle: bool = Field(True, description="seeded random folds; false: contiguous ones")
    selection: Annotated[float, Field(gt=0, lt=1)] | Annotated[int, Field(gt=0)] | Literal["fold", "test_half"] = Field(
        0.1,
        description="images that pick the epoch: a share or a number of the fold's training part, `fold`: the "
        "tabulated fold itself (the thesis's reading, optimistic), or `test_half`: half of the official test part (the "
        "published run)",
    )
    same_init: bool = Field(
        False, description="one initialisation for all folds (the published run); false: each fold its own"
    )


class FoldSizes(NamedTuple):
    """Numbers of images: trained on, picking the epoch, tabulated."""

    train: int
    selection: int
    test: int


@dataclass(frozen=True)
class Split:
    """Indices into the images, each ascending: trained on, picking the epoch, tabulated."""

    train: Indices
    selection: Indices
    test: Indices

    @property
    def hash(self) -> str:
        """Of all three parts: two units with one hash saw the same split."""
        digest = hashlib.sha256()
        for part in (self.train, self.selection, self.test):
            digest.update(len(part).to_bytes(8, "little") + part.astype("<i8").tobytes())
        return digest.hexdigest()[:16]


def fold_sizes(n: int, folds: Folds, fold: int, test_half: int = 0) -> FoldSizes:
    """The sizes of `split`'s parts, by arithmetic (for a plan: needs no scikit-learn)."""
    test = n // folds.n_splits + (fold < n % folds.n_splits)  # as KFold: the first folds take the remainder
    rest = n - test
    if folds.selection == "fold":
        return FoldSizes(rest, test, test)
    if folds.selection == "test_half":
        return FoldSizes(rest, test_half, test)
    selection = round(folds.selection * rest) if isinstance(folds.selection, float) else folds.selection
    return FoldSizes(rest - selection, selection, test)


FoldNumbers = NDArray[np.int16]
"""The number of the fold that tabulates each image."""


class FoldDraw(NamedTuple):
    """What decides which fold tabulates which image."""

    n_splits: int
    shuffle: bool
    seed: int

    @staticmethod
    def of(folds: Folds, seed: int) -> "FoldDraw":
        """Return what these settings and this sweep's seed draw."""
        return FoldDraw(folds.n_splits, folds.shuffle, seed)


def fold_numbers(n: int, drawn: FoldDraw) -> FoldNumbers:
    """Number the folds of scikit-learn's KFold: for each of n images the fold, from 0, that tabulates it, int16 (n,).

    scikit-learn takes 110 MB of memory, so this is computed once where the images are read, and not in every worker.
    """
    from sklearn.model_selection import KFold

    random_state = seeds.derive(drawn.seed, "fold") % 2**32 if drawn.shuffle else None
    numbers = np.empty(n, np.int16)
    folds = KFold(drawn.n_splits, shuffle=drawn.shuffle, random_state=random_state)
    for fold, (_, tabulated) in enumerate(folds.split(np.empty(n, np.int8))):
        numbers[tabulated] = fold
    return numbers


def split(n: int, folds: Folds, seed: int, fold: int, test_half: int = 0, numbers: FoldNumbers | None = None) -> Split:
    """Fold number `fold` (from 0) of `n` images. The folds depend on the sweep's seed, and on nothing else.

    Args:
        test_half: images of the official test part that pick the epoch, where the folds say so. They come after the n.
        numbers: `fold_numbers` of the n images; None: computed here.
    """
    tabulated = (fold_numbers(n, FoldDraw.of(folds, seed)) if numbers is None else numbers) == fold
    rest, test = np.flatnonzero(~tabulated), np.flatnonzero(tabulated)
    if folds.selection == "fold":
        return Split(rest, test, test)
    if folds.selection == "test_half":
        return Split(rest, np.arange(n, n + test_half), test)
    order = np.random.default_rng(seeds.of_fold(seed, fold)["selection"]).permutation(len(rest))
    n_selection = fold_sizes(n, folds, fold).selection
    return Split(np.sort(rest[order[n_selection:]]), np.sort(rest[order[:n_selection]]), test)
