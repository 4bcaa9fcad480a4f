"""A schedule (thesis, 5.4): both decoders train up to an epoch, then the rest goes on as the plain model."""

import copy
import math
from functools import cache

import pytest
import torch
from committed_losses import fit, settings_of
from tape import tape

from mtvae.evaluation import evaluate
from mtvae.runtime.determinism import reproducible

EPOCHS, SWITCH = 4, 2
SOFT_ADAPT = {"soft_adapt.variant": "loss_weighted", "soft_adapt.every": 2, "soft_adapt.accuracy_order": 1}
WEIGHTS = {"loss.w1": 0.7, "loss.w2": 1.3, "loss.latent_weight": 0.4}
KINDS = {
    "vqvae": {"family": "vqvae"} | WEIGHTS,
    "gaussian_vae soft_adapt": {"family": "gaussian_vae"} | WEIGHTS | SOFT_ADAPT,
    "autoencoder": {"family": "autoencoder"},
}


def training(kind="vqvae", switch=SWITCH, record=None, **given):
    given = {"method": "multi_decoder", "training.epochs": EPOCHS, "training.batch_size": 8} | KINDS[kind] | given
    return fit(settings_of(given | {"schedule.switch_epoch": switch}), record=record)


def trained(f, epochs=EPOCHS):
    with reproducible():
        while len(f.history) < epochs:
            f.epoch()
    return f


@cache
def undisturbed(kind, switch=SWITCH, epochs=EPOCHS):
    """Return a training that several tests compare with. They must not change it."""
    return trained(training(kind, switch), epochs)


def assert_same_model(f, g):
    """Assert that two models, their optimizers and generators are equal to the last digit."""
    torch.testing.assert_close(f.model.state_dict(), g.model.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(f.optimizer.state_dict(), g.optimizer.state_dict(), rtol=0, atol=0)
    for name, generator in f.generators.items():
        assert torch.equal(generator.get_state(), g.generators[name].get_state()), name


@pytest.mark.parametrize("kind", KINDS)
def test_until_the_switch_it_is_multi_decoder(kind):
    """The epochs before the switch have the digits of a training without one."""
    scheduled, whole = trained(training(kind), SWITCH), undisturbed(kind, None, SWITCH)
    assert scheduled.history == whole.history
    theirs = whole.model.state_dict()
    assert any(name.startswith("conditioned.") for name in theirs)
    ours = {name: value for name, value in theirs.items() if not name.startswith("conditioned.")}
    torch.testing.assert_close(scheduled.model.state_dict(), ours, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_switch_it_is_plain(kind):
    """A plain training with the weights, moments and generators of that moment goes on with the same digits."""
    whole = undisturbed(kind, None, SWITCH)
    plain = training(kind, **{"method": "none", "soft_adapt.variant": None}, switch=None)
    plain.model.load_state_dict(
        {name: v for name, v in whole.model.state_dict().items() if not name.startswith("conditioned.")}
    )
    # AdamW numbers its parameters in the module's order
    numbers = {name: i for i, (name, _) in enumerate(whole.model.named_parameters())}
    moments = whole.optimizer.state_dict()["state"]
    state = plain.optimizer.state_dict()
    state["state"] = {
        i: copy.deepcopy(moments[numbers[name]]) for i, (name, _) in enumerate(plain.model.named_parameters())
    }
    plain.optimizer.load_state_dict(state)
    for name, generator in plain.generators.items():
        generator.set_state(whole.generators[name].get_state())
    plain.history = copy.deepcopy(whole.history)
    scheduled = undisturbed(kind)
    trained(plain)
    assert scheduled.history == plain.history
    assert (scheduled.best_epoch, scheduled.best_total) == (plain.best_epoch, plain.best_total)
    assert_same_model(scheduled, plain)
    torch.testing.assert_close(scheduled.best_state, plain.best_state, rtol=0, atol=0)


def test_the_second_decoder_ends_with_its_moments():
    """After the switch neither model nor optimizer has it, and the model scores and computes as a plain one."""
    f = trained(training("gaussian_vae soft_adapt"), SWITCH)
    assert f.model.conditioned is None and f.sampler is None
    assert f.model.architecture.method == "none"
    parameters = list(f.model.parameters())
    assert [id(p) for p in f.optimizer.param_groups[0]["params"]] == [id(p) for p in parameters]
    assert set(map(id, f.optimizer.state)) == set(map(id, parameters))
    trained(f, SWITCH + 1)
    assert {"train_conditioned", "selection_conditioned", "weight_conditioned"} <= f.history[SWITCH - 1].keys()
    assert not any(name.endswith("conditioned") and "un" not in name for name in f.history[SWITCH])
    assert f.history[SWITCH]["weight_unconditioned"] == WEIGHTS["loss.w1"]  # SoftAdapt's weights sum to 1
    assert f.history[SWITCH]["weight_latent"] == WEIGHTS["loss.latent_weight"]
    scores = evaluate(f.model, f.data.images, f.loss, f.sampler, f.seeds)
    assert "unconditioned_per_pixel" in scores and "conditioned_per_pixel" not in scores


def test_the_step_is_recorded_anew():
    """A training whose steps are replayed, on both sides of the switch, ends as one whose steps are run."""
    f = training("vqvae", record=tape)
    before = []
    end_epoch = f.end_epoch
    f.end_epoch = lambda: (before.append(f.recorded.replay), end_epoch())
    trained(f)
    assert None not in before
    assert before[SWITCH - 1] is not before[SWITCH]
    assert f.history == undisturbed("vqvae").history
    assert_same_model(f, undisturbed("vqvae"))


def test_only_epochs_after_the_switch_are_best():
    """Even where no later total is as low as one before the switch."""
    f = trained(training("vqvae", switch=EPOCHS - 1), EPOCHS - 1)
    assert (f.best_epoch, f.best_total, f.best_state) == (0, math.inf, {})
    f.history[0]["selection_total"] = 0.0
    trained(f)
    assert f.best_epoch == EPOCHS
    f.load_best()
    assert f.model.conditioned is None


@pytest.mark.parametrize("pause", [3, SWITCH * 4, SWITCH * 4 + 1, SWITCH * 4 + 5])
def test_a_resumed_training_has_the_same_digits(pause):
    """Stopped before, at the last step before, and after the switch (4 batches an epoch)."""
    f, steps = training("gaussian_vae soft_adapt"), 0

    class Pause(Exception):
        pass

    def after_step():
        nonlocal steps
        steps += 1
        if steps == pause:
            raise Pause

    with reproducible():
        try:
            while True:
                f.epoch(after_step)
        except Pause:
            pass
        resumed = training("gaussian_vae soft_adapt")
        resumed.resume(copy.deepcopy(f.state()))
    whole = undisturbed("gaussian_vae soft_adapt")
    assert trained(resumed).history == whole.history
    assert_same_model(resumed, whole)
