"""The blocks `search:`, `base:` and `racing:`: what they mean, and that every problem has its line."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtvae.config import FAMILIES, METHODS, Metric
from sweeps.config import grid, yaml_reader
from sweeps.config.measured import KNOWN_BEFORE, OTHER_COLUMNS, all_metrics, column_of
from sweeps.config.search import Choices, Constraint, Objective, Racing, Range, Search
from sweeps.config.settings import FIELDS
from sweeps.config.stages import STAGES
from sweeps.config.yaml_writer import settings_to_yaml
from sweeps.ledger.schema import UNIT_SCHEMA, unit_schema
from sweeps.plan.identity import key_of

FULL = """
name: a
seed: 7
training: {epochs: 10, lr: 0.002}
base: {family: gaussian_vae, configuration: 1, soft_adapt: false}
search:
  configurations: 40
  hours: 6
  each: method
  sampler: gp
  metric: unconditioned_per_image
  score_on: validation
  direction: maximize
  racing: forgiving
  space:
    training.lr: {low: 1e-4, high: 1e-2, log: true}
    exponent: {low: 10, high: 80, step: 5}
    method: [multi_decoder, single_decoder]
    model:
      latent: {low: 4, high: 64, log: yes}
    loss.w1: {low: 1, high: 9, int: true}
  constraints: {parameters: "<= 5e6", unconditioned: ">= .01", collapsed: <=0}
