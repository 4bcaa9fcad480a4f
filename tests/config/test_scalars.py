"""Unquoted scalars: where YAML 1.1 and 1.2 disagree, the reader never chooses one of them without saying so."""

import datetime
import os.path
import re

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweeps.config import grid, yaml_reader
from sweeps.config.scalars import AmbiguousScalar, resolve_ambiguous
from sweeps.config.settings import flatten, validator

BLOCK = "grid: [{}]"

# The table of YAML 1.2.2, section 10.3.2, "Core Schema", tag resolution: written from the specification.
SPECIFICATION = [
    (r"null | Null | NULL | ~ | ", "null"),
    (r"true | True | TRUE | false | False | FALSE", "bool"),
    (r"[-+]? [0-9]+", "int"),
    (r"0o [0-7]+", "int 8"),
    (r"0x [0-9a-fA-F]+", "int 16"),
    (r"[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?", "float"),
    (r"[-+]? ( \.inf | \.Inf | \.INF )", "infinity"),
    (r"\.nan | \.NaN | \.NAN", "not a number"),
]


def yaml_12(text):
    """Read an unquoted scalar by the specification's core schema."""
    tag = next((tag for pattern, tag in SPECIFICATION if re.fullmatch(pattern.replace(" ", ""), text)), "str")
    return {
        "str": lambda: text,
        "null": lambda: None,
        "bool": lambda: text.lower() == "true",
        "int": lambda: int(text),
        "int 8": lambda: int(text[2:], 8),
        "int 16": lambda: int(text[2:], 16),
        "float": lambda: float(text),
        "infinity": lambda: float("-inf" if text.startswith("-") else "inf"),
        "not a number": lambda: float("nan"),
    }[tag]()


def same(a, b):
    return repr(a) == repr(b)  # 1 is not 1.0 and not true, and nan is nan


def unquoted(text):
    """Return PyYAML's own reading of a text that is one unquoted scalar; the test skips other texts."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError:
        node = None
    assume(isinstance(node, yaml.ScalarNode) and node.style is None and node.value == text)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # "=", "<<", the 99th of May
        return text


PIECES = [*"0123456789_.:+-~=<eEaf", "0x", "0o", "0b", "1e", "00", "_0", ":30", ".inf", ".Inf", ".nan", "-01"]
WORDS = ["yes", "No", "on", "OFF", "true", "True", "TRUE", "tRUE", "false", "null", "Null", "nULL", "y", "N", "inf"]
WORDS += ["nan", ".5", "1.", "=", "<<", "0x_", "2024-01-01", "2024-99-99", "a"]
scalars = (
    st.sampled_from(WORDS)
    | st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
    | st.from_regex(r"\A[-+]?0[xob]?[0-9a-f_]{1,5}\Z")
)


def test_the_specifications_own_examples():
    """Example 10.9, Core Tag Resolution."""
    text = """
        [null, true, True, false, FALSE, 0, 0x3A, -19, 0., -0.0, .5, +12e03, -2E+05, .inf, -.Inf, +.INF, .NAN]
    """
    infinity = float("inf")
    values = [None, True, True, False, False, 0, 58, -19, 0.0, -0.0, 0.5, 12000.0, -2e5]
    values += [infinity, -infinity, infinity, float("nan")]
    assert same(list(yaml_reader.parse(text).value), values)
    assert same([yaml_12(word) for word in text.strip(" []\n").split(", ")], values)
    assert yaml_reader.parse("a:\nb: ''\n").value == {"a": None, "b": ""}


@given(scalars)
@settings(max_examples=1000, deadline=None)
@example("0123")
@example("1:30")
@example("1e5")
@example("-.5")
@example("2024-01-01")
def test_one_value_is_every_readers_value(text):
    """Against PyYAML's safe loader and the specification of YAML 1.2."""
    old, new = unquoted(text), yaml_12(text)
    value = yaml_reader.parse(text).value
    if isinstance(value, AmbiguousScalar):
        assert (value.text, repr(value.yaml_12)) == (text, repr(new))
        assert same(value.yaml_11, old)
        assert not same(old, new) or re.fullmatch("[-+]?0[0-9]+", text)
    elif isinstance(old, datetime.date):
        assert value == text
    else:
        assert same(value, new)
        assert same(value, old) or (isinstance(old, str) and isinstance(new, float))


