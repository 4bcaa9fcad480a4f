"""Labels: different rows have different labels, and every label finds its row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps.config.labels import Labels, distinguishing_settings, find_rows_by_label, setting_texts
from sweeps.config.settings import FIELDS
from sweeps.plan.identity import LABEL_ORDER
from sweeps.plan.patterns import NamedItem, matching_indices
from sweeps.text import value_text

texts = (
    st.sampled_from(["/a", "/a, b", '/a "b"', "/[c", "null", "", " d", "/e\n", "/f\\n", "/a  b", "x (1/2 folds)"])
    | st.text()
)
numbers = st.sampled_from([0.1, 40.0, 1e-05, 1.234567e-4, 1.2345674e-4]) | st.floats(allow_nan=False)
rows_drawn = st.fixed_dictionaries(
    {
        "family": st.sampled_from(["vqvae", "gaussian_vae"]),
        "configuration": st.integers(1, 2),
        "method": st.sampled_from(["none", "multi_decoder"]),
        "sampler": st.none() | st.sampled_from(["uniform", "exact"]),
        "exponent": st.none() | numbers,
        "soft_adapt.variant": st.none() | st.sampled_from(["loss_weighted", "original"]),
        "data.dataset": st.sampled_from(["digits", "folder"]),
        "data.name": st.none() | texts.filter(bool),
        "data.root": st.none() | texts,
        "data.limit": st.none() | st.integers(1, 3),
        "model.hidden": st.none() | st.lists(st.integers(1, 3), max_size=3).map(tuple),
        "training.lr": numbers,
        "training.shuffle": st.booleans(),
    }
)
sweeps_drawn = st.lists(rows_drawn, min_size=1, max_size=6, unique_by=repr)


def names_of(rows):
    labels = Labels(rows, FIELDS)
    return [NamedItem(f"{i:012x}", None, labels.label(row), row) for i, row in enumerate(rows)]


@given(sweeps_drawn)
def test_different_rows_have_different_labels(rows):
    assert len({names.label for names in names_of(rows)}) == len(rows)


@given(sweeps_drawn)
def test_a_label_names_its_row_alone(rows):
    known = names_of(rows)
    for i, names in enumerate(known):
        assert matching_indices(known, names.label) == [i]


@given(sweeps_drawn, sweeps_drawn)
def test_a_label_from_before_widening_names_its_row(rows, more):
    """The label finds its row, or in the wider sweep it has become the full label of another row alone."""
    wide = [*rows, *[row for row in more if repr(row) not in set(map(repr, rows))]]
    known = names_of(wide)
    for i, names in enumerate(names_of(rows)):
        assert i in find_rows_by_label(wide, names.label)[0]
        found = matching_indices(known, names.label)
        assert i in found or [known[place].label for place in found] == [names.label]


@given(numbers, numbers)
def test_different_numbers_have_different_texts(a, b):
    assert (value_text(a) == value_text(b)) == (repr(a) == repr(b))
    assert float(value_text(a)) == a


@pytest.mark.parametrize(
    ("value", "text"),
    [(40.0, "40"), (0.001, "0.001"), (1e-05, "1e-05"), (1.2345674e-4, "0.00012345674"), (1e6, "1e+06")],
)
def test_numbers_print_as_short_as_they_can(value, text):
    assert value_text(value) == text


ROW = {
    "family": "vqvae",
    "configuration": 1,
    "method": "multi_decoder",
    "sampler": "exact",
    "exponent": None,
    "soft_adapt.variant": None,
    "data.dataset": "digits",
    "data.limit": None,
    "model.hidden": (8, 8),
    "training.lr": 0.001,
}
ROWS = [
    ROW | {"method": "none", "sampler": None},
    ROW,
    ROW | {"soft_adapt.variant": "loss_weighted"},
    ROW | {"method": "single_decoder", "sampler": "uniform", "exponent": 40.0},
    ROW | {"model.hidden": (16, 16), "soft_adapt.variant": "original"},
    ROW | {"training.lr": 0.01, "data.limit": 60},
]


def test_labels_have_the_words_of_the_tables():
    labels = Labels(ROWS, FIELDS)
    assert [labels.label(row) for row in ROWS[:4]] == [
        "vqvae 1 none, data.limit null",
        "vqvae 1 multi_decoder, exact, data.limit null",
        "vqvae 1 multi_decoder, exact, SoftAdapt, data.limit null",
        "vqvae 1 single_decoder, uniform, a = 40, data.limit null",
    ]
    assert ", ".join(setting_texts(ROWS[3], ["sampler", "exponent"])) == "uniform, a = 40"
    assert ", ".join(setting_texts(ROWS[2], ["sampler", "soft_adapt.variant"])) == "exact, SoftAdapt"


def test_a_label_with_the_data_set_names_own_images():
    """A folder's row says which folder, also where the data set's kind tells it from the others already."""
    rows = [ROW | {"data.name": None}, ROW | {"data.dataset": "folder", "data.name": "my cats"}]
    labels = Labels(rows, LABEL_ORDER)
    assert [labels.label(row) for row in rows] == [
        "vqvae 1 multi_decoder, dataset digits",
        "vqvae 1 multi_decoder, dataset folder, data.name my cats",
    ]
    folders = [row | {"data.dataset": "folder", "data.root": f"/{i}"} for i, row in enumerate(rows)]
    folders[0] |= {"data.name": "dogs", "data.limit": 60}
    labels = Labels(folders, LABEL_ORDER)
    assert [labels.label(row) for row in folders] == [
        "vqvae 1 multi_decoder, data.name dogs",
        "vqvae 1 multi_decoder, data.name my cats",
    ]
    assert find_rows_by_label(folders, "data.name my cats") == ([1], None)


def test_searched_settings_are_shown_where_they_differ():
    """The rows differ in the first of them already; a searched setting with one value is left out."""
    rows = [{"model.latent": 4 + i, "training.lr": 0.001 * (i + 1), "training.epochs": 5, "seed": i} for i in range(2)]
    names = ["training.epochs", "seed", "model.latent", "training.lr"]
    assert distinguishing_settings(rows, names[2:]) == ["model.latent"]
    searched = ("training.lr", "training.epochs")
    assert distinguishing_settings(rows, names, searched) == ["seed", "training.lr"]
    assert distinguishing_settings(rows, names[2:], searched) == ["model.latent", "training.lr"]


def test_what_follows_from_other_settings_is_left_out():
    rows = [ROW | {"method": "none", "training.lr": 0.1}, ROW | {"training.lr": 0.2}]
    assert distinguishing_settings(rows, FIELDS) == ["method"]


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("baseline", ([0], None)),
        ("multi decoder, exact", ([1, 2, 4, 5], None)),
        ("multi decoder, exact, SoftAdapt original (2/3\N{NO-BREAK SPACE}folds)", ([4], None)),
        ("uniform, a\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}40", ([3], None)),
        ("vqvae 1 single_decoder, fold 3", ([3], 3)),
        ("training.lr 1e-2", ([5], None)),
        ("dataset digits, data.limit null, a = 40.0", ([3], None)),
        ("data.dataset digits, a = 40", ([3], None)),
        ("model.hidden [16, 16]", ([4], None)),
        ("fold 1", (list(range(6)), 1)),
        ("training.lr 7", ([], None)),
        ("vqvae 2", None),
        ("-", None),
        ("", None),
    ],
)
def test_parts_of_labels_are_read_as_settings(label, found):
    """Parts of labels are cells of tables, entries of legends, and what somebody types."""
    assert find_rows_by_label(ROWS, label) == found
