"""Every family x method keeps one contract, and agrees with published counts, counted costs and hand-made gradients."""

import copy
from itertools import product

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mtvae.conditioning import ConditionSampler
from mtvae.config import FAMILIES, METHODS, Architecture, Conditioning, Family, Loss, Sizes, resolve_sizes, terms
from mtvae.cost import cost
from mtvae.latent_spaces import Latent, PlainLatentSpace, kl_divergence
from mtvae.layers import MergeLinear, VectorQuantizer
from mtvae.losses import FixedWeighting, fixed_weights, loss_terms
from mtvae.model import Model, build, initialise, parameter_count

LOSS = Loss(w2=1.0, latent_weight=1.0, commitment_weight=0.25)


def architecture(family, method, configuration=1, side=16, channels=1, **sizes):
    return Architecture(
        family=family,
        method=method,
        channels=channels,
        side=side,
        sizes=resolve_sizes(family, configuration, Sizes(**sizes)),
    )


def sampler_for(method, name=None, side=16):
    if not METHODS[method].samplers:
        return None
    exponent = 2.0 if method == "single_decoder" else None
    return ConditionSampler(Conditioning(sampler=name or METHODS[method].samplers[0], exponent=exponent), side)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


KINDS = [(f, m, s) for f in FAMILIES.names() for m in METHODS.names() for s in METHODS[m].samplers or (None,)]


@pytest.mark.parametrize(("family", "method", "name"), KINDS)
class TestContract:
    """The contract of every family x method x sampler."""

    def step(self, family, method, name, channels=1):
        """Take one training step on random images. Return the model, the images, outputs, terms and weights."""
        model = build(architecture(family, method, channels=channels), seeded())
        x = torch.rand(8, channels, 16, 16, generator=seeded(1))
        sampler = sampler_for(method, name)
        condition = None if sampler is None else sampler(x, seeded(2))
        outputs = model(x, condition, seeded(3))
        found = loss_terms(outputs, x, model.architecture, LOSS)
        weights = fixed_weights(model.architecture, LOSS)
        FixedWeighting(weights)(found).backward()
        return model, x, outputs, found, weights

    def test_outputs_and_terms_have_their_form(self, family, method, name):
        """Reconstructions have the images' shape, and every declared term is computed and has a weight."""
        _, x, outputs, found, weights = self.step(family, method, name, channels=3)
        assert {tuple(image.shape) for image in outputs.reconstructions.values()} == {tuple(x.shape)}
        assert tuple(found) == tuple(weights) == terms(family, method)
        assert set(outputs.reconstructions) <= set(found)

    def test_every_parameter_gets_a_gradient(self, family, method, name):
        model, *_ = self.step(family, method, name)
        without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert without == []

    def test_state_round_trips_to_equal_outputs(self, family, method, name, tmp_path):
        model, x, *_ = self.step(family, method, name)
        torch.save(model.state_dict(), tmp_path / "model.pt")
        other = build(model.architecture, seeded(99))
        other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
        sampler = sampler_for(method, name)
        outputs = []
        for m in (model.eval(), other.eval()):
            condition = None if sampler is None else sampler(x, seeded(5))
            outputs.append(m(x, condition, seeded(6)).reconstructions)
        for decoder, image in outputs[0].items():
            assert torch.equal(image, outputs[1][decoder])


@pytest.mark.parametrize(("family", "method"), list(product(FAMILIES.names(), METHODS.names())))
class TestArchitecture:
    def test_build_depends_on_the_generator_alone(self, family, method):
        """The same generator gives the same weights, and the global generator is not touched."""
        torch.manual_seed(1)
        before = torch.get_rng_state()
        a = build(architecture(family, method), seeded())
        assert torch.equal(torch.get_rng_state(), before)
        b, c = build(architecture(family, method), seeded()), build(architecture(family, method), seeded(1))
        pairs = list(zip(a.state_dict().values(), b.state_dict().values(), strict=True))
        assert all(torch.equal(p, q) for p, q in pairs)
        assert not all(torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True))

    @pytest.mark.parametrize(
        ("side", "channels", "batch_norm"), [(16, 1, True), (28, 1, False), (32, 3, True), (64, 3, True)]
    )
    def test_cost_equals_the_networks(self, family, method, side, channels, batch_norm):
        """Declared parameters and operations equal the network's, for every configuration, on the meta device."""
        for configuration in FAMILIES[family].configurations:
            self.compare_cost(family, method, configuration, side, channels, batch_norm)

    def compare_cost(self, family, method, configuration, side, channels, batch_norm):
        a = architecture(family, method, configuration, side, channels, batch_norm=batch_norm)
        assert cost(a).parameters == parameter_count(a)
        with torch.device("meta"):
            model = Model(a)
            x, condition = torch.empty(2, channels, side, side), torch.empty(2, channels + 1, side, side)
            counter = FlopCounterMode(display=False)
            with counter:
                model.eval()(x, None if method == "none" else condition, None)
        assert 2 * cost(a).flops == pytest.approx(counter.get_total_flops(), rel=1e-9)


