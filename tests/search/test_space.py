"""A search's space: points, the settings that they mean, and the configurations that have one."""

import json
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from searches import SMALL, small

from sweeps.config.rules import IncompatibleSettings
from sweeps.config.search import Choices, Range
from sweeps.config.settings import flatten
from sweeps.plan.identity import key_of
from sweeps.search.space import (
    applies,
    default_params,
    from_json,
    nearest,
    params_of,
    search_for,
    settings_of,
    short,
)

POINT = {"method": "single_decoder", "exponent": 25.0, "model.latent": 8, "training.lr": 3e-4}


def flat_of(params, search=SMALL):
    return flatten(settings_of(search, params))


def test_a_point_becomes_resolved_settings():
    """Shared values and defaults join the point's values."""
    flat = flat_of(POINT)
    assert {path: flat[path] for path in POINT} == POINT
    assert (flat["family"], flat["data.limit"], flat["sampler"]) == ("gaussian_vae", 60, "uniform")


def test_a_setting_that_does_not_apply_is_refused():
    with pytest.raises(IncompatibleSettings, match="only method single_decoder"):
        settings_of(SMALL, POINT | {"method": "none"})


def test_shared_values_may_not_apply():
    """A shared exponent is dropped where the method has none, and used where it has one."""
    search = small(base={**SMALL.base, "exponent": 30.0}, space={"method": SMALL.space["method"]})
    assert flat_of({"method": "none"}, search)["exponent"] is None
    assert flat_of({"method": "single_decoder"}, search)["exponent"] == 30.0


@pytest.mark.parametrize(
    ("path", "before", "expected"),
    [
        ("exponent", {"method": "single_decoder"}, True),
        ("exponent", {"method": "multi_decoder"}, False),
        ("model.latent", {"method": "none"}, True),
        ("model.latent", {"family": "vqvae"}, False),
        ("model.embeddings", {"family": "vqvae"}, True),
        ("model.embeddings", {"family": "autoencoder"}, False),
        ("soft_adapt.variant", {"family": "autoencoder", "method": "none"}, False),
        ("soft_adapt.variant", {"family": "vqvae", "method": "none"}, True),
        ("soft_adapt.every", {"soft_adapt.variant": None}, False),
        ("soft_adapt.every", {"soft_adapt.variant": "original"}, True),
    ],
)
def test_earlier_settings_decide_what_applies(path, before, expected):
    """`soft_adapt.every: 2` contradicts the default accuracy order; a later setting may still make it fit."""
    every = {"soft_adapt.every": Range(2, 200, integer=True), "soft_adapt.variant": Choices((None, "original"))}
    search = small(space={**SMALL.space, "model.embeddings": Choices((16, 32)), **every})
    assert applies(search, path, before) is expected


@pytest.mark.parametrize(
    ("dimension", "value", "expected"),
    [
        (Range(10, 80, 5), 41.0, 40.0),
        (Range(10, 80, 5), 300, 80.0),
        (Range(10, 81, 5), 300, 80.0),
        (Range(0.1, 1, 0.1), 0.31, 0.3),
        (Range(0.1, 1, 0.1), 0.7, 0.7),
        (Range(4, 64, integer=True), 5.6, 6),
        (Range(4, 64, 4, integer=True), 15, 16),
        (Range(1e-4, 1e-2, log=True), 5e-2, 1e-2),
        (Range(1e-4, 1e-2, log=True), 0.00123, 0.00123),
    ],
)
def test_nearest_number_of_a_range(dimension, value, expected):
    """Numbers of a range with a step are those that a person writes: 0.3, not 0.30000000000000004."""
    found = nearest(dimension, value)
    assert found == expected and type(found) is type(expected)
    assert dimension.holds(found)


@pytest.mark.parametrize(
    ("dimension", "value", "expected"),
    [
        (Range(1e-4, 1e-2, log=True), 0.00123456789, 0.001235),
        (Range(1e-4, 1e-2, log=True), 0.000100004, 1e-4),
        (Range(1e-4, 0.0098765, log=True), 0.0098764, 0.009876),
        (Range(1e-4, 0.0098765, log=True), 0.00987649, 0.009876),
        (Range(0.00123456, 1), 0.0012346, 0.001235),
        (Range(0.00123456, 1), 0.00123458, 0.001235),
        (Range(1000, 1001), 1000.51234, 1000.512),
        (Range(-1, 1), 0.0, 0.0),
        (Range(-1, 1), -0.123456, -0.1235),
        (Range(1, 5e6), 1234567.8, 1235000.0),
        (Range(0.1, 1, 0.1), 0.7000000000000001, 0.7),
        (Range(4, 2**20, log=True, integer=True), 123457, 123457),
    ],
)
def test_proposed_numbers_are_short(dimension, value, expected):
    found = short(dimension, value)
    assert found == expected and type(found) is type(expected)


FINITE = st.floats(-(2.0**53), 2.0**53)


