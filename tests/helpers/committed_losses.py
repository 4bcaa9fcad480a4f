"""Train a few steps of every family x method, with and without SoftAdapt, and commit the losses.

`committed_losses.json` beside this file holds them. If you mean to change the numbers, renew the file, read the
difference line by line, because only the numbers that you meant to change may differ, and say why in the commit:

    python tests/helpers/committed_losses.py

The trainings use double precision. In single precision rounding alone moves these numbers by up to 2 % after four
steps: AdamW divides a gradient by its own size, so a gradient that is nothing but rounding (of a bias before batch
normalisation) makes a whole step.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from mtvae.conditioning import ConditionSampler
from mtvae.config import FAMILIES, METHODS, terms
from mtvae.model import build
from mtvae.runtime.cuda_graph import Record
from mtvae.runtime.determinism import reproducible
from mtvae.training import Fit, TrainingSet
from sweeps.config.rules import resolve
from sweeps.config.settings import Settings
from sweeps.data import seeds

FILE = Path(__file__).with_suffix(".json")
STEPS, BATCH, SIDE, SELECTION = 4, 8, 16, 16


def kinds() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of every kind of training, and its settings that differ from the default."""
    for family in FAMILIES.names():
        for method in METHODS.names():
            if METHODS[method].head and not FAMILIES[family].conditioned_head:
                continue  # refused: it is method none
            given = {"family": family, "method": method}
            yield f"{family} {method}", given
            if len(terms(family, method)) > 1:  # renewed after two steps and after four, so that two follow it
                soft = {"variant": "loss_weighted", "beta": 0.1, "every": 2, "accuracy_order": 1}
                yield f"{family} {method} soft_adapt", given | {f"soft_adapt.{k}": v for k, v in soft.items()}


def settings_of(given: dict[str, Any]) -> Settings:
    # At this exponent most images show some pixels.
    exponent = {"exponent": 4.0} if given["method"] == "single_decoder" else {}
    return resolve({"training.batch_size": BATCH, "training.epochs": 1} | exponent | given, frozenset())


def fit(s: Settings, device: str = "cpu", record: Record | None = None) -> Fit:
    """Return a training of `STEPS` steps on noise with a bright rectangle in it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 120, (STEPS * BATCH + SELECTION, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    images[:, :, 4:10, 3:12] += 130
    train, selection = torch.arange(len(images), device=device).split([STEPS * BATCH, SELECTION])
    named = seeds.of_fold(s.seed, 0)
    model = build(s.architecture, torch.Generator().manual_seed(named["init"]), device)
    sampler = None if s.condition_sampler is None else ConditionSampler(s.condition_sampler, SIDE)
    data = TrainingSet(images.to(device), train, selection)
    latent, switch = s.evaluation.latent, s.schedule.switch_epoch
    return Fit(model, data, s.loss, s.training, sampler, named, latent, s.soft_adapt, record, switch)


@contextmanager
def double_precision() -> Iterator[None]:
    """Build models, and feed them images, in float64 inside the context."""
    pixels = lambda images: images.double() / 255  # noqa: E731
    torch.set_default_dtype(torch.float64)
    try:
        with patch("mtvae.training.to_pixels", pixels), patch("mtvae.evaluation.to_pixels", pixels):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def losses(given: dict[str, Any], before: Callable[[Fit], object] = lambda f: None) -> dict[str, float]:
    """Return the mean training terms over the steps, and the validation terms and loss weights after the last step.

    `before` may change the training before its first step.
    """
    with double_precision():
        f = fit(settings_of(given))
        before(f)
        f.epoch()
    return {name: value for name, value in f.history[0].items() if name != "epoch"}


if __name__ == "__main__":
    with reproducible():
        found = {name: losses(given) for name, given in kinds()}
    FILE.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{FILE}: {len(found)} trainings")
