"""Settings of control rows: pixels without repeats, a codebook from data, separate draws, and empty statistics."""

import numpy as np
import pytest
import torch
from committed_losses import fit, settings_of
from scipy import stats
from torch import nn

from mtvae.conditioning import ConditionSampler, zero_condition
from mtvae.config import METHODS, Architecture, Conditioning, Loss, Sizes, resolve_sizes
from mtvae.cost import cost
from mtvae.evaluation import BATCH_SIZE, evaluate, generators, to_pixels, training_error, with_empty_statistics
from mtvae.model import parameter_count
from sweeps.config.rules import IncompatibleSettings
from sweeps.data import seeds
from sweeps.plan.identity import key_of

LOSS = Loss(w2=1.0, latent_weight=1.0, commitment_weight=0.25)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian(side=6, **options):
    return ConditionSampler(Conditioning(sampler="gaussian", exponent=4.0, **options), side)


class TestPositionsWithoutReplacement:
    def test_no_pixel_is_drawn_twice(self):
        s = gaussian(16, replacement=False)
        assert torch.equal(s.mask(200, seeded()).sum((1, 2, 3)).long(), s.counts(200, seeded()))
        positions = s.positions(50, seeded(1))
        assert all(len(set(row.tolist())) == 256 for row in positions)

    def test_the_first_falls_as_one_with_replacement(self):
        """By a chi-squared test of both against the probabilities of the clamped normal."""
        n, side = 40_000, 6
        edges = np.arange(1, side)
        below = stats.norm.cdf(edges, side / 2, side / 6)
        line = np.diff([0, *below, 1])
        expected = n * np.outer(line, line).ravel()
        for replacement in (True, False):
            first = gaussian(side, replacement=replacement).positions(n, seeded(3))[:, 0]
            counts = np.bincount(first, minlength=side**2)
            assert stats.chisquare(counts, expected).pvalue > 1e-3, replacement

    def test_the_second_is_drawn_from_the_rest(self):
        """As drawing with replacement until two pixels differ, by a chi-squared test of both."""
        n, side = 20_000, 4
        without = gaussian(side, replacement=False).positions(n, seeded(4))[:, :2]
        drawn = gaussian(side).positions(n, seeded(5))
        different = (drawn != drawn[:, :1]).int().argmax(1)
        second = drawn.gather(1, different[:, None])[:, 0]
        table = [np.bincount(values, minlength=side**2) for values in (without[:, 1].numpy(), second.numpy())]
        assert stats.chi2_contingency(np.array(table)).pvalue > 1e-3

    @pytest.mark.parametrize("replacement", [True, False])
    def test_the_spread_can_be_set(self, replacement):
        s = gaussian(64, spread=0.05, replacement=replacement)
        first = s.positions(20_000, seeded())[:, 0]
        assert (first // 64).float().std().item() == pytest.approx(0.05 * 64, rel=0.03)
        assert "standard deviation 3.2" in s.describe()


def settings(**given):
    return settings_of({"family": "vqvae", "method": "single_decoder", "sampler": "gaussian"} | given)


def test_explicit_defaults_keep_the_key():
    """What a setting was before it could be set is neutral; another value is another configuration."""
    neutral = {
        "conditioning.replacement": True, "model.codebook_init": "uniform", "evaluation.draws": "joint",
        "evaluation.batch_norm": "running",
    }  # fmt: skip
    assert key_of(settings(**neutral)) == key_of(settings())
    others = {
        "conditioning.replacement": False, "conditioning.spread": 0.2, "model.codebook_init": "data",
        "evaluation.draws": "separate", "evaluation.batch_norm": "empty",
    }  # fmt: skip
    keys = {key_of(settings(**{path: value})) for path, value in others.items()}
    assert len(keys | {key_of(settings())}) == len(others) + 1


class TestHeadOnly:
    """The control of a conditioned VQ decoder: its network without the condition's columns."""

    @pytest.mark.parametrize("configuration", [1, 2, 3])
    @pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32)])
    def test_it_lacks_just_the_columns_of_the_condition(self, configuration, channels, side):
        """By hand, (C+1) H W for each feature of the head, and a head's parameters more than `none`."""
        sizes = resolve_sizes("vqvae", configuration, Sizes())
        counts = {}
        for method in ("none", "head_only", "single_decoder"):
            shape = {"channels": channels, "side": side, "sizes": sizes}
            a = Architecture(family="vqvae", method=method, **shape)
            counts[method] = parameter_count(a)
            assert cost(a).parameters == counts[method]
        features = sizes.embedding_size * (side // 4) ** 2
        assert counts["single_decoder"] - counts["head_only"] == (channels + 1) * side**2 * features
        assert counts["head_only"] - counts["none"] == features * features + features + 2 * features

    def test_its_initial_values_are_those_of_the_joint_layer(self):
        blind, seeing = (
            fit(settings_of({"family": "vqvae", "method": method})).model for method in ("head_only", "single_decoder")
        )
        ours, theirs = blind.plain.state_dict(), seeing.conditioned.state_dict()
        assert torch.equal(ours.pop("0.weight"), theirs.pop("0.z.weight"))
        assert torch.equal(ours.pop("0.bias"), theirs.pop("0.z.bias"))
        theirs.pop("0.condition.weight")
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())

    def test_it_decodes_as_a_conditioned_decoder_of_nothing(self):
        blind, seeing = (
            fit(settings_of({"family": "vqvae", "method": method})).model.eval()
            for method in ("head_only", "single_decoder")
        )
        z, x = torch.randn(3, 16, 4, 4, generator=seeded()), torch.zeros(3, 1, 16, 16)
        with torch.no_grad():
            assert torch.allclose(blind.decode(z), seeing.decode_conditioned(z, zero_condition(x)), atol=1e-6)

    @pytest.mark.parametrize("family", ["gaussian_vae", "autoencoder"])
    def test_it_is_refused_where_it_is_none(self, family):
        with pytest.raises(
            IncompatibleSettings, match=f"head_only is the same as none in family {family}, whose plain"
        ):
            settings_of({"family": family, "method": "head_only"})

    def test_it_is_no_baseline(self):
        assert [method.name for method in METHODS if method.baseline] == ["none"]


