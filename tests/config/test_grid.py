"""Grid files: what they mean, and that all problems are reported at once, with line and nearest valid word."""

import pytest
from grid_texts import documents, words
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeps.config import grid, yaml_reader
from sweeps.config.settings import FIELDS, flatten, unflatten
from sweeps.plan.identity import key_of

BLOCK = "grid: [{family: vqvae}]"


def problems(text, overrides=()):
    with pytest.raises(grid.GridError) as caught:
        grid.read(yaml_reader.parse(text), "g.yaml", overrides)
    return caught.value.problems


def test_blocks_are_products_and_later_keys_vary_fastest(read_grid):
    rows = read_grid("""
        name: a
        training: {lr: 0.1}
        grid:
          - {family: [vqvae, gaussian_vae], method: [none, multi_decoder]}
          - {method: single_decoder, exponent: [20, 60], training.lr: [1e-3, 1e-4]}
    """).rows
    assert [(r.family, r.method) for r in rows[:4]] == [
        ("vqvae", "none"),
        ("vqvae", "multi_decoder"),
        ("gaussian_vae", "none"),
        ("gaussian_vae", "multi_decoder"),
    ]
    assert [(r.exponent, r.training.lr) for r in rows[4:]] == [(20, 1e-3), (20, 1e-4), (60, 1e-3), (60, 1e-4)]
    assert rows[0].training.lr == 0.1


def test_defaults_are_filled_in_where_they_apply(read_grid):
    none, single = read_grid("name: a\ngrid: [{method: [none, single_decoder]}]").rows
    assert (none.sampler, none.exponent, none.loss.w2) == (None, None, None)
    assert (single.sampler, single.exponent) == ("uniform", 40.0)
    assert single.model.hidden == (32, 64)


def test_shared_settings_are_dropped_where_they_do_not_apply(read_grid):
    none, single = read_grid("name: a\nexponent: 20\ngrid: [{method: none}, {method: single_decoder}]").rows
    assert none.exponent is None
    assert single.exponent == 20


def test_repeats_are_merged_and_counted(read_grid):
    g = read_grid("name: a\ngrid: [{method: none}, {method: [none, multi_decoder]}, {training.lr: [0.001, 1e-3]}]")
    assert (len(g.rows), g.merged) == (2, 3)


def test_list_settings_take_one_list_or_several(read_grid):
    one = read_grid("name: a\ngrid: [{model.hidden: [8, 16]}]")
    two = read_grid("name: a\ngrid: [{model.hidden: [[8, 16], [16, 32]]}]")
    assert [r.model.hidden for r in one.rows] == [(8, 16)]
    assert [r.model.hidden for r in two.rows] == [(8, 16), (16, 32)]