SETTINGS = ["seed", "training.epochs", "training.lr", "training.shuffle", "data.root", "data.limit", "keep_models"]
SETTINGS += ["folds.selection", "training.deterministic"]


def takes(path, value):
    try:
        return validator(path).validate_python(value) == value
    except ValidationError:
        return False


@given(st.sampled_from(SETTINGS), scalars, st.booleans())
@settings(max_examples=1000, deadline=None)
@example("training.shuffle", "yes", False)
@example("data.limit", "1_000", True)
@example("data.root", "007", True)
@example("folds.selection", "1e-1", True)
def test_no_setting_is_silently_another_value(path, text, override):
    """The row has what each version reads, as far as the setting takes that; otherwise the grid is refused.

    A value that both versions read, and that the setting takes, is never refused. `--set` takes free text as it stands.
    """
    assume(set(text) != {"."})  # a folder that is there
    old, new = unquoted(text), yaml_12(text)
    assume(path != "data.root" or (old is not None and new is not None))  # a folder must be given
    file, sets = ("", [f"{path}={text}"]) if override else (f"{path}: {text}\n", [])
    file += "data.dataset: folder\n" + ("" if path == "data.root" else "data.root: nowhere\n")
    try:
        row = grid.read(yaml_reader.parse(f"name: a\n{file}{BLOCK}"), "g.yaml", sets).rows[0]
    except grid.GridError as error:
        assert f" {path} " in f" {error} "
        assert not (same(old, new) and takes(path, old)), str(error)
        return
    value = flatten(row)[path]
    if override and value == text:
        assert takes(path, text)
        return
    assert takes(path, old) or takes(path, new)
    assert all(reading == value for reading in (old, new) if takes(path, reading))