@pytest.mark.parametrize(
    ("family", "configuration", "counts"),
    [
        ("gaussian_vae", 1, (1_425_921, 21_094_913, 21_730_594)),
        ("gaussian_vae", 2, (3_232_353, 22_901_345, 24_139_138)),
        ("vqvae", 1, (110_673, 1_956_993, 1_999_586)),
        ("vqvae", 2, (4_268_321, 9_190_273, 11_101_442)),
        ("vqvae", 3, (6_984_001, 21_745_153, 25_040_770)),
    ],
)
def test_parameter_counts_on_mnist(family, configuration, counts):
    """Counts equal those of the published models, whose VQ convolution stacks had no batch normalisation."""
    sizes = {"batch_norm": False} if family == "vqvae" else {}
    for method, count in zip(("none", "single_decoder", "multi_decoder"), counts, strict=True):
        assert parameter_count(architecture(family, method, configuration, side=28, **sizes)) == count


@pytest.mark.parametrize(("configuration", "millions"), [(1, 84), (2, 201), (3, 537)])
def test_the_size_of_a_large_conditioning_linear(configuration, millions):
    """The conditioning linear of a VQ-VAE at 64x64 in colour has millions of weights.

    The model is on the meta device, because configuration 3 would take 2 GiB for this layer alone.
    """
    with torch.device("meta"):
        model = Model(architecture("vqvae", "single_decoder", configuration, side=64, channels=3))
    assert round(sum(weight.numel() for weight in model.conditioned[0].parameters()) / 1e6) == millions


def test_initial_values_are_distributed_as_torch_draws_them():
    """Every layer's initial values have the bounds and spread of torch's own constructors."""
    model, torchs = (
        build(architecture("gaussian_vae", "none", side=28), seeded()),
        Model(architecture("gaussian_vae", "none", side=28)),
    )
    for (name, ours), theirs in zip(model.named_parameters(), torchs.parameters(), strict=True):
        if ours.numel() > 1000:
            assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1), name
            assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.05), name


def test_layers_with_torchs_own_values_repeat(monkeypatch):
    """Layers of a plug-in that `initialise` does not know have torch's own values, drawn with the same seed."""

    class Embedded(PlainLatentSpace):
        def __init__(self, architecture):
            super().__init__(architecture)
            self.embedding = torch.nn.Embedding(3, 2)

    monkeypatch.setattr(Family, "load_latent_space", lambda self: Embedded)
    a, b, c = (
        build(architecture("autoencoder", "none"), seeded(seed)).latent_space.embedding.weight for seed in (0, 0, 1)
    )
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_kl_equals_torch_distributions():
    mean, log_variance = torch.randn(7, 5, generator=seeded()), torch.randn(7, 5, generator=seeded(1))
    normal = torch.distributions.Normal
    oracle = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    ours = kl_divergence(Latent(mean, mean=mean, log_variance=log_variance))
    assert ours.item() == pytest.approx(oracle.sum(1).mean().item(), rel=1e-6)