class TestCodebookFromData:
    def started(self, init):
        """Return a VQ-VAE's training after `before_first_step`, and its first batch."""
        f = fit(settings(**{"method": "none", "sampler": None, "model.codebook_init": init}))
        batch = f.batches_left()[0]
        before = {name: value.clone() for name, value in f.model.state_dict().items()}
        f.before_first_step(batch)
        return f, batch, before

    def test_every_vector_is_an_output_of_the_encoder(self):
        f, batch, before = self.started("data")
        space = f.model.latent_space
        encoded = space.encoder(to_pixels(f.data.images[batch])).permute(0, 2, 3, 1).flatten(0, 2)
        exact = "donot_use_mm_for_euclid_dist"
        nearest = torch.cdist(space.quantizer.codebook, encoded, compute_mode=exact).min(1).values
        assert nearest.max() < 1e-4
        assert len(space.quantizer.codebook.unique(dim=0)) == len(space.quantizer.codebook)
        assert (before["latent_space.quantizer.codebook"].abs() <= 0.05).all()

    def test_nothing_else_changes(self):
        f, _, before = self.started("data")
        after = f.model.state_dict()
        changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert changed == {"latent_space.quantizer.codebook"}

    def test_uniform_changes_nothing(self):
        f, _, before = self.started("uniform")
        assert all(torch.equal(value, before[name]) for name, value in f.model.state_dict().items())

    def test_more_vectors_are_in_use(self):
        """Of 128 the published initial values put few into use at first."""
        used = {}
        for init in ("uniform", "data"):
            f, batch, _ = self.started(init)
            latent = f.model.encode(to_pixels(f.data.images[batch]), None)  # normalised by the batch, as in training
            used[init] = len(latent.indices.unique())
        assert used["data"] > 2 * used["uniform"]

    def test_a_resumed_training_does_not_start_again(self):
        f, batch, _ = self.started("data")
        f.recorded(f.train_on, batch)
        f.finish_step()
        learnt = f.model.latent_space.quantizer.codebook.clone()
        state = f.state()
        other, _, _ = self.started("data")
        other.resume(state)
        assert torch.equal(other.model.latent_space.quantizer.codebook, learnt)
        called = []
        other.before_first_step = called.append
        other.epoch()
        assert not called