def test_overrides_replace_values_everywhere_and_are_validated(read_grid):
    g = read_grid("name: a\ngrid: [{training.lr: [0.1, 0.2]}]", ["training.lr=1e-4", "name=b"])
    assert (g.name, [r.training.lr for r in g.rows]) == ("b", [1e-4])
    found = problems(f"name: a\n{BLOCK}", ["training.lrr=1", "training.epochs=x", "folds", "exponent=20"])
    assert found == [
        "--set training.lrr=1: training.lrr is not a setting; did you mean training.lr?",
        "--set training.epochs=x: training.epochs is 'x'; it must be an integer",
        "--set folds: must be key.path=value",
        "--set exponent=20: exponent 20.0: only method single_decoder draws its number of pixels",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"name: a\nsed: 1\n{BLOCK}", "g.yaml, line 2: sed is not a setting; did you mean seed?"),
        (
            f"name: a\nepochs: 1\n{BLOCK}",
            "g.yaml, line 2: epochs is not a setting; did you mean training.epochs or prior.epochs?",
        ),
        (
            f"name: a\ntraining:\n  epochs: ten\n{BLOCK}",
            "g.yaml, line 3: training.epochs is 'ten'; it must be an integer",
        ),
        (f"name: a\ntraining: 3\n{BLOCK}", "g.yaml, line 2: training is a group of settings"),
        (f"name: a\nseed: true\n{BLOCK}", "g.yaml, line 2: seed is true; it must be an integer"),
        (f"name: a\nseed: '3'\n{BLOCK}", "g.yaml, line 2: seed is '3'; it must be an integer"),
        (f"name: a\ntraining.lr: .nan\n{BLOCK}", "g.yaml, line 2: training.lr is nan; it must be a finite number"),
        (f"name: a\ntraining.lr: .inf\n{BLOCK}", "g.yaml, line 2: training.lr is inf; it must be a finite number"),
        (f"name: a\nseed: 1\nseed: 2\n{BLOCK}", "g.yaml, line 3: seed is already set in line 2"),
        (f"name: a\nseed: [1, 2]\n{BLOCK}", "g.yaml, line 2: seed is [1, 2]; it must be an integer"),
        (f"name: a\nseed:\n{BLOCK}", "g.yaml, line 2: seed is null; it must be an integer"),
        (f"name: a\nseed: {{a: [null, x, 1.5, true]}}\n{BLOCK}", "seed is {a: [null, 'x', 1.5, true]}; it must be an"),
        ("name: a\ngrid: [{family: vqvaee}]", "did you mean vqvae?"),
        ("name: a\ngrid:\n- {method: none, exponent: 20}", "g.yaml, line 3: exponent 20.0: only method single_decoder"),
        ("name: a\ngrid:\n- {method: none, sampler: uniform}", "sampler uniform: method none takes no condition"),
        ("name: a\ngrid: [{configuration: 9}]", "configuration 9: family vqvae has no configuration 9, only 1, 2, 3"),
        ("name: a\ngrid: [{model.latent: 3}]", "model.latent 3: family vqvae has no such size"),
        (
            "name: a\ngrid: [{model.hidden: [4, 4, 4, 4, 4]}]",
            "model.hidden [4, 4, 4, 4, 4]: 5 widths halve the side 5 times, but the side, 16, is not divisible by 32",
        ),
        ("name: a\ngrid: [{training.lr: []}]", "training.lr is an empty list, so there is nothing to run"),
        ("name: a\ngrid: []", "grid is missing or empty"),
        ("name: a", "grid is missing or empty"),
        ("name: a\ngrid: {family: vqvae}", "grid is missing or empty: it must be a list of blocks"),
        ("name: a\ngrid: [3]", "a block must be a mapping of settings, not a number"),
        (BLOCK, "name is missing"),
        (f"name: ../../etc\n{BLOCK}", "name is '../../etc'; it must be letters"),
        (f"name: .hidden\n{BLOCK}", "name is '.hidden'"),
        (f"name: {'a' * 65}\n{BLOCK}", "at most 64"),
        (f"name: 3\n{BLOCK}", "name is 3"),
        ("- 1", "g.yaml: it must hold settings with a name and a grid, not a list"),
        ("", "g.yaml: it must hold settings with a name and a grid, not nothing"),
        (f"name: a\ndata.limit: 2000\n{BLOCK}", "digits has 1,797 images, not 2,000"),
        (f"name: a\ndata.limit: 3\n{BLOCK}", "3 images cannot be split into 5 folds"),
        (
            f"name: a\nfolds.selection: 5000\n{BLOCK}",
            "it leaves -3563 for the training set and 5000 for the validation set",
        ),
    ],
)
def test_problems_have_a_line_and_the_nearest_word(text, expected):
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_too_large_a_product_is_never_formed():
    lists = ", ".join(
        f"{path}: [{', '.join(map(str, range(1, 100)))}]" for path in ("seed", "data.limit", "model.latent")
    )
    assert problems(f"name: a\ngrid: [{{{lists}}}]") == ["g.yaml, line 2: the grid has more than 100,000 rows"]


