"""A race over a grid: which units are handed out, which configurations are stopped, and what a resumed race does."""

import random

import pytest
import toy_stage
from work_sources import Watched, chain

from sweeps.analysis.racing import RULES
from sweeps.config.search import Objective, Racing
from sweeps.config.stages import STAGES
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome, Unit
from sweeps.plan.work_source import Done, GridSource, Wait
from sweeps.search.race import RacingSource, by_configuration, compared_baselines, same_model

GRID = """
name: race
data: {dataset: digits, limit: 60}
folds: {n_splits: 5}
grid: [{method: multi_decoder, training.lr: [0.001, 0.002, 0.003, 0.004]}]
"""
NAME = "vqvae 1 multi_decoder, training.lr"
OBJECTIVE = Objective("unconditioned", "score")
FORGIVING = Racing("forgiving", OBJECTIVE)
SCORES = [
    [5.0, 5.2, 4.8, 5.1, 4.9],  # the first incumbent
    [5.1, 5.9, 4.8, 5.0, 5.0],  # after fold 1 its mean, 5.5, is worse than 5.2
    [4.0, 4.1, 3.9, 4.2, 4.3],  # the best
    [4.2, 4.2, 4.4, 4.6, 4.1],  # worse than no fold of 4.3 until fold 3: its mean is 4.35 then
]


@pytest.fixture
def units(read_grid):
    return Plan(read_grid(GRID), frozenset(), frozenset()).units


@pytest.fixture
def keys(units):
    return list(dict.fromkeys(unit.key for unit in units))


def scored(units, scores=SCORES):
    """Return the scores by unit id."""
    keys = list(dict.fromkeys(unit.training_id[0] for unit in units))
    return {unit.id: scores[keys.index(unit.training_id[0])][unit.fold] for unit in units}


def race(inner, marks=None, racing=FORGIVING, **more):
    """Return a race over a source; it adds its marks to a list."""
    marks = [] if marks is None else marks
    return RacingSource(inner, racing, lambda r: r["score"], ["score"], lambda *mark: marks.append(mark), **more)


def run(source, scores, workers=1, failing=frozenset(), most=None):
    """Run a source with so many workers. Return the units in the order they were handed out.

    Args:
        most: how many units end before the run is killed; those under way are lost.
    """
    handed, running, ended = [], [], 0
    while most is None or ended < most:
        unit = source.next() if len(running) < workers else Wait()
        if isinstance(unit, Unit):
            handed.append(unit)
            running.append(unit)
            continue
        if not running:
            assert isinstance(unit, Done), "the race waits although nothing runs"
            return handed
        last = running.pop(0)
        failed = last.id in failing
        record = None if failed else {"score": scores[last.id]}
        source.finished(last, Outcome.FAILED if failed else Outcome.DONE, record)
        ended += 1
    return handed


def by_hand(units, scores, rule="forgiving"):
    """Return what one worker trains, by a plain loop, as an oracle."""
    trained, incumbent = [], None
    for key in dict.fromkeys(unit.key for unit in units):
        own = {}
        for unit in [unit for unit in units if unit.key == key]:
            if incumbent and RULES[rule](own, incumbent, True, 5):
                break
            trained.append(unit)
            own[unit.fold] = scores[unit.id]
        if len(own) == 5 and (incumbent is None or sum(own.values()) < sum(incumbent.values())):
            incumbent = own
    return trained


def test_lagging_configurations_are_stopped_and_marked(units, keys):
    """The worked example of `SCORES`: the mark holds the key, the reason and the number of folds."""
    marks = []
    handed = run(race(GridSource(by_configuration(units)), marks), scored(units))
    assert [(keys.index(unit.key), unit.fold) for unit in handed] == [
        *[(0, fold) for fold in range(5)],
        *[(1, fold) for fold in range(2)],
        *[(2, fold) for fold in range(5)],
        *[(3, fold) for fold in range(4)],
    ]
    assert marks == [
        (keys[1], f"forgiving: unconditioned 5.5 over 2 of 5 folds, against 5 of {NAME} 0.001", 2),
        (keys[3], f"forgiving: unconditioned 4.35 over 4 of 5 folds, against 4.1 of {NAME} 0.003", 4),
    ]


