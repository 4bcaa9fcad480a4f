"""`training.precision` changes the arithmetic of the training step, and nothing else."""

import pytest
import torch
from committed_losses import fit, kinds, settings_of

from mtvae.runtime.determinism import reproducible
from mtvae.runtime.precision import tf32_allowed


def tf32_flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def trained(given, precision):
    """Train one epoch. Return the training, and the dtypes of the outputs of layers that multiply."""
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
def test_only_multiplications_are_in_bf16(given):
    """In bf16 every layer multiplies in bfloat16, and weights, sums and moments stay in fp32."""
    fp32, used = trained(given, "fp32")
    assert used == {torch.float32}
    bf16, used = trained(given, "bf16")
    assert used == {torch.bfloat16}
    kept = [*bf16.model.state_dict().values(), *bf16.sums.values()]
    kept += [value for values in bf16.optimizer.state.values() for value in values.values()]
    assert {value.dtype for value in kept} <= {torch.float32, torch.int64, torch.float64}
    for name, value in fp32.history[0].items():  # after four steps rounding alone moves some fp32 losses by 0.02
        assert bf16.history[0][name] == pytest.approx(value, rel=0.25), name
    assert bf16.history != fp32.history


@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_scores_are_computed_in_fp32(precision):
    given = {"family": "vqvae", "method": "multi_decoder", "training.precision": precision}
    seen = []
    f = fit(settings_of(given))
    f.model.conditioned.register_forward_hook(
        lambda module, _, y: seen.append((module.training, y.dtype, tf32_flags()[0]))
    )
    with reproducible():
        f.epoch()
    training = torch.bfloat16 if precision == "bf16" else torch.float32
    assert set(seen) == {(True, training, precision == "tf32"), (False, torch.float32, False)}


def test_tf32_is_allowed_inside_its_context():
    """`tf32_allowed` turns tf32 on inside `reproducible`, and both restore what was set before."""
    before = tf32_flags()
    with reproducible():
        assert tf32_flags() == (False, False)
        with pytest.raises(ZeroDivisionError), tf32_allowed(tf32=True):
            assert tf32_flags() == (True, True)
            raise ZeroDivisionError
        assert tf32_flags() == (False, False)
    assert tf32_flags() == before


def test_a_cpu_computes_tf32_as_fp32():
    given = {"family": "gaussian_vae", "method": "none"}
    assert trained(given, "tf32")[0].history == trained(given, "fp32")[0].history


def test_nearest_codebook_vectors_are_found_in_fp32():
    """Autocast changes no output of the quantizer."""
    f = fit(settings_of({"family": "vqvae", "method": "none"}))
    quantizer = f.model.latent_space.quantizer
    z_e = torch.randn(2, 16, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        inside = quantizer(z_e)
    for value, outside in zip(inside, quantizer(z_e), strict=True):
        assert torch.equal(value, outside)