def test_every_problem_at_once():
    text = "name: '?'\nsed: 1\ntraining: {epochs: ten}\ngrid:\n- {method: none, exponent: 3}\n- {family: x}\n- 4\n"
    lines = [p.split(":")[0] for p in problems(text)]
    assert sorted(lines) == [f"g.yaml, line {n}" for n in (1, 2, 3, 5, 6, 7)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.hidden: []", "model.hidden is []; it must be a list of at least one"),
        ("model.hidden: 8", "model.hidden is 8; it must be a list"),
        ("conditioning.positions: [1.5]", "conditioning.positions is [1.5]; it must be a list, each an integer"),
        ("model.hidden: [0]", "model.hidden is [0]; it must be a list, each greater than 0"),
        (f"data.channels: {'9' * 400}", f"data.channels is {'9' * 57}...; it must be a smaller number or one of 1, 3"),
        ("family: 3", "family is 3; it must be one of gaussian_vae, vqvae, autoencoder"),
        ("'': 1", "'' is not a setting; --settings lists all settings"),
    ],
)
def test_problems_are_in_a_readers_words(text, expected):
    """They are not in pydantic's words: a tuple, 'Tuple should have at least 1 item after validation'."""
    assert problems(f"name: a\n{text}\n{BLOCK}") == [f"g.yaml, line 2: {expected}"]


@pytest.mark.parametrize("line", [f"data.limit: {'9' * 400}", f"folds.selection: {'9' * 400}", f"? {'x' * 5000}\n: 1"])
def test_each_problem_is_one_readable_line(line):
    found = problems(f"name: a\n{line}\n{line}\n{BLOCK}") + problems(f"name: a\n{BLOCK}", [line.replace(": ", "=")])
    assert len(found) == 3
    assert all(len(problem) < 850 for problem in found)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("=1", "'' is not a setting"),
        ("training={lr: 1}", "training is a group of settings (epochs, batch_size, lr,"),
        ("soft_adapt={variant: original}", "soft_adapt is a group of settings (variant, beta,"),
        ("grid=[{}]", "the blocks of a grid are set in its file"),
        ("seed=1 #2", "# begins a comment: put the value in quotes"),
        ("name=b # c", "name is 'b # c'; it must be letters"),
        ("seed=[1, 2]", "seed is [1, 2]; it must be an integer; a list is swept inside a block of grid"),
    ],
)
def test_an_override_says_what_it_cannot_be(override, message):
    """In an earlier version a group's message proposed itself."""
    (found,) = problems(f"name: a\n{BLOCK}", [override])
    assert found.startswith(f"--set {override}: {message}")


def test_overrides_are_read_like_a_file(read_grid):
    g = read_grid(f"name: a\ndata: {{dataset: folder}}\n{BLOCK}", [" seed = 7", "data.root='/images #1'", "name=b"])
    assert (g.name, g.rows[0].seed, g.rows[0].data.root) == ("b", 7, "/images #1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/images #1", "/images #1"),
        ("~", "~"),
        (" C: x ", "C: x"),
        ("12", "12"),
        ("[a", "[a"),
        ("'/a b'", "/a b"),
    ],
)
def test_a_text_setting_is_taken_as_it_stands(read_grid, text, value):
    """YAML took ` #1` for a comment, `~` for null, and 12 for a number."""
    (row,) = read_grid(f"name: a\ndata: {{dataset: folder}}\n{BLOCK}", [f"data.root={text}"]).rows
    assert row.data.root == value