def test_the_inner_source_hears_of_the_end_before_the_drop(units, keys):
    """A search must know the scores of a configuration when it records why the configuration was stopped."""
    heard = []

    class Inner(Watched):
        def finished(self, unit, outcome, record):
            heard.append(unit.id)
            super().finished(unit, outcome, record)

        def drop(self, key, reason):
            heard.append(key)
            super().drop(key, reason)

    run(race(Inner(by_configuration(units))), scored(units))
    assert heard.index(keys[1]) == heard.index((keys[1], 1)) + 1
    assert heard.count(keys[1]) == 1


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_folds_of_a_configuration_are_trained_in_order(units, workers):
    """No fold begins before the one before it has ended, and with several workers several configurations run."""
    scores, under_way, most = scored(units), set(), 0
    source = race(GridSource(by_configuration(units)))
    rng = random.Random(workers)
    running, handed = [], []
    while True:
        unit = source.next() if len(running) < workers else Wait()
        if isinstance(unit, Unit):
            assert unit.key not in under_way
            assert unit.fold == sum(other.key == unit.key for other in handed)
            handed.append(unit)
            running.append(unit)
            under_way.add(unit.key)
            most = max(most, len(under_way))
        elif running:
            last = running.pop(rng.randrange(len(running)))
            under_way.discard(last.key)
            source.finished(last, Outcome.DONE, {"score": scores[last.id]})
        else:
            break
    assert most == min(workers, 4)


@pytest.mark.parametrize("rule", ["forgiving", "corrected_t"])
def test_one_worker_trains_what_a_plain_loop_does(units, rule):
    rng = random.Random(7)
    stopped = 0
    for _ in range(50):
        centres = [rng.gauss(5, 1) for _ in range(4)]
        scores = scored(units, [[rng.gauss(centre, 0.3) for _ in range(5)] for centre in centres])
        handed = run(race(GridSource(by_configuration(units)), racing=Racing(rule, OBJECTIVE)), scores)
        assert handed == by_hand(by_configuration(units), scores, rule)
        stopped += len(handed) < 20
    assert stopped > 25


def test_a_killed_race_resumes_to_the_same_units(units):
    """One worker, killed after every possible number of units: done scores and marks are all that is left."""
    scores = scored(units)
    whole = run(race(GridSource(by_configuration(units))), scores)
    for most in range(1, len(whole)):
        marks = []
        first = run(race(GridSource(by_configuration(units)), marks), scores, most=most)[:most]
        done = {unit.id for unit in first}
        missing = by_configuration(unit for unit in units if unit.id not in done)
        more = {"done": [(u, scores[u.id]) for u in first], "stopped": {key: reason for key, reason, _ in marks}}
        rest = run(race(GridSource(missing), marks, **more), scores)
        assert first + rest == whole, most
        assert len(marks) == len({key for key, *_ in marks}) == 2


def test_earlier_marks_are_honoured_unless_all_folds_are_done(units, keys):
    """A mark of an incomplete configuration drops it; a complete one may be the incumbent in spite of its mark."""
    scores = scored(units)
    done = [(unit, scores[unit.id]) for unit in units if unit.key == keys[2]]
    missing = by_configuration(unit for unit in units if unit.key != keys[2])
    marks = []
    stopped = dict.fromkeys([keys[2], keys[3]], "stopped before")
    handed = run(race(GridSource(missing), marks, done=done, stopped=stopped), scores)
    assert [(keys.index(unit.key), unit.fold) for unit in handed] == [(0, 0), (1, 0)]
    assert [key for key, *_ in marks] == keys[:2]


def test_racing_none_trains_the_rest(units, keys):
    missing = by_configuration(units)
    source = race(GridSource(missing), racing=Racing("none", OBJECTIVE), stopped={keys[0]: "stopped before"})
    assert run(source, scored(units)) == missing


def test_larger_scores_win_when_maximising(units, keys):
    scores = scored(units, [[1.0] * 5, [2.0] * 5, [1.5] * 5, [2.5] * 5])
    racing = Racing("forgiving", Objective("unconditioned", "score", minimize=False))
    handed = run(race(GridSource(by_configuration(units)), racing=racing), scores)
    assert [sum(unit.key == key for unit in handed) for key in keys] == [5, 5, 1, 5]


def test_bits_of_priors_stop_configurations(read_grid):
    """A race by a metric of priors stops configurations, although the settings of a training have no prior."""
    text = GRID.replace("{method: multi_decoder,", "{family: vqvae, prior.kind: markov,")
    units = by_configuration(Plan(read_grid(text), frozenset(), frozenset()).units)
    marks = []
    bits = Racing("forgiving", Objective("bits_per_code", "score"))
    source = RacingSource(
        GridSource(units), bits, lambda r: r.get("score"), ["score"], lambda *mark: marks.append(mark)
    )
    scores = scored(units)
    while isinstance(unit := source.next(), Unit):
        source.finished(unit, Outcome.DONE, {"score": scores[unit.id]} if unit.stage == "prior" else {})
    assert isinstance(unit, Done)
    keys = list(dict.fromkeys(unit.training_id[0] for unit in units))
    assert [(keys.index(key), folds) for key, _, folds in marks] == [(1, 2), (3, 4)]


