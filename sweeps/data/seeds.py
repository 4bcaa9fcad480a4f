"""Named seeds: a seed depends on the sweep's seed, the fold and its name, and not on worker, order or interruption.

Splits and training draw each thing from a generator of its own. An evaluation starts anew from the seed `evaluation`:
one generator draws z and the pixels in turn, unless `evaluation.draws` is `separate`.
"""

import zlib

from numpy.random import SeedSequence

PER_FOLD = ("selection", "init", "batches", "sampler", "latent", "evaluation")
"""Names whose seed differs between folds. `fold`, which splits the images, and `test_half` are the same for all."""


def derive(seed: int, name: str, fold: int | None = None) -> int:
    """Return the seed of `name` in `fold` (None: the same in all folds), in [0, 2^63).

    It does not depend on the configuration. In one fold all configurations see the same batches and start their draws
    from the same seeds, so that differences within a fold come from the configurations.
    """
    spawn_key = (zlib.crc32(name.encode()), *(() if fold is None else (fold,)))
    return int(SeedSequence(seed, spawn_key=spawn_key).generate_state(1, "uint64")[0] >> 1)


OF_PRIOR = ("prior_init", "prior_batches", "prior_dropout", "prior_latent", "prior_mixture", "prior_evaluation")
"""Names of a prior's seeds, which differ between folds too."""

SAMPLES = "prior_samples"
"""The name of the seed of samples from a prior."""


def of_fold(
    seed: int, fold: int, same_init: bool = False, separate_draws: bool = False, drawn_half: bool = False
) -> dict[str, int]:
    """Return all seeds of one fold by name.

    Args:
        same_init: every fold gets the same initial values.
        separate_draws: at evaluation the pixels are drawn from a generator of their own. Otherwise `evaluation` draws z
            and the pixels in turn.
        drawn_half: the validation set is a half of the official test part that `test_half` draws.
    """
    named = {"fold": derive(seed, "fold")} | {name: derive(seed, name, fold) for name in PER_FOLD}
    if separate_draws:
        named["evaluation_sampler"] = derive(seed, "evaluation_sampler", fold)
    if drawn_half:
        named["test_half"] = derive(seed, "test_half")
    return named | ({"init": derive(seed, "init")} if same_init else {})