class TestVectorQuantizer:
    def quantizer(self):
        q = VectorQuantizer(2, 2)
        q.codebook.data = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        return q

    def test_nearest_by_brute_force(self):
        q = VectorQuantizer(16, 4)
        q.codebook.data.normal_(generator=seeded())
        z = torch.randn(3, 4, 5, 5, generator=seeded(1))
        flat = z.permute(0, 2, 3, 1).reshape(-1, 4)
        brute = torch.cdist(flat, q.codebook).argmin(1).view(3, 5, 5)
        assert torch.equal(q.nearest(z), brute)

    def test_straight_through_and_losses_by_hand(self):
        """z_e = (0.8, 0.6) is nearest to (1, 1), with differences (0.2, 0.4) and both losses (0.04 + 0.16) / 2."""
        q = self.quantizer()
        z_e = torch.tensor([0.8, 0.6]).view(1, 2, 1, 1).requires_grad_()
        z_q, codebook_loss, commitment_loss, indices = q(z_e)
        assert indices.item() == 1
        assert torch.allclose(z_q.flatten(), torch.tensor([1.0, 1.0]))
        assert codebook_loss.item() == pytest.approx(0.1)
        assert commitment_loss.item() == pytest.approx(0.1)
        (3 * z_q[0, 0] + 5 * z_q[0, 1]).sum().backward(retain_graph=True)
        assert z_e.grad.flatten().tolist() == [3.0, 5.0]  # straight through
        assert q.codebook.grad is None  # the reconstruction does not move the codebook
        z_e.grad = None
        codebook_loss.backward(retain_graph=True)
        assert z_e.grad is None  # d/de mean((e - z)^2) = 2 (e - z) / 2
        assert torch.allclose(q.codebook.grad, torch.tensor([[0.0, 0.0], [0.2, 0.4]]))
        commitment_loss.backward()
        assert torch.allclose(z_e.grad.flatten(), torch.tensor([-0.2, -0.4]))


def test_multi_decoders_share_nothing_but_z():
    """A change of the conditioned decoder's weights does not change the plain decoder's output."""
    model = build(architecture("vqvae", "multi_decoder"), seeded())
    x = torch.rand(4, 1, 16, 16, generator=seeded(1))
    z = model.encode(x, None).z
    plain = model.decode(z)
    other = copy.deepcopy(model)
    for p in other.conditioned.parameters():
        p.data.zero_()
    assert torch.equal(other.train().decode(z), model.train().decode(z))
    assert plain.shape == x.shape


@pytest.mark.parametrize("autocast", [False, True])
def test_the_merging_linear_equals_one_linear_layer(autocast):
    """Output and gradients are the same, except that the condition's gradient is not computed."""
    joint = torch.nn.Linear(11, 5)
    merge = MergeLinear(3, 8, 5)
    merge.load_state_dict(joint.state_dict())
    g, parts = torch.randn(4, 5, generator=seeded(1)), torch.randn(4, 11, generator=seeded()).split([3, 8], 1)
    z, condition = parts[0].clone().requires_grad_(), parts[1].view(4, 2, 2, 2)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y, y0 = merge((z, condition)), joint(torch.cat([z, condition.flatten(1)], 1))
    found = torch.autograd.grad(y, [z, merge.z.weight, merge.condition.weight, merge.z.bias], g.to(y.dtype))
    of_z, of_weight, of_bias = torch.autograd.grad(y0, [z, joint.weight, joint.bias], g.to(y.dtype))
    assert y.dtype == y0.dtype == (torch.bfloat16 if autocast else torch.float32)
    tolerance = {"rtol": 0.02, "atol": 0.02} if autocast else {}
    torch.testing.assert_close([y, *found], [y0, of_z, *of_weight.split([3, 8], 1), of_bias], **tolerance)


def test_the_merging_linear_saves_operations():
    """Forward and backward passes of `MergeLinear` take less than 0.68 of a plain linear layer's operations."""

    def flops(layer, x):
        with FlopCounterMode(display=False) as counter:
            layer(x).sum().backward()
        return counter.get_total_flops()

    z, condition = torch.randn(4, 10, requires_grad=True), torch.randn(4, 1090)
    joint = flops(torch.nn.Linear(1100, 50), torch.cat([z, condition], 1))
    assert flops(MergeLinear(10, 1090, 50), (z, condition)) < 0.68 * joint


def test_the_merging_linear_starts_as_one_linear_layer():
    """Its values and the next layer's are the same; with a fan-in of its own, z's weights would be far larger."""
    one, two = (
        torch.nn.Sequential(head, torch.nn.Linear(5, 2)) for head in (torch.nn.Linear(11, 5), MergeLinear(3, 8, 5))
    )
    initialise(one, seeded())
    initialise(two, seeded())
    assert torch.equal(torch.cat([two[0].z.weight, two[0].condition.weight], 1), one[0].weight)
    assert torch.equal(two[0].z.bias, one[0].bias)
    assert torch.equal(two[1].weight, one[1].weight)