def test_a_failed_fold_costs_only_itself(units, keys):
    """The other folds of a failed configuration are trained, and it stops nobody although its mean is the best."""
    scores = scored(units)
    handed = run(race(GridSource(by_configuration(units))), scores, failing={(keys[2], 1)})
    assert [sum(unit.key == key for unit in handed) for key in keys] == [5, 2, 5, 5]


def test_folds_without_a_score_stop_nothing(units):
    """The metric does not apply to the configuration, or its record cannot be read."""
    source = race(GridSource(by_configuration(units)))
    assert run(source, dict.fromkeys(scored(units))) == by_configuration(units)


@pytest.mark.parametrize(("setting", "compete"), [("configuration: [1, 2]", True), ("seed: [0, 1]", False)])
def test_models_are_not_raced_against_each_other(read_grid, setting, compete):
    """A grid's race is among the rows that share a mark of the best. Rows with other folds compete in no group."""
    text = GRID.replace("grid: [{", "grid: [{" + setting + ", ")
    units = Plan(read_grid(text), frozenset(), frozenset()).units
    first = same_model(units[0])
    assert len({same_model(unit) for unit in units}) == 2
    scores = {unit.id: (1.0 if same_model(unit) == first else 9.0) + unit.fold for unit in units}
    assert len(run(race(GridSource(by_configuration(units))), scores)) == 40
    handed = run(race(GridSource(by_configuration(units)), group=lambda unit: None), scores)
    assert len(handed) == (20 + 4 if compete else 40)


def test_a_spared_baseline_is_never_stopped(read_grid):
    """The differences of other rows need its folds. A grid of baselines only has nothing to spare."""
    text = GRID.replace("method: multi_decoder", "method: [multi_decoder, none]").replace(", 0.002, 0.003, 0.004", "")
    units = by_configuration(Plan(read_grid(text), frozenset(), frozenset()).units)
    scores = scored(units, [[1.0] * 5, [9.0] * 5])
    baseline = units[-1].key
    assert compared_baselines(units) == {baseline}
    assert compared_baselines(unit for unit in units if unit.key == baseline) == set()
    assert len(run(race(GridSource(units)), scores)) == 6
    assert len(run(race(GridSource(units), spared=compared_baselines(units)), scores)) == 10


def test_a_stop_holds_the_later_folds_back(units):
    """The next run trains the fold that was cut off, and then the later ones."""
    source = race(GridSource(by_configuration(units)[:5]))
    unit = source.next()
    assert isinstance(source.next(), Wait)
    source.finished(unit, Outcome.STOPPED, None)
    assert isinstance(source.next(), Done)


def test_a_race_adds_its_columns_to_the_envelope(units):
    inner = Watched(by_configuration(units), columns=("seconds",))
    assert race(inner).envelope().columns == ("seconds", "score")
    assert race(inner).envelope().n_units == len(units)


def test_a_fold_waits_for_the_stage_that_scores_it(read_grid):
    """A probe measures the objective: the next training waits for the probe, unless the probe is not in the run."""
    with STAGES.temporarily(toy_stage.STAGE):
        plan = by_configuration(Plan(read_grid(GRID + "keep_models: all"), frozenset(), frozenset()).units)
        racing = Racing("forgiving", Objective("positive_share", "positive_share"))
        scores = {unit.id: 1.0 + (unit.training_id[0] != plan[0].key) for unit in plan}
        assert [unit.stage for unit in plan[:4]] == ["training", "probe"] * 2

        def run_without(*left_out):
            units = [unit for unit in plan[:10] if unit not in left_out]
            done = frozenset(unit.id for unit in left_out)
            return units, run(race(GridSource(units, done), racing=racing), scores, workers=2)

        for left_out in [(), (plan[1],), (plan[0],)]:
            units, handed = run_without(*left_out)
            assert handed == units
        assert len(run(race(GridSource(plan), racing=racing), scores)) == 10 + 3 * 2


def test_a_dropped_configuration_keeps_nobody_waiting(units):
    """The race may hold units back that the grid has handed out, so the grid must not wait for their end."""
    held, (parent, other) = units[0], [unit for unit in units if unit.key != units[0].key][:2]
    source = GridSource([held, *chain([parent, other])])
    assert [source.next(), source.next()] == [held, parent]
    source.drop(held.key, "stopped")
    source.finished(parent, Outcome.STOPPED, None)
    assert isinstance(source.next(), Done)