class TestDraws:
    def z_of(self, separate, draws_pixels):
        """Return the noise of two batches' z, where pixels are drawn behind each."""
        draws_z, pixels = generators(seeds.of_fold(0, 0, separate_draws=separate))
        found = []
        for _ in range(2):
            found.append(torch.randn(3, generator=draws_z))
            if draws_pixels:
                torch.rand(5, generator=pixels)
        return torch.stack(found)

    def test_separate_draws_leave_z_alone(self):
        assert torch.equal(self.z_of(True, True), self.z_of(True, False))
        assert torch.equal(self.z_of(True, True)[0], self.z_of(False, True)[0])  # z's seed is the same

    def test_joint_draws_move_z_behind_the_first_batch(self):
        assert torch.equal(self.z_of(False, True)[0], self.z_of(False, False)[0])
        assert not torch.equal(self.z_of(False, True)[1], self.z_of(False, False)[1])

    def test_methods_share_z_over_all_batches(self):
        """The KL rests on no draw, so the unconditioned error of one model with and without a sampler tells."""
        f = fit(settings_of({"family": "gaussian_vae", "method": "multi_decoder"}))
        images = f.data.images.repeat(2 * BATCH_SIZE // len(f.data.images) + 1, 1, 1, 1)
        for separate, same in ((True, True), (False, False)):
            named = seeds.of_fold(0, 0, separate_draws=separate)
            scores = [evaluate(f.model, images, LOSS, s, named)["unconditioned_per_pixel"] for s in (f.sampler, None)]
            assert (scores[0] == scores[1]) == same


class TestEmptyStatistics:
    def trained(self):
        f = fit(settings(sampler="uniform", exponent=2.0))
        f.epoch()
        return f

    def test_they_are_those_of_the_zero_condition(self):
        """With one batch, of the head's own input: the mean of what its linear layer puts out."""
        f = self.trained()
        decoder = with_empty_statistics(f.model, f.data.images, f.data.train, f.seeds)
        x = to_pixels(f.data.images[f.data.train])
        with torch.no_grad():
            z = f.model.encode(x, None).z
            condition = torch.zeros(len(x), 2, 16, 16)
            into = f.model.conditioned[:2]((z, condition))
        norm = next(module for module in decoder.modules() if isinstance(module, nn.BatchNorm1d))
        assert torch.allclose(norm.running_mean, into.mean(0), atol=1e-5)
        assert torch.allclose(norm.running_var, into.var(0), rtol=1e-3, atol=1e-6)

    def test_only_the_unconditioned_score_changes(self):
        f = self.trained()
        before = {name: value.clone() for name, value in f.model.state_dict().items()}
        decoder = with_empty_statistics(f.model, f.data.images, f.data.train, f.seeds)
        images = f.data.images[f.data.selection]
        running, empty = (evaluate(f.model, images, LOSS, f.sampler, f.seeds, decoder=d) for d in (None, decoder))
        changed = {name for name in running if running[name] != empty[name]}
        assert changed == {"unconditioned_per_pixel", "unconditioned_per_image"}
        assert all(torch.equal(value, before[name]) for name, value in f.model.state_dict().items())


def test_the_training_error_is_measured_as_the_test_error():
    f = fit(settings())
    f.epoch()
    images = f.data.images[f.data.selection]
    found = training_error(f.model, images, LOSS, f.seeds)
    scores = evaluate(f.model, images, LOSS, None, f.seeds)
    assert found["training_unconditioned_per_pixel"] == scores["unconditioned_per_pixel"]
    assert found["training_unconditioned_per_image"] == scores["unconditioned_per_image"]


def test_active_units_against_numpy():
    f = fit(settings_of({"family": "gaussian_vae", "method": "none"}))
    f.epoch()
    with torch.no_grad():
        f.model.latent_space.mean.weight *= torch.tensor([1e-3, 1e3]).repeat(8)[:, None]  # every second unit is dead
        f.model.eval()
        means = f.model.encode(to_pixels(f.data.images), None).mean.numpy()
    expected = (means.astype(np.float64).var(0) > 0.01).sum()
    assert evaluate(f.model, f.data.images, LOSS, None, f.seeds)["active_units"] == expected
    assert expected == 8


def test_the_relative_codebook_error_has_no_scale():
    """An encoder and a codebook ten times larger have 100 times the codebook loss, and the same relative error."""
    f = fit(settings_of({"family": "vqvae", "method": "none"}))
    f.epoch()
    space = f.model.latent_space
    scores = evaluate(f.model, f.data.images, LOSS, None, f.seeds)
    with torch.no_grad():
        z = space.encoder(to_pixels(f.data.images)).double().permute(0, 2, 3, 1).flatten(0, 2).numpy()
    expected = scores["codebook_loss"] / z.var(0).mean()
    assert scores["relative_codebook_error"] == pytest.approx(expected, rel=1e-5)
    with torch.no_grad():
        space.encoder[-2].weight *= 10
        space.encoder[-2].bias *= 10
        space.quantizer.codebook *= 10
    scaled = evaluate(f.model, f.data.images, LOSS, None, f.seeds)
    assert scaled["codebook_loss"] == pytest.approx(100 * scores["codebook_loss"], rel=1e-4)
    assert scaled["relative_codebook_error"] == pytest.approx(scores["relative_codebook_error"], rel=1e-4)


def test_a_constant_encoder_has_a_finite_relative_error():
    f = fit(settings_of({"family": "vqvae", "method": "none"}))
    with torch.no_grad():
        f.model.latent_space.encoder[-2].weight.zero_()
    assert evaluate(f.model, f.data.images, LOSS, None, f.seeds)["relative_codebook_error"] == 1.0