@given(st.lists(scalars, min_size=1, max_size=3))
@settings(max_examples=500, deadline=None)
def test_lists_of_numbers_are_no_other_numbers(texts):
    olds, news = tuple(map(unquoted, texts)), tuple(map(yaml_12, texts))
    value = resolve_ambiguous(yaml_reader.parse("".join(f"- {text}\n" for text in texts)).value)
    for path in ("conditioning.positions", "model.hidden"):
        if takes(path, value):
            assert all(reading == value for reading in (olds, news) if takes(path, reading))


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def tuples(value):
    if isinstance(value, list):
        return tuple(map(tuples, value))
    return {key: tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(documents, st.booleans())
@settings(max_examples=500, deadline=None)
def test_documents_of_other_writers_are_read(document, flow):
    """Documents that PyYAML wrote are read back as they were.

    PyYAML leaves the quotes off text that YAML 1.2 takes for a number. Here such a value is a number or is refused, and
    such a key is a problem.
    """
    text = yaml.safe_dump(document, allow_unicode=True, default_flow_style=flow)
    read, expected = yaml_reader.parse(text), tuples(yaml.safe_load(text))
    if read.problems:
        assert any(not isinstance(yaml_12(key), str) for key in _keys(expected))
        return
    for value, wanted in zip(_leaves(resolve_ambiguous(read.value)), _leaves(expected), strict=True):
        assert same(value, wanted) or not isinstance(yaml_12(wanted), str)
        assert same(value, wanted) or isinstance(value, float | AmbiguousScalar)


MARKS = st.text(alphabet="ab01 :-[]{},#&*!|>?'\"\n<=~.", max_size=40)


@given(MARKS)
@settings(max_examples=1500, deadline=None)
def test_unusual_documents_are_what_pyyaml_reads(text):
    """Quotes, blocks, comments, anchors and brackets in any order are the same document as for PyYAML, or refused."""
    try:
        read = yaml_reader.parse(text)
        expected = tuples(yaml.safe_load(text))
    except (yaml_reader.Unreadable, yaml.YAMLError, ValueError, TypeError):
        return
    if not read.problems:
        pairs = zip(_leaves(resolve_ambiguous(read.value)), _leaves(expected), strict=True)
        assert all(
            same(a, b) or isinstance(a, AmbiguousScalar) or (isinstance(b, str) and isinstance(a, float))
            for a, b in pairs
        )


def _leaves(value):
    if isinstance(value, tuple):
        return [leaf for item in value for leaf in _leaves(item)]
    return [leaf for item in value.values() for leaf in _leaves(item)] if isinstance(value, dict) else [value]


def _keys(value):
    if isinstance(value, tuple):
        return [key for item in value for key in _keys(item)]
    return [*value, *(key for item in value.values() for key in _keys(item))] if isinstance(value, dict) else []


def problems(text, overrides=()):
    with pytest.raises(grid.GridError) as caught:
        grid.read(yaml_reader.parse(text), "g.yaml", overrides)
    return caught.value.problems


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed: 0123", "seed is 0123, which is 83 in YAML 1.1 and 123 in YAML 1.2; write 83 or 123"),
        ("seed: -0123", "seed is -0123; it must be an integer"),
        ("seed: 089", "seed is 089, which is text in YAML 1.1 and 89 in YAML 1.2; write 89"),
        ("seed: 0o17", "seed is 0o17, which is text in YAML 1.1 and 15 in YAML 1.2; write 15"),
        ("seed: 0b101", "seed is 0b101, which is 5 in YAML 1.1 and text in YAML 1.2; write 5"),
        ("seed: 1__0", "seed is 1__0, which is 10 in YAML 1.1 and text in YAML 1.2; write 10"),
        ("seed: !!int 0123", "seed is 0123, which is 83 in YAML 1.1 and 123 in YAML 1.2; write 83 or 123"),
        ("seed: yes", "seed is yes; it must be an integer"),
        ("training.epochs: 1:30", "training.epochs is 1:30, which is 90 in YAML 1.1 and text in YAML 1.2; write 90"),
        ("training.lr: 0:00.5", "training.lr is 0:00.5, which is 0.5 in YAML 1.1 and text in YAML 1.2; write 0.5"),
        ("training.shuffle: 0b1", "training.shuffle is 0b1; it must be a boolean"),
        ("soft_adapt: 01", "soft_adapt.variant is 01; it must be one of original, normalised, loss_weighted"),
        ("keep_models: no", "keep_models is no; it must be one of none, fold0, all"),
        ("data.root: 007", "data.root is 007, which is 7 in YAML; write '007'"),
        ("data.root: no", "data.root is no, which is false in YAML 1.1 and text in YAML 1.2; write 'no'"),
        ("data.root: 1_000", "data.root is 1_000, which is 1000 in YAML 1.1 and text in YAML 1.2; write '1_000'"),
        ("data.root: 12", "data.root is 12; it must be a string: put it in quotes"),
        ("conditioning.positions: [010, 2]",
         "conditioning.positions is [010, 2], which is [8, 2] in YAML 1.1 and [10, 2] in YAML 1.2; "
         "write [8, 2] or [10, 2]"),
        ("training: {epochs: 1:30}", "training.epochs is 1:30, which is 90 in YAML 1.1 and text in YAML 1.2; write 90"),
    ],
)  # fmt: skip
def test_an_ambiguous_scalar_is_refused_with_unambiguous_forms(setting, message):
    assert problems(f"name: a\n{setting}\n{BLOCK}") == [f"g.yaml, line 2: {message}"]
    assert problems(f"name: a\ngrid:\n- {{{setting}}}")[0] == f"g.yaml, line 3: {message}"
    if ": {" not in setting and not setting.startswith("data.root"):  # `--set` takes free text as it stands
        override = setting.replace(": ", "=", 1)
        assert problems(f"name: a\n{BLOCK}", [override]) == [f"--set {override}: {message}"]


def test_an_ambiguous_choice_is_refused_alone():
    message = ["g.yaml, line 2: seed is 0123, which is 83 in YAML 1.1 and 123 in YAML 1.2; write 83 or 123"]
    assert problems("name: a\ngrid: [{seed: [1, 0123, 2]}]") == message


def test_what_can_mean_one_thing_only_is_accepted(read_grid):
    """Files written by hand have such values, which a setting for a boolean or a number can take in one way only."""
    text = """
        name: a
        seed: 007
        data: {limit: 1_000}
        training: {shuffle: no, lr: 1e-3, checkpoint_seconds: 1_000.5, weight_decay: .5e-1}
        grid: [{method: multi_decoder, soft_adapt: [Off, on]}]
    """
    for row in (rows := read_grid(text).rows):
        assert (row.seed, row.data.limit, row.training.shuffle, row.training.lr) == (7, 1000, False, 1e-3)
        assert (row.training.checkpoint_seconds, row.training.weight_decay) == (1000.5, 0.05)
    assert [row.soft_adapt.variant for row in rows] == [None, "loss_weighted"]


