"""The work source of a search: what it hands out, asks, tells, and resumes."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import searching
from searching import SEARCH, Dying, Killed, read, run, state_of, suggestions_of, toy
from work_sources import drain

from sweeps.config.search import Constraint
from sweeps.ledger.ledger import Ledger
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import Suggestion, create, read_all, read_stopped
from sweeps.plan.plan import Plan
from sweeps.plan.unit import Outcome, Unit
from sweeps.plan.work_source import Done, GridSource
from sweeps.run.searching import open_archive
from sweeps.search.asked import Archive
from sweeps.search.source import SearchSource

GRID = "\ngrid: [{family: gaussian_vae, method: multi_decoder, training.lr: [0.001, 0.002]}]"
WITH_GRID = SEARCH.replace("\nbase: {family: gaussian_vae, configuration: 1}", "\nfamily: gaussian_vae") + GRID
RACED = SEARCH + "  racing: forgiving\n"


def source_of(ledger, sweep, units=(), **more):
    rows = Plan(sweep, frozenset(), frozenset()).rows
    return SearchSource(GridSource(units), Archive_of(ledger, sweep), rows, ledger, **more)


def Archive_of(ledger, sweep):
    archive = open_archive(ledger, sweep)
    assert isinstance(archive, Archive)
    return archive


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "searched"


@pytest.fixture
def empty(folder):
    return Ledger(Storage(folder))


def told(ledger, sweep):
    """Return what the sampler would be told now."""
    return source_of(ledger, sweep).all_trials()


class TestContract:
    """The contract of `tests/plan/test_work_source.py`, for a search of 2 rows and 6 suggestions of 3 folds."""

    @pytest.fixture
    def sweep(self):
        return read(WITH_GRID)

    @pytest.fixture
    def units(self, sweep):
        return Plan(sweep, frozenset(), frozenset()).units

    @pytest.fixture
    def source(self, empty, sweep, units):
        return source_of(empty, sweep, units)

    def test_each_unit_is_handed_out_once(self, source, units):
        """The default configuration is the first row, so it has no units of its own."""
        handed = drain(source)
        assert len({unit.id for unit in handed}) == len(handed) == 6 + 5 * 3
        assert handed[:6] == units

    def test_units_come_before_any_has_ended(self, source):
        assert all(isinstance(source.next(), Unit) for _ in range(6 + 5 * 3))

    def test_a_failure_does_not_stop_others(self, source, units):
        assert len(drain(source, failing={units[0].id})) == 6 + 5 * 3

    def test_it_stays_done(self, source):
        drain(source)
        assert isinstance(source.next(), Done)
        assert isinstance(source.next(), Done)

    def test_a_dropped_configuration_gets_no_further_unit(self, source):
        """Nothing waits for its unit that was handed out and never ends."""
        handed = [source.next() for _ in range(8)]
        source.drop(handed[-1].key, "stopped: worse")
        for unit in handed[:7]:
            source.finished(unit, Outcome.DONE, None)
        rest = drain(source)
        assert handed[-1].key not in {unit.key for unit in rest}
        assert isinstance(source.next(), Done)
        (pruned,) = [trial for trial in source.all_trials() if trial.state == "pruned"]
        assert pruned.reason == "stopped: worse"

    def test_the_envelope_is_known_before_anything_starts(self, source, units):
        """It has the largest configuration of each method."""
        envelope = source.envelope()
        assert envelope.n_units == 6 + 6 * 3
        assert envelope.sources == [units[0].settings.source]
        kinds = {(u.settings.method, u.settings.model.latent) for u in envelope.units}
        assert {("multi_decoder", 64), ("single_decoder", 64)} <= kinds
        assert {"unconditioned_per_pixel", "seconds"} <= set(envelope.columns)
        assert len(drain(source)) == 6 + 5 * 3


def test_the_default_configuration_comes_first(folder):
    ledger = run(folder, read())
    (first, *_), _ = read_all(ledger.storage)
    assert first.params == {"method": "multi_decoder", "training.lr": 1e-3, "model.latent": 16}
    assert len(suggestions_of(ledger)) == 6
    assert len(ledger.units()) == 18


def test_each_configuration_is_told_once_with_its_mean(folder):
    """The default configuration equals a row of the grid, and shares its units."""
    sweep = read(WITH_GRID)
    ledger = run(folder, sweep)
    trials = told(ledger, sweep)
    assert [trial.number for trial in trials] == [None, None, 2, 3, 4, 5, 6]
    assert {trial.state for trial in trials} == {"complete"}
    scores = [record["unconditioned_per_pixel"] for record in ledger.read()[0]]
    assert sum(trial.value for trial in trials) == pytest.approx(sum(scores) / 3)
    assert len(ledger.units()) == 7 * 3


def test_a_failed_fold_fails_the_configuration(folder):
    """Its other folds are trained; `--retry` completes it, and it is told so from then on."""
    sweep = read(SEARCH.replace("low: 1.0e-4, high", "low: 6.0e-2, high"), configurations=2)
    ledger = run(folder, sweep)
    for trial in told(ledger, sweep):
        assert (trial.state, trial.value, trial.reason) == ("failed", None, "fold 0: the loss is not finite")
    assert len(ledger.units()) == 4

    def healed(unit, loaded, context, *rest):
        context.ledger.write(unit, {"unconditioned_per_pixel": 1.0, "data_hash": loaded.data_hash})
        return Outcome.DONE

    run(folder, sweep, healed)
    assert len(ledger.units()) == 4
    run(folder, sweep, healed, retry=True)
    assert [trial.state for trial in told(ledger, sweep)] == ["complete", "complete"]
    assert len(suggestions_of(ledger)) == 2


def test_a_wider_search_equals_one_run(folder, tmp_path):
    """Six configurations widened to nine are the nine of one run, digit for digit."""
    run(folder, read())
    widened = run(folder, read(configurations=9))
    assert state_of(widened) == state_of(run(tmp_path / "one", read(configurations=9)))
    assert len(suggestions_of(widened)) == 9


@pytest.mark.parametrize("text", [RACED, SEARCH + "  each: method\n"], ids=["raced", "each"])
def test_a_killed_search_resumes_to_the_same(text, tmp_path):
    """It is killed ten times after 30 asks, at changes of the ledger: suggestions, records, failures, stopped marks."""
    draw = random.Random(4)
    n = 22 if "each" in text else 44
    begun = run(tmp_path / "killed", read(text, configurations=15 if "each" in text else 30))
    _, _, failed, stopped = state_of(begun)
    assert failed
    assert stopped or "each" in text
    kills = 0
    for _ in range(10):
        storage = Dying(tmp_path / "killed", draw.randint(2, 12), after=draw.random() < 0.5)
        try:
            run(tmp_path / "killed", read(text, configurations=n), storage=storage)
        except Killed:
            kills += 1
    assert kills >= 5
    resumed = run(tmp_path / "killed", read(text, configurations=n))
    undisturbed = run(tmp_path / "undisturbed", read(text, configurations=n))
    assert state_of(resumed) == state_of(undisturbed)
    assert len(suggestions_of(resumed)) == 44


@pytest.mark.parametrize("text", [SEARCH, RACED], ids=["searched", "raced"])
def test_a_resumed_search_reads_each_unit_once(text, folder):
    """The command reads the files of done units, and the search and the race take what it has read."""
    opened = []

    class Noting(Storage):
        def open(self, name):
            opened.append(name)
            return super().open(name)

    run(folder, read(text, configurations=2))
    before = sorted(f"units/{path.name}" for path in (folder / "units").iterdir())
    run(folder, read(text, configurations=3), storage=Noting(folder))
    assert len(before) >= 3
    assert sorted(name for name in opened if name in before) == before


def test_redone_suggestions_are_trained_again(folder):
    """Units that were read as done and are then marked for redo count as missing."""
    trained = []

    def noting(unit, *rest):
        trained.append(unit.id)
        return toy(unit, *rest)

    run(folder, read(configurations=2), noting)
    first = sorted(trained)
    trained.clear()
    run(folder, read(configurations=2), noting, redo="*")
    assert sorted(trained) == first


def test_an_ended_drivers_suggestion_is_taken_up_first(folder):
    """No further one is asked for it: the budget holds it."""

    def die(unit, *rest):
        raise Killed

    sweep = read()
    with pytest.raises(Killed):
        run(folder, sweep, die)
    ledger = Ledger(Storage(folder))
    (left,) = suggestions_of(ledger)
    source = source_of(ledger, sweep)
    handed = [source.next() for _ in range(3)]
    assert [unit.key for unit in handed] == [left[2]] * 3
    assert len(suggestions_of(ledger)) == 1
    for unit in handed:
        source.finished(unit, Outcome.DONE, None)
    drain(source)
    assert len(suggestions_of(ledger)) == 6


def test_a_running_drivers_suggestion_is_left_to_it(folder, tmp_path):
    """It is told as running, and is taken up last of all, because its driver may still end."""
    other = run(tmp_path / "other", read(configurations=1))
    (theirs,), _ = read_all(other.storage)
    alive = theirs.driver.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
    ledger = Ledger(Storage(folder))
    create(ledger.storage, replace(theirs, driver=alive))
    source = source_of(ledger, read())
    assert [trial.state for trial in source.all_trials()] == ["running"]
    handed = drain(source)
    assert len(handed) == 18
    assert {unit.key for unit in handed[-3:]} == {theirs.key}


def test_two_drivers_share_a_search(tmp_path, folder):
    """Nothing is lost, asked or told twice; the budget holds for both together."""
    file = tmp_path / "search.yaml"
    file.write_text(SEARCH.replace("configurations: 6", "configurations: 16"))
    command = [sys.executable, searching.__file__, str(folder), str(file)]
    drivers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for driver in drivers:
        driver.communicate(timeout=120)
        assert driver.returncode == 0
    ledger, sweep = Ledger(Storage(folder)), read(configurations=16)
    found = suggestions_of(ledger)
    assert [number for number, *_ in found] == list(range(1, 17))
    assert len({key for _, _, key, _ in found}) == 16
    assert len(ledger.units() | ledger.units("failed")) == 16 * 3
    assert {trial.state for trial in told(ledger, sweep)} <= {"complete", "failed"}
    assert len(told(ledger, sweep)) == 16
    by_driver = {suggestion.driver.rpartition("-")[0] for suggestion in read_all(ledger.storage)[0]}
    assert len(by_driver) == 2


def test_a_changed_space_keeps_what_was_learned(folder, capsys):
    """Wider bounds and a new choice keep every suggestion; narrower bounds leave some out, with a count."""
    ledger = run(folder, read())
    wide = read(SEARCH.replace("[multi_decoder, ", "[none, multi_decoder, ").replace("high: 64", "high: 128"))
    assert [trial.state for trial in told(ledger, wide)] == ["complete"] * 6
    run(folder, replace(wide, search=replace(wide.search, configurations=8)))
    assert len(suggestions_of(ledger)) == 8
    narrow = read(SEARCH.replace("high: 64", "high: 16"))
    inside = sum(params["model.latent"] <= 16 for _, params, _, _ in suggestions_of(ledger))
    kept = told(ledger, narrow)
    assert 0 < len(kept) <= inside < 8
    capsys.readouterr()
    run(folder, narrow)
    out = capsys.readouterr().out
    assert f"{8 - len(kept)} suggestions left out: " in out
    assert "outside the space: model.latent" in out


def test_rows_outside_the_search_are_counted(folder, capsys):
    text = WITH_GRID.replace("training.lr: [0.001, 0.002]", "training.lr: [0.5, 0.002], training.epochs: [1, 2]")
    ledger = run(folder, read(text, configurations=1))
    out = capsys.readouterr().out
    assert "3 rows are not told to the search: 2 differs in training.epochs, which is not searched; 1 outside" in out
    assert [trial.number for trial in told(ledger, read(text))] == [None, 1]


def test_known_constraints_refuse_before_training(folder, capsys):
    """Refused suggestions are written, told and not counted."""
    text = SEARCH + "  constraints: {parameters: '<= 1000000'}\n"
    ledger = run(folder, read(text))
    found = suggestions_of(ledger)
    refused = [suggestion for suggestion in found if suggestion[3]]
    assert refused
    assert len(found) - len(refused) == 6
    assert len(ledger.units()) == 18
    assert capsys.readouterr().out.count("suggestion refused: ") == len(refused)
    states = [trial.state for trial in told(ledger, read(text))]
    assert states.count("refused") == len(refused)
    assert told(ledger, read())[0].state == "complete"  # without the constraint, they are forgotten
    assert "refused" not in {trial.state for trial in told(ledger, read())}


def test_many_refusals_in_a_row_end_it(folder, capsys):
    """No configuration of the space has so few parameters."""
    constraint = Constraint("parameters", "<=", 10, known=True)
    ledger = run(folder, replace(read(), search=replace(read().search, constraints=(constraint,))))
    assert len(suggestions_of(ledger)) == 100
    assert ledger.units() == frozenset()
    assert ledger.storage.names("") == []  # a table without rows could not be read
    assert "search: ends, because 100 suggestions in a row were refused" in capsys.readouterr().out


def test_measured_constraints_are_told(folder):
    """`collapsed` is the share of the folds that collapsed."""
    text = SEARCH + "  constraints: {collapsed: '<= 0'}\n"
    ledger = run(folder, read(text, configurations=9))
    collapsed = {}
    for record in ledger.read()[0]:
        collapsed.setdefault(record["key"], []).append(record["collapsed"])
    keys = {number: key for number, _, key, _ in suggestions_of(ledger)}
    trials = [trial for trial in told(ledger, read(text)) if trial.state == "complete"]
    assert {sum(collapsed[keys[t.number]]) / 3 for t in trials} == {t.constraints["collapsed <= 0"] for t in trials}
    assert max(t.constraints["collapsed <= 0"] for t in trials) > 0


def test_a_small_space_is_exhausted(folder, capsys):
    text = SEARCH[: SEARCH.index("    method")] + "    model.latent: [4, 8, 16]\n    training.lr: [0.001, 0.002]\n"
    ledger = run(folder, read(text, configurations=40))
    assert len(suggestions_of(ledger)) == 6
    assert "search: ends after 6 configurations, because every proposal is known by now" in capsys.readouterr().out


def test_each_value_has_a_search_of_its_own(folder):
    """The values take turns, so that all have had as many whenever the search is stopped."""
    sweep = read(SEARCH + "  each: method\n", configurations=3)
    ledger = run(folder, sweep)
    found, _ = read_all(ledger.storage)
    assert [s.each for s in found] == ["multi_decoder", "single_decoder"] * 3
    assert all("method" not in s.params for s in found)
    assert [trial.params["method"] for trial in told(ledger, sweep)] == [s.each for s in found]


def test_hours_end_a_search(folder):
    """A unit says that it took 36 s, so three folds took 0.03 hours, and nothing is asked after 0.1 hours."""
    text = SEARCH.replace("  configurations: 6\n", "  hours: 0.1\n")
    ledger = run(folder, read(text))
    assert len(suggestions_of(ledger)) == 4
    run(folder, read(text))
    assert len(suggestions_of(ledger)) == 4


def test_validation_errors_may_decide(folder):
    """The history has them in the training loss's scale, here per image; twice the test fold's in this toy."""
    ledger = run(folder, read())
    test, validation = told(ledger, read()), told(ledger, read(score_on="validation"))
    assert [v.value for v in validation] == pytest.approx([2 * t.value for t in test])


def test_stopped_configurations_are_told_with_running_means(folder):
    sweep = read(RACED, configurations=20)
    ledger = run(folder, sweep)
    marks = read_stopped(ledger.storage)
    assert marks
    source = source_of(ledger, sweep)
    for key, mark in marks.items():
        source.drop(key, mark.reason)
    keys = {number: key for number, _, key, _ in suggestions_of(ledger)}
    scores = {(r["key"], r["fold"]): r["unconditioned_per_pixel"] for r in ledger.read()[0]}
    pruned = [trial for trial in source.all_trials() if trial.state == "pruned"]
    failed = {key for key, _ in ledger.units("failed")}
    assert {keys[trial.number] for trial in pruned} == set(marks) - failed != set()
    for trial in pruned:
        first = scores[keys[trial.number], 0]
        assert (trial.value, trial.steps[1]) == (None, first)
        assert len(trial.steps) == marks[keys[trial.number]].folds
    trained = len(ledger.units())
    without = run(folder, read(configurations=20))  # no race: the rest is trained
    assert len(without.units() | without.units("failed")) == 20 * 3 > trained


def test_a_damaged_suggestion_keeps_its_number(folder, capsys):
    ledger = run(folder, read())
    ledger.storage.write("search/3.json", b"{")
    run(folder, read())
    assert f"{ledger.storage.path('search/3.json')}: not read (" in capsys.readouterr().out
    assert [s.number for s in read_all(ledger.storage)[0]] == [1, 2, 4, 5, 6, 7]


def test_lines_say_what_is_asked(folder, capsys):
    run(folder, read())
    lines = capsys.readouterr().out.splitlines()
    asked = [line for line in lines if line.startswith("suggestion ")]
    assert asked[0].startswith("suggestion 1 of 6: gaussian_vae 1 multi_decoder, model.latent 16, training.lr 0.001")
    assert [line.split(":")[0] for line in asked] == [f"suggestion {i} of 6" for i in range(1, 7)]
    assert [line for line in lines if line.startswith("[18/18] ")]


def test_a_refused_number_is_lost_to_another_driver(folder):
    """A driver that loses a number reads again, and asks for the next one."""
    ledger, sweep = Ledger(Storage(folder)), read()

    class Late(Storage):
        def create(self, name, data):
            if name == "search/1.json":
                create(Storage(self.root), Suggestion(1, {"model.latent": 4}, refused="theirs"))
            return super().create(name, data)

    run(folder, sweep, toy, storage=Late(folder))
    found = suggestions_of(ledger)
    assert [number for number, *_ in found] == list(range(1, 8))
    assert found[0][3] == "theirs"
    assert Path(folder, "rows.parquet").exists()
