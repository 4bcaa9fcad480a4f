"""Arithmetic of the training step: what it changes, and what it must not."""

import pytest
import torch
from committed_losses import fit, kinds, settings_of

from mtvae.runtime.determinism import reproducible
from mtvae.runtime.precision import tf32_allowed


def knobs():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def trained(given, precision):
    """After one epoch, with what dtypes went through each layer that multiplies."""
    f = fit(settings_of(given | {"training.precision": precision}))
    used = set()

    def note(module, _, y):
        if module.training:
            used.add(y.dtype)

    for module in f.model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Linear):
            module.register_forward_hook(note)
    with reproducible():
        f.epoch()
    return f, used


@pytest.mark.parametrize("given", [given for _, given in kinds()], ids=[name for name, _ in kinds()])
def test_bf16_multiplies_in_it_and_keeps_everything_else_in_fp32(given):
    fp32, used = trained(given, "fp32")
    assert used == {torch.float32}
    bf16, used = trained(given, "bf16")
    assert used == {torch.bfloat16}
    kept = [*bf16.model.state_dict().values(), *bf16.sums.values()]
    kept += [value for values in bf16.optimizer.state.values() for value in values.values()]
    assert {value.dtype for value in kept} <= {torch.float32, torch.int64, torch.float64}
    for name, value in fp32.history[0].items():  # after four steps; in fp32 rounding alone moves some by 0.02
        assert bf16.history[0][name] == pytest.approx(value, rel=0.25), name
    assert bf16.history != fp32.history


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_scores_are_computed_in_fp32(precision):
    given = {"family": "vqvae", "method": "multi_decoder", "training.precision": precision}
    seen = []
    f = fit(settings_of(given))
    f.model.conditioned.register_forward_hook(lambda module, _, y: seen.append((module.training, y.dtype, knobs()[0])))
    with reproducible():
        f.epoch()
    training = torch.bfloat16 if precision == "bf16" else torch.float32
    assert set(seen) == {(True, training, precision == "tf32"), (False, torch.float32, False)}


def test_tf32_is_what_was_asked_for_inside_and_what_was_before_comes_back():
    before = knobs()
    with reproducible():
        assert knobs() == (False, False)
        with pytest.raises(ZeroDivisionError), tf32_allowed(tf32=True):
            assert knobs() == (True, True)
            raise ZeroDivisionError
        assert knobs() == (False, False)
    assert knobs() == before


def test_a_cpu_computes_tf32_as_fp32():
    given = {"family": "gaussian_vae", "method": "none"}
    assert trained(given, "tf32")[0].history == trained(given, "fp32")[0].history


def test_the_codebooks_nearest_vectors_are_decided_in_fp32():
    f = fit(settings_of({"family": "vqvae", "method": "none"}))
    quantizer = f.model.latent_space.quantizer
    z_e = torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = quantizer(z_e)
    for value, outside in zip(inside, quantizer(z_e), strict=True):
        assert torch.equal(value, outside)
