"""The list of all settings: what it says agrees with what the settings do, and docs/settings.md is up to date."""

import itertools
import re
from pathlib import Path

import pytest

from mtvae.config import FAMILIES, KINDS_OF, METHODS, kinds_of
from sweeps.config import reference
from sweeps.config.rules import IncompatibleSettings, resolve
from sweeps.config.settings import FIELDS, SETTING_INFO, flatten
from sweeps.text import value_text

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"
SAMPLERS = ("exact", "uniform", "gaussian")


@pytest.fixture(scope="module")
def configurations():
    """Return the resolved settings of every valid combination of what decides which settings apply."""
    axes = {
        "family": [family.name for family in FAMILIES.built_in()],
        "configuration": [1, 2, 3],
        "method": [method.name for method in METHODS.built_in()],
        "sampler": [None, *SAMPLERS],
        "soft_adapt.variant": [None, "original"],
        "data.dataset": ["digits", "folder", "arrays"],
    }
    found = []
    for values in itertools.product(*axes.values()):
        flat = dict(zip(axes, values, strict=True))
        flat |= {} if flat["data.dataset"] == "digits" else {"data.root": "nowhere"}
        try:
            found.append(flatten(resolve(flat, frozenset(flat))))
        except IncompatibleSettings:
            continue
    kinds = [(family.name, kind) for family in FAMILIES.built_in() for kind in kinds_of(family.name)]
    return found + [flatten(resolve({"family": family, "prior.kind": kind}, frozenset())) for family, kind in kinds]


def in_words(where, flat):
    """Whether the words about where a setting applies name this configuration."""
    if where == "SoftAdapt on":
        return flat["soft_adapt.variant"] is not None
    if where.startswith("prior.kind"):
        return flat["prior.kind"] == where.split()[1]
    if where == "rows with a prior":
        return flat["prior.kind"] is not None
    if where == "priors over codes, except uniform":
        return flat["prior.kind"] in {*KINDS_OF["codes"]} - {"uniform"}
    if ", or method" in where:  # either of two conditions
        return any(in_words(part, flat) for part in where.split(", or "))
    values = {
        "family": FAMILIES.names(),
        "method": METHODS.names(),
        "sampler": SAMPLERS,
        "dataset": ["folder", "arrays"],
    }
    words = set(re.findall(r"\w+", where))
    named = {axis: words & set(names) for axis, names in values.items() if axis in words}
    assert named and all(named.values()), where
    return all(flat["data.dataset" if axis == "dataset" else axis] in names for axis, names in named.items())


@pytest.mark.parametrize("path", [path for path, info in SETTING_INFO.items() if info.where])
def test_where_a_setting_applies(path, configurations):
    """A setting that does not apply is None in a resolved configuration."""
    info = SETTING_INFO[path]
    for flat in configurations:
        applies = info.applies(flat) if info.applies else flat[path] is not None
        assert applies == in_words(info.where, flat), flat


def test_settings_without_a_place_apply_everywhere(configurations):
    for path, info in SETTING_INFO.items():
        if not info.where and reference.default_text(path) != "null":
            assert [flat for flat in configurations if flat[path] is None] == [], path


@pytest.mark.parametrize("path", FIELDS)
def test_a_default_is_what_a_row_gets(path, configurations):
    text, found = reference.default_text(path), {value_text(flat[path]) for flat in configurations} - {"null"}
    if path in ("family", "method", "configuration", "sampler", "soft_adapt.variant", "data.dataset"):
        assert text == value_text(resolve({"method": "single_decoder"}, frozenset()).model_dump().get(path, text)) or (
            path == "method" and text == "none"
        )
    elif text == "of the configuration":
        assert len(found) > 1
    elif text == "that of data.root":
        assert found == {"nowhere"}
    elif path in ("data.root", "prior.kind"):
        assert text == "null"
    elif len(found) > 1 or " " in text:
        assert all(value in text for value in found), (text, found)
    else:
        assert found == ({text} - {"null"})


def test_types_are_in_a_readers_words():
    found = {path: reference.type_text(path) for path in FIELDS}
    selection = "a number above 0 and below 1, an integer above 0, fold, test_half or random_test_half"
    assert found["folds.selection"] == selection
    assert found["data.limit"] == "an integer above 0 or null"
    assert found["model.hidden"] == "a list, each an integer above 0"
    assert found["training.shuffle"] == "true or false"
    assert found["folds.n_splits"] == "an integer from 2 to 1000"
    assert found["family"].endswith(", or package.module:NAME")
    assert found["training.batch_size"] == "an integer from 2"  # 2**20 is no bound that a reader needs
    assert not [text for text in found.values() if "Annotated" in text or "<" in text]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("lr", ["training.lr", "prior.lr"]),
        ("LEARNING_RATE", ["training.lr"]),
        ("resources", ["resources.cpus", "resources.gpus", "resources.memory"]),
        ("*.batch_norm", ["model.batch_norm", "evaluation.batch_norm"]),
        ("beta", ["loss.latent_weight", "loss.commitment_weight", "soft_adapt.beta"]),
        ("KFold", ["folds.n_splits"]),
        ("decoupled", ["training.weight_decay"]),
        ("nonsense", []),
    ],
)
def test_a_pattern_finds_settings(pattern, found):
    assert reference.find(pattern) == found


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_the_terminal(width):
    text = reference.listing(list(FIELDS), width)
    assert max(map(len, text.splitlines())) <= width
    assert [line for line in text.splitlines() if not line.startswith(" ")] == list(FIELDS)
    assert len(text.splitlines()) > 2 * len(FIELDS)


def test_every_setting_has_a_meaning():
    assert [path for path, field in FIELDS.items() if not field.description] == []


def test_the_page_is_up_to_date():
    """CONTRIBUTING says how to renew it."""
    assert PAGE.read_text() == reference.page()