grid: [{method: none}]
"""

HEAD = "name: a\nbase: {method: single_decoder}\nsearch:\n  configurations: 3\n"
SPACE = "  space:\n    exponent: [20, 30]\n"
RACED = "name: a\ngrid: [{family: [vqvae, gaussian_vae]}]\nracing: "
UNCONDITIONED = Objective("unconditioned", "unconditioned_per_pixel")


def problems(text, overrides=()):
    with pytest.raises(grid.GridError) as caught:
        grid.read(yaml_reader.parse(text), "g.yaml", overrides)
    return caught.value.all_problems


def reread(found):
    """Return a grid as it is read from its own dump, which gives every setting."""
    text = found.dump([key_of(row) for row in found.rows])
    return replace(grid.read(yaml_reader.parse(text), "grid.yaml"), given=found.given)


def test_a_full_search_is_read(read_grid):
    """The space is in the order of the settings, and a searched setting's shared value is the grid's alone."""
    objective = Objective("unconditioned", "unconditioned_per_image", "validation", minimize=False)
    found = read_grid(FULL)
    assert found.search == Search(
        base={
            "seed": 7,
            "family": "gaussian_vae",
            "configuration": 1,
            "soft_adapt.variant": None,
            "training.epochs": 10,
        },
        space={
            "method": Choices(("multi_decoder", "single_decoder")),
            "exponent": Range(10.0, 80.0, 5.0),
            "model.latent": Range(4, 64, log=True, integer=True),
            "loss.w1": Range(1.0, 9.0, integer=True),
            "training.lr": Range(1e-4, 1e-2, log=True),
        },
        objective=objective,
        configurations=40,
        hours=6.0,
        each="method",
        sampler="gp",
        constraints=(
            Constraint("parameters", "<=", 5e6, known=True),
            Constraint("unconditioned_per_pixel", ">=", 0.01, known=False),
            Constraint("collapsed", "<=", 0.0, known=False),
        ),
        seed=7,
    )
    assert found.racing == Racing("forgiving", objective)
    assert list(found.search.space) == ["method", "exponent", "model.latent", "loss.w1", "training.lr"]
    assert [(row.family, row.training.lr) for row in found.rows] == [("vqvae", 0.002)]


def test_defaults_of_a_search(read_grid):
    found = read_grid("name: a\nsearch: {hours: 1, space: {training.epochs: [1, 2]}}")
    assert found.rows == ()
    assert found.search == Search({}, {"training.epochs": Choices((1, 2))}, UNCONDITIONED, hours=1.0)
    assert found.racing == Racing("none", UNCONDITIONED)


def test_settings_are_written_as_in_blocks(read_grid):
    space = read_grid("""
        name: a
        base: {method: multi_decoder}
        search:
          hours: 1
          space:
            soft_adapt: [false, true, original]
            model.hidden: [[8, 16], [16, 32]]
            conditioning.count: [null, 5]
            training: {lr: [1e-3], batch_size: {low: 1_6, high: 32}}
    """).search.space
    assert space == {
        "model.hidden": Choices(((8, 16), (16, 32))),
        "conditioning.count": Choices((None, 5)),
        "soft_adapt.variant": Choices((None, "loss_weighted", "original")),
        "training.batch_size": Range(16, 32, integer=True),
        "training.lr": Choices((1e-3,)),
    }


def test_a_group_of_soft_adapt_is_searched(read_grid):
    space = "{soft_adapt: {variant: [true], beta: [0, 1]}}"
    text = f"name: a\nbase: {{method: multi_decoder}}\nsearch: {{hours: 1, space: {space}}}"
    assert list(read_grid(text).search.space) == ["soft_adapt.variant", "soft_adapt.beta"]


def test_a_grids_race_is_read(read_grid):
    found = read_grid(RACED + "{rule: corrected_t, metric: latent_loss, score_on: validation}", ["family=vqvae"])
    assert found.search is None
    assert found.racing == Racing("corrected_t", Objective("latent_loss", "latent_loss", "validation"))
    assert read_grid(RACED + "forgiving").racing == Racing("forgiving", UNCONDITIONED)
    assert read_grid(RACED.removesuffix("racing: ")).racing is None


def test_the_direction_is_the_metrics(read_grid):
    search = read_grid(FULL.replace("unconditioned_per_image", "active_units").replace("validation", "test"), [])
    assert search.search.objective == Objective("active_units", "active_units", "test", minimize=False)
    text = HEAD + SPACE + "  metric: active_units\n"
    assert not read_grid(text.replace("{method", "{family: gaussian_vae, method")).search.objective.minimize


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("3", "line 5: search must be a mapping of configurations, hours, each,"),
        ("", "line 5: search must be a mapping of configurations, hours, each,"),
    ],
)
def test_a_search_is_a_mapping(lines, expected):
    assert expected in problems(f"name: a\n\n\n\nsearch: {lines}")[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("  samplr: tpe", "line 7: samplr is not a key of search, which has configurations, hours,"),
        ("  samplr: tpe", "did you mean sampler?"),
        ("  sampler: tpee", "line 7: search.sampler is 'tpee'; it must be one of tpe, random, gp; did you mean tpe?"),
        ("  hours: 0", "line 7: search.hours is 0; it must be greater than 0"),
        ("  hours: .inf", "line 7: search.hours is inf; it must be a finite number"),
        ("  score_on: train", "line 7: search.score_on is 'train'; it must be one of test, validation"),
        ("  direction: lower", "line 7: search.direction is 'lower'; it must be one of minimize, maximize"),
        ("  racing: yes", "line 7: search.racing is yes; it must be one of none, forgiving, corrected_t"),
        (
            "  each: method",
            "line 7: search.each is 'method'; it must be a searched setting with a list of values (expo",
        ),
        ("  metric: uncond", "line 7: search.metric is 'uncond'; it must be one of unconditioned, conditioned,"),
        ("  metric: unconditioned_per_element", "line 7: search.metric is 'unconditioned_per_element'; it must be"),
        ("  metric: 3", "line 7: search.metric is 3; it must be a string"),
        ("  metric: latent_loss_per_pixel", "line 7: search.metric is 'latent_loss_per_pixel'"),
        ("  metric: active_units", "line 7: search.metric: not every configuration has active_units; family vqvae"),
        ("  metric: condition_pixels", "line 7: search.metric: condition_pixels is better neither lower nor higher"),
        (
            "  metric: training_unconditioned\n  score_on: validation",
            "line 8: search.score_on: training_unconditioned is not measured on the validation set; only",
        ),
        (
            "    family: [vqvae, gaussian_vae]\n  metric: latent_loss",
            "line 8: search.metric: latent_loss is nats per image or squared error per element of the grid, which can",
        ),
        (
            "    family: [vqvae, gaussian_vae]\n  metric: unconditioned_per_image",
            "line 8: search.metric: families vqvae, gaussian_vae are compared per pixel: write unconditioned",
        ),
        ("  constraints: 3", "line 7: search.constraints must be a mapping of names to bounds, not a number"),
        (
            "  constraints: {parameters: 5e6}",
            "line 7: search.constraints.parameters is 5000000.0; it must be '<= NUMBER'",
        ),
        ("  constraints: {flops: '< 5'}", "line 7: search.constraints.flops is '< 5'; it must be '<= NUMBER'"),
        ("  constraints: {flops: <= x}", "line 7: search.constraints.flops is '<= x'; it must be '<= NUMBER'"),
        ("  constraints: {flops: <= 1e999}", "line 7: search.constraints.flops is '<= 1e999'; it must be"),
        ("  constraints:\n    flop: <= 1", "line 8: search.constraints: flop cannot be bounded; it must be one of"),
        (
            "  constraints: {active_units: '>= 1'}",
            "line 7: search.constraints: no configuration of this search has act",
        ),
        (
            "  constraints: {unconditioned: <= 1, unconditioned_per_pixel: <= 2}",
            "line 7: search.constraints: unconditioned_per_pixel is bounded twice",
        ),
        ("racing: forgiving", "line 7: with a search, racing is a key of search, and is compared by its metric"),
    ],
)
def test_every_key_is_checked(lines, expected):
    found = problems(HEAD + SPACE + lines)
    assert any(expected in problem for problem in found), found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("data.limit: [60, 70]", "data.limit cannot be searched: every suggestion sees the same images"),
        ("folds: {n_splits: [2, 3]}", "folds.n_splits cannot be searched: every suggestion has the same folds"),
        ("seed: [1, 2]", "seed cannot be searched: every suggestion has the same seed"),
        ("resources.cpus: [1]", "resources.cpus cannot be searched: resources change no score"),
        ("keep_models: [all]", "keep_models cannot be searched: it changes no score"),
        ("prior.kind: [markov, histogram]", "prior.kind cannot be searched: suggestions are told apart by their train"),
        ("generation.draws: [4, 8]", "generation.draws cannot be searched: suggestions are told apart by their train"),
        ("training.cuda_graph: [true, false]", "training.cuda_graph cannot be searched: it changes no score"),
        ("training.lrr: [1]", "training.lrr is not a setting; did you mean training.lr?"),
        ("training: 3", "training is a group of settings (epochs, batch_size,"),
        ("training: {lr: [1], lrr: [1]}", "training.lrr is not a setting; did you mean training.lr?"),
        ("training: {lr: [1]}\n    training.lr: [2]", "training.lr is searched twice"),
        ("training.lr: 0.1", "training.lr is 0.1; in a space it must be a list of values, or a mapping with low and"),
        ("training.lr: []", "training.lr is an empty list"),
        ("training.lr: [0.1, x]", "training.lr is 'x'; it must be a number"),
        ("training.lr: [1, 1.0]", "training.lr has the choice 1.0 twice"),
        ("soft_adapt: [true, loss_weighted]", "soft_adapt.variant has the choice 'loss_weighted' twice"),
        ("family: {low: 1, high: 2}", "family takes no range: write a list of its values"),
        ("training.shuffle: {low: 0, high: 1}", "training.shuffle takes no range: write a list of its values"),
        ("model.hidden: {low: 1, high: 2}", "model.hidden takes no range: write a list of its values"),
        ("training.lr: {low: 1}", "training.lr is a range without high: a range needs low and high"),
        ("training.lr: {low: 1, high: 2, lgo: true}", "lgo is not a key of the range of training.lr, which has low,"),
        ("training.lr: {low: 0, high: 2}", "training.lr.low is 0; it must be greater than 0"),
        ("training.lr: {low: 1, high: .inf}", "training.lr.high is inf; it must be a finite number"),
        ("training.lr: {low: 1, high: yes}", "training.lr.high is yes; it must be a number"),
        ("training.lr: {low: 0123, high: 200}", "training.lr.low is 0123, which is 83 in YAML 1.1 and 123 in YAML 1.2"),
        ("training.lr: {low: 1, high: 2024-01-01}", "training.lr.high is '2024-01-01'; it must be a number"),
        ("conditioning.spread: {low: null, high: 1}", "conditioning.spread.low is null; it must be a number"),
        ("training.epochs: {low: 1, high: 2.5}", "training.epochs.high is 2.5; it must be an integer"),
        (
            "configuration: {low: 1, high: 10000000000000000}",
            "configuration.high is 10000000000000000; it must be at m",
        ),
        ("training.lr: {low: 2, high: 2}", "training.lr: low is 2; it must be below high, 2"),
        ("loss.w1: {low: 0, high: 2, log: true}", "loss.w1: low is 0; with log it must be above 0"),
        ("loss.w1: {low: 1, high: 2, log: 1}", "loss.w1.log is 1; it must be a boolean"),
        ("loss.w1: {low: 1, high: 2, log: true, step: 1}", "loss.w1: a range with log has no step"),
        ("loss.w1: {low: 1, high: 2, step: 0}", "loss.w1.step is 0; it must be greater than 0"),
        ("loss.w1: {low: 0, high: 1, step: 0.3}", "loss.w1: steps of 0.3 from 0 end at 0.9, not at high, 1"),
        (
            "loss.w1: {low: 0, high: 1.5, int: true}",
            "loss.w1: high is 1.5; it must be a whole number, because the valu",
        ),
        ("training.epochs: {low: 1, high: 2, int: false}", "training.epochs: its values are whole numbers, so int can"),
        ("training.epochs: {low: 1, high: 2, step: 0.5}", "training.epochs: step is 0.5; it must be a whole number"),
        ("method: [none]", "method is searched, so it cannot be set here too"),
        ("model.latent: [4, 8]", "model.latent applies to no configuration of this search: family vqvae has no such"),
        ("loss.w2: {low: 1, high: 2}", "loss.w2 applies to no configuration of this search: only method multi_decoder"),
        ("sampler: [null, gaussian]", "sampler: null stands for its default: write 'uniform' instead"),
        ("sampler: [exact]", "sampler exact: method single_decoder takes uniform or gaussian"),
        ("model.hidden: [[4, 4, 4, 4, 4]]", "model.hidden [4, 4, 4, 4, 4]: 5 widths halve the side 5 times"),
    ],
)
def test_every_dimension_is_checked(line, expected):
    found = problems(f"{HEAD}{SPACE}    {line}")
    assert any(expected in problem for problem in found), found
    assert len(found) == 1
    assert found[0].startswith("g.yaml, line 2: " if line == "method: [none]" else "g.yaml, line 7: ") or "\n" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD.replace("configurations: 3", "sampler: tpe") + SPACE, ["line 3: search needs a limit: configurations,"]),
        (HEAD.replace("3", "null") + SPACE, ["line 3: search needs a limit: configurations, hours, or both"]),
        (HEAD, ["line 3: search.space is missing or empty"]),
        (HEAD + "  space: {}", ["line 5: search.space is missing or empty"]),
        (HEAD + "  space: [exponent]", ["line 5: search.space is missing or empty"]),
        (
            HEAD.replace("{method: single_decoder}", "[1]") + SPACE,
            ["line 2: base must be a mapping of settings, not a l"],
        ),
        (HEAD.replace("_decoder", "_dec") + SPACE, ["line 2: method is 'single_dec'; it must be one of"]),
        (
            HEAD.replace("single_decoder", "none") + SPACE,
            ["line 6: exponent applies to no configuration of this search:"],
        ),
        (
            HEAD.replace("{", "{model.latent: 3, ") + SPACE,
            ["line 2: model.latent applies to no configuration of this s"],
        ),
        (
            HEAD.replace("{", "{configuration: 9, ") + SPACE,
            ["line 2: configuration 9: family vqvae has no configuration 9"],
        ),
        (HEAD.replace("{", "{exponent: 3, ") + SPACE, ["line 2: exponent is searched, so it cannot be set here too"]),
        (
            HEAD.replace("base:", "exponent: 3\nbase:") + SPACE,
            ["line 2: exponent is searched, so it cannot be set here"],
        ),
        (
            "name: a\nbase: {seed: 1}\ngrid: [{}]",
            ["line 2: base is what a search's suggestions share, and this file has"],
        ),
        (HEAD + SPACE + "grid: []", ["line 7: grid is missing or empty"]),
        (
            HEAD + "  space: {model.hidden: [[4, 4, 4, 4, 4], [4, 4, 4, 4, 4, 4]]}",
            ["line 5: no configuration of the space is valid; for example, model.hidden [4, 4, 4, 4, 4]: 5 widths"],
        ),
        (RACED + "3", ["line 3: racing must be a mapping of rule, metric, score_on, direction, not a number"]),
        (RACED + "fast", ["line 3: racing.rule is 'fast'; it must be one of none, forgiving, corrected_t"]),
        (RACED + "{metric: unconditioned}", ["line 3: racing.rule is missing"]),
        (
            "name: a\ngrid: [{method: multi_decoder, schedule.switch_epoch: [null, 9]}]\nracing: "
            "{rule: none, metric: conditioned}",
            [
                "line 3: racing.metric: not every configuration has conditioned; family vqvae, method multi_decoder, "
                "schedule.switch_epoch 9 has not"
            ],
        ),
        (
            "name: a\ngrid: [{prior.kind: [markov, histogram]}]\nracing: {rule: forgiving, metric: bits_per_code}",
            ["line 3: racing.metric: trainings are compared by bits_per_code, so each may have one prior only"],
        ),
        (RACED + "{rule: none, sore_on: test}", ["line 3: sore_on is not a key of racing, which has rule, metric,"]),
        (
            RACED + "{rule: none, metric: perplexity}",
            ["line 3: racing.metric: not every configuration has perplexity;"],
        ),
        ("name: a\nserch: 3\ngrid: [{}]", ["line 2: serch is not a setting; did you mean search?"]),
        (
            "name: '?'\nsed: 1\nbase: {lrr: 1}\nsearch:\n  samplr: tpe\n  space:\n    exponent: 3\n    method: [x]\n",
            ["line 1: ", "line 2: ", "line 3: ", "line 4: search needs a limit", "line 5: ", "line 7: ", "line 8: "],
        ),
    ],
)
def test_all_problems_of_a_file(text, expected):
    found = sorted(problems(text))
    assert len(found) == len(expected), found
    for problem, start in zip(found, expected, strict=True):
        assert problem.startswith(f"g.yaml, {start}")


def test_overrides_change_keys_of_the_blocks(read_grid):
    """Every scalar key, a setting's values, and one key of a range may be set, however the file groups them."""
    changes = ["configurations=80", "hours=null", "racing=none", "space.exponent.high=60", "constraints.seconds=<= 9"]
    changes += ["space.model.latent.low=8", "space.method=[single_decoder, none]", "space.soft_adapt=[true]"]
    found = read_grid(FULL.replace(", soft_adapt: false", ""), [f"search.{change}" for change in changes])
    assert (found.search.configurations, found.search.hours, found.racing.rule) == (80, None, "none")
    assert found.search.space["exponent"] == Range(10.0, 60.0, 5.0)
    assert found.search.space["model.latent"] == Range(8, 64, log=True, integer=True)
    assert found.search.space["method"] == Choices(("single_decoder", "none"))
    assert found.search.space["soft_adapt.variant"] == Choices(("loss_weighted",))
    assert found.search.constraints[-1] == Constraint("seconds", "<=", 9.0, known=False)
    raced = read_grid("name: a\ngrid: [{family: vqvae}]", ["racing=forgiving", "racing.metric=perplexity"]).racing
    assert raced == Racing("forgiving", Objective("perplexity", "perplexity", minimize=False))
    assert read_grid(FULL, ["training.epochs=3"]).search.base["training.epochs"] == 3


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search=3", "--set changes no search, only search.configurations, search.hours,"),
        ("search.space={}", "--set changes no search.space, only search.configurations,"),
        ("search.samplr=tpe", "--set changes no search.samplr; did you mean search.sampler?"),
        ("search.sampler=tpee", "search.sampler is 'tpee'; it must be one of tpe, random, gp; did you mean tpe?"),
        ("search.hours=", "search.hours is empty: is a variable not set? (write null for no value)"),
        ("search.space.exponent=3", "exponent is 3; in a space it must be a list of values, or a mapping with low"),
        ("search.space.exponent.low=3", "exponent has no range in this file, so it has no low"),
        ("search.space.training.lr.low=3", "training.lr.low is 3; it must be below high"),
        ("search.space.training.lr.lo=3", "lo is not a key of the range of training.lr"),
        ("search.space.lr=[3]", "lr is not a setting; did you mean training.lr or prior.lr?"),
        ("search.constraints.flops=3", "search.constraints.flops is 3; it must be '<= NUMBER'"),
        ("exponent=3", "exponent is searched; --set search.space.exponent=[...] changes what it may be"),
        ("base.method=none", "base is set in its file; --set method=... changes a setting everywhere"),
        ("racing.rule=none", "with a search, --set search.racing=... sets the rule of its race"),
    ],
)
def test_overrides_are_checked(override, expected):
    text = HEAD + SPACE + "    training.lr: {low: 0.1, high: 1}\n"
    (found,) = problems(text, [override])
    assert found.startswith(f"--set {override}: ")
    assert expected.replace(".low is 3", ": low is 3") in found


