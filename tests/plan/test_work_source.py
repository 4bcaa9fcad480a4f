"""Work sources: one contract for all of them, and how a grid's source treats units that require others."""

from collections import deque
from dataclasses import replace

import pytest
from work_sources import chain, drain

from sweeps.config.search import Objective, Racing
from sweeps.plan.plan import Plan
from sweeps.plan.sharding import longest_first
from sweeps.plan.unit import Outcome, Unit
from sweeps.plan.work_source import Done, Envelope, GridSource, Wait
from sweeps.search.race import RacingSource, by_configuration


class Steps:
    """A toy source that hands out a fold's units only after all units of the fold before have ended."""

    def __init__(self, units):
        self.folds = deque([[u for u in units if u.fold == fold] for fold in sorted({u.fold for u in units})])
        self.units, self.out = units, set()

    def next(self):
        if self.folds and not self.folds[0] and not self.out:
            self.folds.popleft()
        if not self.folds:
            return Done()
        if not self.folds[0]:
            return Wait()
        self.out.add(self.folds[0][0].id)
        return self.folds[0].pop(0)

    def finished(self, unit, outcome, record):
        self.out.discard(unit.id)

    def drop(self, key, reason):
        self.folds = deque([[u for u in fold if u.training_id[0] != key] for fold in self.folds])

    def envelope(self):
        return Envelope(tuple(self.units), len(self.units))


def race(units):
    """Return a race over a grid, whose units have no scores here."""
    racing = Racing("forgiving", Objective("unconditioned", "unconditioned_per_pixel"))
    return RacingSource(GridSource(by_configuration(units)), racing, lambda record: None, (), lambda *mark: None)


@pytest.fixture
def units(tiny):
    return Plan(tiny, frozenset(), frozenset()).units


@pytest.mark.parametrize("make", [GridSource, Steps, race])
class TestContract:
    def test_each_unit_is_handed_out_once(self, make, units):
        assert sorted(unit.name for unit in drain(make(units))) == sorted(unit.name for unit in units)

    def test_units_come_before_any_has_ended(self, make, units):
        source = make(units)
        assert isinstance(source.next(), Unit)
        assert isinstance(source.next(), Unit)

    def test_a_failure_does_not_stop_others(self, make, units):
        assert len(drain(make(units), failing={units[0].id})) == len(units)

    def test_it_stays_done(self, make, units):
        source = make(units)
        drain(source)
        assert isinstance(source.next(), Done)
        assert isinstance(source.next(), Done)

    def test_a_dropped_configuration_gets_no_further_unit(self, make, units):
        source = make(units)
        first = source.next()
        source.drop(first.key, "stopped: worse")
        source.finished(first, Outcome.DONE, None)
        assert {unit.key for unit in drain(source)} == {unit.key for unit in units} - {first.key}

    def test_the_envelope_covers_every_unit(self, make, units):
        envelope = make(units).envelope()
        assert envelope.n_units == len(units)
        covered = {(unit.memory_class, unit.settings.resources) for unit in envelope.units}
        assert {(unit.memory_class, unit.settings.resources) for unit in units} <= covered
        assert envelope.sources == [units[0].settings.source]

    def test_the_envelope_is_known_before_anything_starts(self, make, units):
        source = make(units)
        source.envelope()
        assert len(drain(source)) == len(units)


def test_units_keep_the_order_of_the_plan(units):
    order = longest_first(units)
    assert list(drain(GridSource(order))) == order


def test_a_unit_waits_for_what_it_requires(units):
    first, child, *others = chain(units[:2]) + units[2:]
    source = GridSource([child, first, *others])
    handed = [source.next() for _ in range(5)]
    assert handed == [first, *others]
    assert isinstance(source.next(), Wait)
    source.finished(others[0], Outcome.DONE, None)
    assert isinstance(source.next(), Wait)
    source.finished(first, Outcome.DONE_BEFORE, None)
    assert source.next() is child
    assert isinstance(source.next(), Done)
    assert source.blocked == []


def test_released_units_keep_their_place_in_the_plan(units):
    first, child, *others = chain(units[:2]) + units[2:]
    source = GridSource([first, child, *others])
    assert source.next() is first
    assert source.next() is others[0]
    source.finished(first, Outcome.DONE, None)
    assert source.next() is child


def test_what_requires_a_failed_unit_is_blocked(units):
    """A unit is blocked directly or through other units, and also if only one of its required units failed."""
    a, b, c = chain(units[:3])
    both = replace(units[3], requires=(a.id, units[4].id))
    source = GridSource([a, b, c, both, *units[4:]])
    assert drain(source, failing={a.id}) == [a, *units[4:]]
    assert source.blocked == [b, c, both]


def test_parents_of_other_runs_count_when_done(units):
    """A parent done before is no longer required; one that is neither done nor in the plan blocks its children."""
    a, b, c = chain(units[:3])
    assert drain(GridSource([b, c], done=frozenset({a.id}))) == [b, c]
    source = GridSource([b, c, units[4]])
    assert source.blocked == [b, c]
    assert source.envelope().n_units == 1
    assert drain(source) == [units[4]]
    assert isinstance(GridSource([b]).next(), Done)


def test_a_stopped_parent_blocks_nothing(units):
    """The same command resumes the parent and then trains its children."""
    a, b = chain(units[:2])
    source = GridSource([a, b])
    assert source.next() is a
    source.finished(a, Outcome.STOPPED, None)
    assert isinstance(source.next(), Done)
    assert source.blocked == []


def test_an_envelope_holds_one_unit_of_each_kind(tiny, units):
    """The folds of a row are of one kind; a row that asks for more resources is of another."""
    assert GridSource(units).envelope().units == tuple(units[::2])
    more = units[1].with_gpus(0.5)
    assert GridSource([*units, more]).envelope().units == (*units[::2], more)


def test_a_copied_unit_is_the_unit(units):
    from copy import deepcopy

    assert deepcopy({"unit": units[0]})["unit"] is units[0]
