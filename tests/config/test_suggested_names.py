"""Suggestions for unknown settings and values never lead to another valid sweep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.config import grid, yaml_reader
from sweeps.config.settings import FIELDS, SECTIONS, SETTING_INFO
from sweeps.config.suggestions import ABSENT, possible_settings, suggest_setting
from sweeps.text import plain


def problems(block, overrides=(), head=""):
    with pytest.raises(grid.GridError) as caught:
        grid.read(yaml_reader.parse(f"name: a\n{head}grid:\n- {{{block}}}\n"), "g.yaml", overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("latent_dim", ["model.latent"]),
        ("codebook_size", ["model.embeddings"]),
        ("num_folds", ["folds.n_splits"]),
        ("beta", ["loss.latent_weight", "loss.commitment_weight", "soft_adapt.beta"]),
        ("loss.beta", ["loss.latent_weight", "loss.commitment_weight"]),
        ("shuffle", ["folds.shuffle", "training.shuffle"]),
        ("Training.LR", ["training.lr"]),
        ("data_root", ["data.root"]),
        ("training.limit", ["data.limit"]),
        ("trainig.lr", ["training.lr"]),
        ("priors.lr", ["prior.lr"]),
        ("model.latent_dim", ["model.latent"]),
        ("SoftAdapt", ["soft_adapt"]),
        ("epoch", ["training.epochs", "prior.epochs"]),
        ("batch_sise", ["training.batch_size", "prior.batch_size"]),
        ("loss.w3", []),
        ("learning_rate_decay", []),
        ("colour_of_the_sky", []),
        ("x" * 5000, []),
    ],
)
def test_a_name_leads_to_what_it_may_mean(key, meant):
    assert possible_settings(key) == meant


@pytest.mark.parametrize("name", ABSENT)
def test_an_absent_setting_says_what_there_is(name):
    (found,) = problems(f"{name}: 0.5")
    assert found == f"g.yaml, line 3: {name} is not a setting: {ABSENT[name]}"
    assert suggest_setting(f"Training.{name.upper()}") == f": {ABSENT[name]}"


@given(st.sampled_from([*FIELDS, *SECTIONS]), st.data())
def test_a_suggestion_is_never_the_name_itself(path, data):
    """Two letters of a real name are changed; what is suggested is a setting, and another name than was written."""
    changed = path
    for _ in range(2):
        at = data.draw(st.integers(0, len(changed)))
        changed = changed[:at] + data.draw(st.sampled_from(["", "x", "_", "S"])) + changed[at + 1 :]
    if changed not in FIELDS and changed not in SECTIONS:
        found = possible_settings(changed)
        assert set(found) <= {*FIELDS, *SECTIONS, "name", "grid", "base", "search", "racing"} - {changed}


def test_no_synonym_is_the_end_of_a_path():
    """The end of a path is found without a synonym. `beta` is both, because it means three settings."""
    ends = {plain(path.rpartition(".")[2]) for path in FIELDS}
    synonyms = {plain(name) for info in SETTING_INFO.values() for name in info.synonyms}
    assert synonyms & ends == {"beta"}


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("family: VQVAE", "; did you mean vqvae?"),
        ("family: vae", "one of gaussian_vae, vqvae, autoencoder"),
        ("data.dataset: cifar100", "celeba, folder, arrays"),
        ("training.precision: f32", "; did you mean fp32 or tf32?"),
        ("training.precision: fp16", "one of fp32, tf32, bf16"),
        ("keep_models: fold1", "one of none, fold0, all"),
        ("data.channels: '3'", "one of 1, 3, without quotes"),
    ],
)
def test_a_value_is_suggested_only_for_a_misspelling(written, end):
    """`vae` was taken for vqvae and `cifar100` for cifar10: both are valid, and another sweep."""
    (found,) = problems(written)
    assert found.endswith(end)


@pytest.mark.parametrize("key", ["name", "grid"])
def test_a_name_in_a_block_is_told_its_place(key):
    """The message was "name is not a setting; did you mean name?"."""
    (found,) = problems(f"{key}: x")
    assert found == f"g.yaml, line 3: {key} stands at the left margin of the file, not in a block or a group"