def test_overrides_need_a_search():
    assert problems("name: a\ngrid: [{}]", ["search.configurations=3"]) == [
        "--set search.configurations=3: this file has no search"
    ]


def test_plug_in_metrics_are_metrics(read_grid):
    """A metric without a direction is searched with one that the file gives."""
    toy = Metric("toy", "apples")
    family = FAMILIES["autoencoder"]
    with FAMILIES.temporarily(replace(family, metrics=(toy,))):
        text = HEAD.replace("{", "{family: autoencoder, ") + SPACE + "  metric: toy\n  direction: maximize\n"
        assert read_grid(text).search.objective == Objective("toy", "toy", "test", minimize=False)
    assert any("search.metric is 'toy'" in problem for problem in problems(text))


def test_every_bounded_number_is_recorded():
    """A constraint's and an objective's name is a column of the ledger, or known before training."""
    columns = [*OTHER_COLUMNS, *(column_of(metric, None) for metric in all_metrics().values())]
    of_stages = [name for stage in STAGES for name in unit_schema("vqvae", stage.name).names]
    assert set(columns) <= {*UNIT_SCHEMA.names, *of_stages}
    assert set(KNOWN_BEFORE) == {"parameters", "flops"}


def test_a_grid_and_its_search_are_written():
    """Only what suggestions share stands above the rows: a row's size of a network is not a suggestion's."""
    found = grid.read(yaml_reader.parse(FULL), "g.yaml")
    text = found.dump([key_of(row) for row in found.rows])
    assert "\nmodel." not in text
    assert "  metric: unconditioned_per_image\n" in text
    assert reread(found) == found


