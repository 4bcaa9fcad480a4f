"""The losses of a few steps equal the committed ones, so that every change of the numbers is noticed.

In double precision, rounding (one unit in the last place of every initial weight, other sums with two threads,
convolutions without oneDNN) moved these numbers by at most 3.3e-8. A change of 0.1 % of the learning rate or of the
first weight moved them by at least 1.2e-4. The tolerance of 1e-6 is 30 times the one and a hundredth of the other.
"""

import json

import pytest
import torch
from committed_losses import FILE, kinds, losses

from mtvae.config import terms
from mtvae.runtime.determinism import reproducible

TOLERANCE = 1e-6
KINDS = dict(kinds())
COMMITTED = json.loads(FILE.read_text())


def differs(name, given, **options):
    """Return whether a training's losses differ from the committed ones of this name."""
    with reproducible():
        found = losses(given, **options)
    assert found.keys() == COMMITTED[name].keys()
    return found != pytest.approx(COMMITTED[name], rel=TOLERANCE)


def test_every_kind_of_training_is_committed():
    assert COMMITTED.keys() == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_as_committed(name):
    assert not differs(name, KINDS[name]), "renew tests/helpers/committed_losses.json only for an intended change"


CHANGES = {
    "training.lr": 1.001e-3,
    "training.weight_decay": 0.011,
    "training.shuffle": False,
    "training.batch_size": 9,
    "seed": 1,
    "model.batch_norm": False,
    "loss.w1": 1.001,
    "loss.w2": 1.001,
    "loss.latent_weight": 1.001,
    "loss.commitment_weight": 0.251,
    "soft_adapt.beta": 0.101,
    "soft_adapt.variant": "original",
}
SEEN_IN = {"model.batch_norm": "vqvae multi_decoder"} | {
    path: "vqvae multi_decoder soft_adapt" for path in CHANGES if path.startswith("soft_adapt")
}


@pytest.mark.parametrize("path", CHANGES)
def test_a_small_change_of_a_setting_is_seen(path):
    """A change of about 0.1 %, or to the next value, moves the losses beyond the tolerance."""
    name = SEEN_IN.get(path, "vqvae multi_decoder")
    assert differs(name, KINDS[name] | {path: CHANGES[path]})


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_notices_the_learning_rate(name):
    """A learning rate that is 0.1 % larger moves the losses of every kind beyond the tolerance."""
    assert differs(name, KINDS[name] | {"training.lr": 1.001e-3})


def test_a_change_of_an_initial_value_is_seen():
    """A change of the first weights by 0.1 % moves the losses beyond the tolerance."""

    def nudge(f):
        with torch.no_grad():
            next(f.model.parameters())[0].mul_(1.001)

    assert differs("gaussian_vae none", KINDS["gaussian_vae none"], before=nudge)


@pytest.mark.parametrize("family", ["vqvae", "gaussian_vae", "autoencoder"])
def test_the_order_of_terms_does_not_matter(family):
    """A refactoring may change the order in which the terms are summed without renewing the file."""

    def reverse(f):
        f.weighting.constant = dict(reversed(f.weighting.constant.items()))

    name = f"{family} multi_decoder"
    assert len(terms(family, "multi_decoder")) > 1
    assert not differs(name, KINDS[name], before=reverse)