def test_null_is_no_text(read_grid):
    (row,) = read_grid(f"name: a\ndata: {{root: /images}}\n{BLOCK}", ["data.root=null"]).rows
    assert row.data.root is None


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (
            "name: a\ngrid:\n- {method: single_decoder, exponent: 20}",
            ["seed=1", "method=none"],
            "--set method=none: exponent 20.0 (g.yaml, line 3): only method single_decoder draws its number of pixels",
        ),
        (
            f"name: a\n{BLOCK}",
            ["data.limit=3"],
            "--set data.limit=3: folds.n_splits: 3 images cannot be split into 5 folds",
        ),
        (
            "name: a\nfamily: vqvae\ngrid:\n- {configuration: 3}",
            ["family=gaussian_vae"],
            "--set family=gaussian_vae: configuration 3 (g.yaml, line 4): family gaussian_vae has no configuration 3, "
            "only 1, 2",
        ),
        (
            "name: a\ngrid:\n- {method: none, exponent: 20}",
            ["seed=1"],
            "g.yaml, line 3: exponent 20.0: only method single_decoder draws its number of pixels",
        ),
    ],
)
def test_an_override_is_named_for_what_it_causes(text, overrides, expected):
    """The file is right, so its line is not to be changed; the last case is the file's own mistake."""
    assert problems(text, overrides) == [expected]


@pytest.mark.parametrize(
    ("text", "overrides"),
    [
        ("name: a\ngrid: [{method: multi, exponent: 20}]", []),
        ("name: a\ngrid: [{method: [none, multi], exponent: 20}]", []),
        ("name: a\ngrid: [{methd: single_decoder, exponent: 20}]", []),
        ("name: a\nmethod: multi\ngrid: [{exponent: 20}]", []),
        ("name: a\ngrid: [{exponent: 20}]", ["method=multi"]),
        ("name: a\nfolds.n_splits: two\ngrid: [{data.limit: 4}]", []),
        ("name: a\nmodel: 3\ngrid: [{family: vqvae}]", []),
    ],
)
def test_a_wrong_method_brings_no_second_error(text, overrides):
    """The exponent was said not to fit method none, which nobody wrote."""
    assert len(problems(text, overrides)) == 1


def test_a_wrong_setting_hides_no_other_mistake():
    """A method of the block's own is not in doubt because of a shared one, nor because of a number of epochs."""
    text = "name: a\nmethod: multi\ntraining.epochs: ten\ngrid: [{method: none, exponent: 20}]"
    assert [line.partition(" ")[2] for line in problems(text)] == [
        "line 2: method is 'multi'; it must be one of none, head_only, conditioned, multi_decoder, single_decoder",
        "line 3: training.epochs is 'ten'; it must be an integer",
        "line 4: exponent 20.0: only method single_decoder draws its number of pixels",
    ]


@pytest.mark.parametrize(
    "given", ["training.lr: [1e-3, 1e-4]", "model.hidden: [[8], [16]]", "method: [none, conditioned]"]
)
def test_a_shared_list_says_where_lists_go(given):
    (found,) = problems(f"name: a\n{given}\n{BLOCK}")
    assert found.endswith("; a list is swept inside a block of grid")
    assert problems("name: a\nseed: x\ngrid: [{seed: [1, x]}]")[1].endswith("must be an integer")


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (b"a: 1\nb: \xe4\n", 2, "not UTF-8 text"),
        (b"\xff\xfea\0\n\0\0\xd8", 2, "not UTF-16-LE text"),
        ("a: \xe4\n\nb: \x01\n".encode(), 3, "special characters are not allowed"),
        ("a: 1\nb: \ud800\n", 2, "special characters are not allowed"),
    ],
)
def test_text_that_cannot_be_read_has_its_line(text, line, expected):
    with pytest.raises(yaml_reader.Unreadable, match=expected) as caught:
        yaml_reader.parse(text)
    assert caught.value.line == line


