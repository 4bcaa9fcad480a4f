"""The losses of a few steps are the committed ones: a change of the numbers is seen, whoever made it.

The tolerance: rounding (one unit in the last place of every initial weight, other sums with two threads, convolutions
without oneDNN) moved these numbers by at most 3.3e-8 in double precision, and 0.1 % of learning rate or first weight by
at least 1.2e-4. 1e-6 lies between, 30 times from the one and 100 from the other.
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
    with reproducible():
        found = losses(given, **options)
    assert found.keys() == COMMITTED[name].keys()
    return found != pytest.approx(COMMITTED[name], rel=TOLERANCE)


def test_every_kind_of_training_is_committed():
    assert COMMITTED.keys() == KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_as_committed(name):
    assert not differs(name, KINDS[name]), "renew tests/committed_losses.json only for a change that is meant"


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
    name = SEEN_IN.get(path, "vqvae multi_decoder")
    assert differs(name, KINDS[name] | {path: CHANGES[path]})


@pytest.mark.parametrize("name", KINDS)
def test_a_thousandth_of_the_learning_rate_is_seen_in_every_kind(name):
    assert differs(name, KINDS[name] | {"training.lr": 1.001e-3})


def test_an_initial_value_is_seen():
    def nudge(f):
        with torch.no_grad():
            next(f.model.parameters())[0].mul_(1.001)

    assert differs("gaussian_vae none", KINDS["gaussian_vae none"], before=nudge)


@pytest.mark.parametrize("family", ["vqvae", "gaussian_vae", "autoencoder"])
def test_another_order_of_the_terms_in_the_sum_is_not_a_change(family):
    """What a refactor may do without renewing the file."""

    def reverse(f):
        f.weighting.constant = dict(reversed(f.weighting.constant.items()))

    name = f"{family} multi_decoder"
    assert len(terms(family, "multi_decoder")) > 1
    assert not differs(name, KINDS[name], before=reverse)