@pytest.mark.parametrize("block", ["forgiving", "{rule: none, metric: latent_loss, direction: maximize}"])
def test_a_race_is_written(read_grid, block):
    found = read_grid(RACED + block, ["family=vqvae"])
    assert reread(found) == found


numbers = st.floats(1e-6, 1e6, allow_subnormal=False)


def ranges(values):
    """Return ranges between two different values, some of them with a logarithm."""
    bounds = st.lists(values, min_size=2, max_size=2, unique=True).map(sorted)
    return st.builds(lambda pair, log: {"low": pair[0], "high": pair[1], "log": log}, bounds, st.booleans())


def steps():
    """Return ranges of floats with whole bounds and steps."""
    whole = st.integers(1, 40)
    return st.builds(lambda low, step, n: {"low": low, "high": low + n * step, "step": step}, whole, whole, whole)


def lists(values):
    return st.lists(values, min_size=1, max_size=3, unique_by=repr)


spaces = st.fixed_dictionaries(
    {"method": st.permutations([m.name for m in METHODS if m.name != "head_only"])},
    optional={
        "exponent": ranges(numbers) | steps() | lists(numbers),
        "model.latent": ranges(st.integers(1, 2**31)) | lists(st.integers(1, 99)),
        "model.hidden": lists(st.lists(st.integers(1, 64), min_size=1, max_size=3)),
        "soft_adapt": lists(st.sampled_from([None, "original", "normalised"])),
        "loss.w1": ranges(numbers) | steps().map(lambda keys: keys | {"int": True}),
        "training.lr": ranges(numbers) | lists(numbers),
        "training.shuffle": lists(st.booleans()),
        "conditioning.count": st.just([None, 5]),
    },
)
searches = st.fixed_dictionaries(
    {"configurations": st.integers(1, 10**6), "space": spaces},
    optional={
        "hours": numbers,
        "each": st.just("method"),
        "sampler": st.sampled_from(["tpe", "random", "gp"]),
        "metric": st.sampled_from(["unconditioned", "unconditioned_per_image", "latent_loss"]),
        "score_on": st.sampled_from(["test", "validation"]),
        "direction": st.sampled_from(["minimize", "maximize"]),
        "racing": st.sampled_from(["none", "forgiving", "corrected_t"]),
        "constraints": st.dictionaries(
            st.sampled_from(["parameters", "flops", "seconds", "active_units", "conditioned"]),
            st.builds(lambda sign, number: f"{sign} {number!r}", st.sampled_from(["<=", ">="]), numbers),
        ),
    },
)
bases = st.fixed_dictionaries(
    {"family": st.just("gaussian_vae")},
    optional={
        "seed": st.integers(0, 9),
        "data.root": st.sampled_from(["~/data", "/a b", "1e5", "yes", "#"]),
        "loss.latent_weight": numbers,
    },
)


@given(searches, bases, st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_search_is_read_as_it_was_written(search, base, with_rows):
    """The resolved grid of any valid search has the same rows, search and race."""
    document = {"name": "a", "base": base, "search": search, "training.weight_decay": 0.5}
    document |= {"grid": [{"method": ["none", "multi_decoder"]}]} if with_rows else {}
    found = grid.read(yaml_reader.parse(settings_to_yaml(document, False)), "g.yaml")
    assert len(found.rows) == 2 * with_rows
    assert set(found.search.space) <= FIELDS.keys()
    assert reread(found) == found
    assert list(reread(found).search.space) == list(found.search.space)