def test_many_problems_are_some_and_a_count():
    """A message that occurs in a thousand lines leaves room for one that occurs once, further down."""
    text = "name: a\ngrid:\n" + "- {sed: 1}\n" * 1000 + "- {family: x}\n"
    shown = problems(text)
    assert shown[:19] == [f"g.yaml, line {n}: sed is not a setting; did you mean seed?" for n in range(3, 22)]
    assert shown[19:] == [
        "g.yaml, line 1003: family is 'x'; it must be one of gaussian_vae, vqvae, autoencoder",
        "... and 981 more problems",
    ]
    with pytest.raises(grid.GridError) as caught:
        grid.read(yaml_reader.parse(text), "g.yaml")
    assert len(caught.value.all_problems) == 1001
    assert problems("name: a\ngrid:\n" + "- 1\n" * 21)[20:] == ["... and 1 more problem"]
    assert len(problems("name: a\ngrid:\n" + "- 1\n" * 20)) == 20
    assert problems(f"name: a\n{BLOCK}", ["sed=1"] * 2 + [f"sed={i}" for i in range(1000)])[20:] == [
        "... and 980 more problems"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.system ['true']", "is not a plain value"),
        ("a: !thing 3", "is not a plain value"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper"),
        ("a: " + "[" * 5000, "nested deeper"),
        ("a: &x [*x]", "nested deeper"),
        ("a: \x00", "not valid YAML"),
        (b"a: \xff\xfe", "not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML"),
    ],
)
def test_broken_and_hostile_yaml(text, expected):
    with pytest.raises(yaml_reader.Unreadable, match=expected):
        yaml_reader.parse(text)


def test_aliases_cannot_expand_without_end():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 10) + "]" for i in range(1, 9)]
    with pytest.raises(yaml_reader.Unreadable, match="after expanding aliases"):
        yaml_reader.parse("\n".join(levels))


def test_merge_keys_and_numbers_as_keys_are_problems():
    document = yaml_reader.parse("a: &a {x: 1}\nb:\n  <<: *a\n3: 4\n")
    assert [line for line, _ in document.problems] == [3, 4]


def test_numbers_and_dates():
    assert yaml_reader.parse("[1e-3, -2E5, 1.5e3, 7, 2024-01-01]").value == (1e-3, -2e5, 1.5e3, 7, "2024-01-01")


def test_unreadable_files(tmp_path):
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * 1_000_001)
    for path, expected in [(tmp_path, "cannot read it"), (large, "larger than")]:
        with pytest.raises(grid.GridError, match=expected):
            grid.load(str(path))
    with pytest.raises(grid.GridError, match=r"no such file, and no shipped grid of that name \(.*grid_quick\.yaml"):
        grid.load("mine.yaml")