NUMBERS = ["007", "0123", "0x1F", "1_000", "1e5", "3", "1.5", "0b1"]
NAMES = [
    *((name, "a number") for name in NUMBERS),
    *((name, "true or false") for name in ("on", "No", "true")),
    ("NULL", "nothing"),
    ("0o17", "a number"),
    ("089", "a number"),
]


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_a_name_that_yaml_reads_otherwise_needs_quotes(name, kind):
    message = f"name is {name}, which YAML reads as {kind}: put it in quotes"
    assert problems(f"name: {name}\n{BLOCK}") == [f"g.yaml, line 1: {message}"]
    assert grid.read(yaml_reader.parse(f"name: a\n{BLOCK}"), "g.yaml", [f"name={name}"]).name == name
    assert grid.read(yaml_reader.parse(f"name: '{name}'\n{BLOCK}"), "g.yaml").name == name


def test_a_wrong_name_is_reported_where_it_stands():
    message = problems(BLOCK, ["name=../x"])
    assert [problem.partition("; it must be")[0] for problem in message] == ["--set name=../x: name is '../x'"]
    for name in ("12:30", "-3", ".inf"):  # quotes would not make it a name
        assert problems(f"name: {name}\n{BLOCK}")[0].startswith(f"g.yaml, line 1: name is {name}; it must be letters")


def test_keys_other_than_text_are_shown_as_written():
    text = "name: a\nb: &b {seed: 1}\n<<: *b\n0123: 4\non: 4\n1e3: 4\n{x: 1}: 4\n? \n: 5\n'<<': 6\n"
    assert [f"{line} {message}" for line, message in yaml_reader.parse(text).problems] == [
        "3 merge keys (<<) are not supported: write the settings out",
        "4 the key 0123 is not text",
        "5 the key on is not text",
        "6 the key 1e3 is not text",
        "7 the key in brackets is not text",
        "8 the key null is not text",
    ]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [("!!float 3", 3.0), ("!!int '12'", 12), ("!!str 0123", "0123"), ("!!null ''", None), ("!!bool 'true'", True)],
)
def test_a_type_that_is_written_is_obeyed(scalar, value):
    assert same(yaml_reader.parse(scalar).value, value)


WRONG = ["!!bool maybe", "!!float ''", "!!int ''", "!!null x", "!!int yes", "!!float x", "!!int 1.5", "!!binary x"]
WRONG += ["9" * 5000, "0x" + "f" * 5000, "!!float " + "9" * 400, "!!timestamp 2024-01-01", "!!set {a}"]


@pytest.mark.parametrize("scalar", WRONG, ids=lambda scalar: scalar[:20])
def test_a_value_of_another_type_is_unreadable(scalar):
    """In earlier versions these ended in a traceback, or were null whatever the text said."""
    with pytest.raises(yaml_reader.Unreadable, match="is not"):
        yaml_reader.parse(f"a: {scalar}")


@given(st.text() | scalars | st.sampled_from(["1e5", "08", "0o17", "-.5", "1.5e3", "on", "a: b", "#", "- a", "a\nb"]))
@settings(max_examples=200, deadline=None)
@example("\x85")
@example("1e5")
def test_a_resolved_grid_keeps_every_text(root):
    """In earlier versions the grid.yaml of a sweep called '1e5' could not be read, because PyYAML leaves off quotes."""
    assume(not os.path.exists(os.path.expanduser(root)))  # its images would be counted
    text = yaml.safe_dump({"name": "a", "data.dataset": "folder", "data.root": root, "grid": [{}]}, default_style='"')
    try:
        first = grid.read(yaml_reader.parse(text), "g.yaml")
    except (grid.GridError, yaml_reader.Unreadable):
        return
    both = grid.read(yaml_reader.parse(text.replace("{}", "{seed: [1, 2]}")), "g.yaml")
    for g in (first, both):
        assert grid.read(yaml_reader.parse(g.dump(["key"] * len(g.rows))), "grid.yaml").rows == g.rows