@given(FINITE, FINITE, st.floats(0, 1), st.booleans())
def test_short_numbers_stay_near(low, high, share, log):
    """They lie in the range, within a thousandth of the number and of the range, and are their own short form."""
    low, high = sorted(map(abs, (low, high)) if log else (low, high))
    assume(low < high and (low > 0 or not log) and math.isfinite(1 / (high - low)))
    value = min(max(low + share * (high - low), low), high)
    dimension = Range(low, high, log=log)
    found = short(dimension, value)
    assert dimension.holds(found)
    assert abs(found - value) <= 1.001e-3 * min(abs(value), high - low)
    assert short(dimension, found) == found
    if low < found < high and abs(value) < high - low:
        assert float(f"{found:.4g}") == found


def test_highest_number_meets_the_steps():
    assert (Range(10, 84, 5).highest, Range(0.1, 0.7, 0.2).highest, Range(1, 9.5).highest) == (80, 0.7, 9.5)


@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        (Range(10, 80, 5), 41.0),
        (Range(10, 84, 5), 84.0),
        (Range(10, 80), 80.1),
        (Range(4, 64, integer=True), 3),
        (Range(0, 1), True),
        (Range(0, 1), None),
    ],
)
def test_values_outside_a_range(dimension, value):
    assert not dimension.holds(value)


@pytest.mark.parametrize(
    ("base", "space", "expected"),
    [
        ({}, SMALL.space, {"method": "none", "model.latent": 16, "training.lr": 1e-3}),
        ({"training.lr": 5e-3}, {"training.lr": Range(1e-4, 1e-2)}, {"training.lr": 5e-3}),
        ({"training.lr": 5e-2}, {"training.lr": Range(1e-4, 1e-2)}, {"training.lr": 1e-2}),
        ({}, {"training.epochs": Choices((3, 4))}, {"training.epochs": 3}),
        ({}, {"training.epochs": Choices((3, 100))}, {"training.epochs": 100}),
        (
            {},
            {"method": Choices(("single_decoder",)), "exponent": Range(5, 31, 5)},
            {"method": "single_decoder", "exponent": 30.0},
        ),
        ({"method": "single_decoder"}, {"exponent": Range(10, 80)}, {"exponent": 40.0}),
        ({"method": "none"}, {"exponent": Range(10, 80)}, {}),
        (
            {"method": "single_decoder", "sampler": "gaussian"},
            {"conditioning.spread": Range(0.1, 0.3)},
            {"conditioning.spread": 0.2},
        ),
    ],
)
def test_default_configuration_lies_in_the_space(base, space, expected):
    """Defaults and shared values move to the nearest number or the first choice; without a default, to the middle."""
    search = small(base={**SMALL.base, "family": "gaussian_vae", **base}, space=space)
    params = default_params(search)
    assert params == expected
    assert params_of(search, flat_of(params, search)) == (params, "")


def test_a_point_survives_json():
    """A tuple that JSON made a list is a tuple again, and every float is the same."""
    search = small(space={**SMALL.space, "model.hidden": Choices(((4, 4), (8, 16)))})
    params = {"method": "none", "model.latent": 7, "training.lr": 0.00123456789012345678, "model.hidden": (8, 16)}
    read = from_json(json.loads(json.dumps(params)))
    assert read == params
    assert params_of(search, flat_of(read, search)) == (params, "")
    assert key_of(settings_of(search, json.loads(json.dumps(params)))) == key_of(settings_of(search, params))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exponent": 90.0}, "outside the space: exponent 90"),
        ({"exponent": 41.0}, "outside the space: exponent 41"),
        ({"method": "conditioned", "exponent": None}, "outside the space: method conditioned"),
        ({"training.epochs": 7}, "differs in training.epochs, which is not searched"),
        ({"seed": 1}, "differs in seed, which is not searched"),
        ({"model.hidden": (4, 4)}, "differs in model.hidden, which is not searched"),
    ],
)
def test_configurations_outside_the_space_say_why(change, reason):
    assert params_of(SMALL, flat_of(POINT) | change) == (None, reason)


def test_settings_outside_the_key_do_not_matter():
    change = {"resources.cpus": 2.0, "keep_models": "all", "data.root": "elsewhere", "training.deterministic": False}
    assert params_of(SMALL, flat_of(POINT) | change) == (POINT, "")


def test_null_is_a_choice():
    """SoftAdapt off is a point of its own, and null stands for a default that the resolved settings spell out."""
    space = {"soft_adapt.variant": Choices((None, "original")), "soft_adapt.beta": Choices((None, 0.1))}
    search = small(base={**SMALL.base, "method": "multi_decoder"}, space=space)
    off, on = {"soft_adapt.variant": None}, {"soft_adapt.variant": "original", "soft_adapt.beta": None}
    assert [params_of(search, flat_of(params, search)) for params in (off, on)] == [(off, ""), (on, "")]
    other = flat_of(on | {"soft_adapt.beta": 0.1}, search) | {"soft_adapt.beta": 0.2}
    assert params_of(search, other) == (None, "outside the space: soft_adapt.beta 0.2")


def test_each_value_has_a_search_of_its_own():
    """The value is shared by its search, which leaves out the others' configurations."""
    search = search_for(small(each="method"), "none")
    assert "method" not in search.space and search.each is None
    assert default_params(search) == {"model.latent": 16, "training.lr": 1e-3}
    assert params_of(search, flat_of(POINT)) == (None, "differs in method, which is not searched")
    with pytest.raises(ValueError, match="no `each`"):
        search_for(search, "none")