@pytest.mark.parametrize("name", ["quick", "grid_quick", "quick.yaml", "grid_quick.yaml"])
def test_a_shipped_grid_has_a_short_name(name, tmp_path, monkeypatch):
    """A folder of that name, such as a copy of the results, is no grid; a file here is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert grid.load(name).name == "quick"
    (tmp_path / name).rmdir()
    (tmp_path / name).write_text(f"name: mine\n{BLOCK}")
    assert grid.load(name).name == "mine"


@pytest.mark.parametrize("name", ["grid_quik", "grid_quik.yaml", "quik", "Quick", "GRID_QUICK.yaml"])
def test_a_misspelt_grid_is_suggested(name):
    with pytest.raises(grid.GridError) as caught:
        grid.load(name)
    assert caught.value.problems == [
        f"{name}: no such file, and no shipped grid of that name; did you mean grid_quick.yaml?"
    ]


def test_a_file_here_wins_over_a_shipped_one(tmp_path, monkeypatch):
    assert grid.load("grid_quick.yaml").name == "quick"
    (tmp_path / "grid_quick.yaml").write_text(f"name: mine\n{BLOCK}")
    monkeypatch.chdir(tmp_path)
    assert grid.load("grid_quick.yaml").name == "mine"


SHIPPED = sorted(path.name for path in grid.SHIPPED.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_resolved_grid_has_the_same_keys(name):
    g = grid.load(name)
    again = grid.read(yaml_reader.parse(g.dump([key_of(row) for row in g.rows])), "grid.yaml")
    assert again.name == g.name
    assert list(map(key_of, again.rows)) == list(map(key_of, g.rows))
    assert again.rows == g.rows


def test_flatten_and_unflatten_are_inverse(tiny):
    for row in tiny.rows:
        assert unflatten(flatten(row)) == row
        assert flatten(row).keys() == FIELDS.keys()


@given(documents, st.lists(st.tuples(words, st.text(max_size=10)), max_size=2))
@settings(max_examples=300, deadline=None)
def test_any_document_is_a_grid_or_has_problems(document, overrides):
    import yaml

    text = yaml.safe_dump(document, allow_unicode=True)
    try:
        g = grid.read(yaml_reader.parse(text), "g.yaml", [f"{path}={value}" for path, value in overrides])
    except grid.GridError as error:
        assert error.problems
        assert not any("\n" in problem for problem in error.problems)
    except yaml_reader.Unreadable as error:
        assert str(error)
    else:
        assert g.rows or g.search
        assert grid.NAME.fullmatch(g.name)


@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_yaml_or_unreadable(text):
    try:
        yaml_reader.parse(text)
    except yaml_reader.Unreadable as error:
        assert str(error)


def test_soft_adapt_is_one_word_or_a_group(read_grid):
    text = """
        name: a
        soft_adapt.every: 11
        method: multi_decoder
        grid:
          - {soft_adapt: [false, true, original]}
          - {soft_adapt: {variant: normalised, beta: 0.3}}
    """
    found = [(r.soft_adapt.variant, r.soft_adapt.beta, r.soft_adapt.every) for r in read_grid(text).rows]
    assert found == [
        (None, None, None),
        ("loss_weighted", 5e-3, 11),
        ("original", 5e-3, 11),
        ("normalised", 0.3, 11),
    ]
    off = "name: a\nsoft_adapt: true\nmethod: multi_decoder\ngrid: [{}]"
    assert [r.soft_adapt.variant for r in read_grid(off, ["soft_adapt=false"]).rows] == [None]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("{soft_adapt: maybe}", "soft_adapt.variant is 'maybe'; it must be one of original, normalised, loss_weighted"),
        ("{family: autoencoder, soft_adapt: true}", "this family and method train on one term"),
        ("{method: multi_decoder, soft_adapt: true, soft_adapt.every: 5}", "order 5 needs the losses of 6 steps"),
        ("{soft_adapt.beta: 0.1}", "soft_adapt.beta 0.1: SoftAdapt is off in this row"),
        ("{method: multi_decoder, schedule.switch_epoch: 0}", "schedule.switch_epoch is 0; it must be greater than 0"),
        (
            "{method: multi_decoder, schedule.switch_epoch: 9, training.epochs: 9}",
            "schedule.switch_epoch 9: no epoch would follow the switch: training.epochs is 9",
        ),
        ("{method: none, schedule.switch_epoch: 9}", "schedule.switch_epoch 9: only method multi_decoder has a second"),
        ("{method: single_decoder, schedule.switch_epoch: 9}", "only method multi_decoder has a second decoder to end"),
        ("{method: single_decoder, sampler: exact}", "sampler exact: method single_decoder takes uniform or gaussian"),
        ("{method: multi_decoder, sampler: gaussian}", "sampler gaussian: method multi_decoder takes uniform or exact"),
        ("{method: conditioned, exponent: 3}", "only method single_decoder draws its number"),
        ("{method: conditioned, sampler: exact, conditioning.positions: [3, 16]}", "different and below the side, 16"),
        ("{method: conditioned, conditioning.count: 257}", "an image has only 256 pixels"),
        ("{method: single_decoder, conditioning.count: 7}", "of a method with a fixed count takes a count"),
        ("{family: autoencoder, loss.latent_weight: 1.0}", "family autoencoder has no latent loss"),
        ("{family: autoencoder, evaluation.latent: mean}", "only family gaussian_vae draws z"),
        ("{family: gaussian_vae, configuration: 3}", "gaussian_vae has no configuration 3, only 1, 2"),
        ("{folds.selection: test_half}", "digits has no official test part"),
        ("{folds.selection: random_test_half}", "digits has no official test part"),
        ("{data.side: 32}", "only a folder's images are resized"),
    ],
)
def test_combinations_that_cannot_be(block, expected):
    assert any(expected in problem for problem in problems(f"name: a\ngrid: [{block}]"))
