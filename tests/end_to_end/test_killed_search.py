"""A TPE search of a conditional space whose driver or worker is killed at random moments, after 30 suggestions.

The driver is the real command, and it trains. Commit nothing meanwhile, because records name the commit that made them.
"""

import signal

import pytest
from disturbance import adopting, temporary_files
from hunting import FOLDS, Hunt
from records import rows_of
from searching import state_of

from sweeps.config import grid
from sweeps.ledger.confirmations import read_confirmations
from sweeps.plan.work_source import GridSource
from sweeps.report.contents import ReportRequest, report
from sweeps.run import searching
from sweeps.search.source import SearchSource

INLINE, ONE_WORKER, TWO_WORKERS = ["--inline"], ["--workers", "1"], ["--workers", "2"]
N = 52


@pytest.fixture(autouse=True)
def adopted():
    """Adopt the processes that a killed driver leaves, so that none escapes notice."""
    with adopting():
        yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Ask for 30 suggestions, and train them. Some failed and some were stopped by the race."""
    hunt = Hunt(tmp_path_factory.mktemp("begun"))
    assert hunt.run(30, *INLINE) == 1
    suggestions, _, failed, stopped = state_of(hunt.ledger)
    assert len(suggestions) == 30
    assert failed and stopped
    return hunt


@pytest.fixture(scope="module")
def whole(begun, tmp_path_factory):
    """Go on to the end undisturbed."""
    hunt = begun.copy(tmp_path_factory.mktemp("whole"), 0)
    assert hunt.run(N, *INLINE) == 1
    return hunt


def table(hunt):
    """Return what a report prints."""
    return report(str(hunt.folder), "hunted", ReportRequest())


def assert_equals(hunt, whole):
    """Assert that suggestions, results, marks and table are those of the undisturbed search, digit for digit."""
    assert state_of(hunt.ledger) == state_of(whole.ledger)
    assert rows_of(hunt.ledger) == rows_of(whole.ledger)
    assert table(hunt) == table(whole)
    assert temporary_files(hunt.ledger) == []


@pytest.mark.slow
def test_a_killed_search_resumes_to_the_same(begun, whole, tmp_path):
    """It is killed ten times, in process or with one worker of Ray, mostly with an unfinished configuration."""
    hunt = begun.copy(tmp_path, seed=1)
    kinds = [signal.SIGKILL] * 4 + [signal.SIGTERM] * 2
    hunt.random.shuffle(kinds)
    left = [hunt.strike(hunt.start(N, *INLINE), how) for how in kinds]
    driver = hunt.start(N, *ONE_WORKER)
    left += [hunt.strike(driver, how) for how in ("worker", "worker", signal.SIGKILL)]
    left += [hunt.strike(hunt.start(N, *INLINE), signal.SIGKILL)]
    assert sum(left) >= 5
    assert hunt.run(N, *INLINE) == 1
    assert_equals(hunt, whole)


def assert_nothing_is_lost(hunt, n):
    """Assert that n configurations were asked for, that each is there and told once, and that none is unfinished."""
    ledger, sweep = hunt.ledger, grid.load(str(hunt.folder / "hunted.yaml"))
    suggestions, scores, failed, stopped = state_of(ledger)
    assert [number for number, *_ in suggestions] == list(range(1, n + 1))
    keys = {key for _, _, key, _ in suggestions}
    assert len(keys) == n
    assert hunt.unfinished == set()
    assert scores.keys() | failed.keys() <= {(key, fold) for key in keys for fold in range(FOLDS)}
    assert len(ledger.read()[0]) == len(scores)
    assert scores.keys().isdisjoint(failed)
    archive = searching.open_archive(ledger, sweep)
    source = SearchSource(GridSource(()), archive, [], ledger)
    for key in stopped:
        source.drop(key, "stopped")
    trials = source.all_trials()
    assert [trial.number for trial in trials] == list(range(1, n + 1))
    assert {trial.state for trial in trials} == {"complete", "failed", "pruned"}
    assert temporary_files(ledger) == []


@pytest.mark.slow
def test_two_workers_and_two_drivers_lose_nothing(begun, tmp_path):
    """A worker and its driver are killed, then one of two drivers; the other one finishes what is left."""
    hunt = begun.copy(tmp_path, seed=2)
    first = hunt.start(N, *TWO_WORKERS)
    hunt.strike(first, "worker")
    hunt.strike(first, signal.SIGKILL)
    second, third = hunt.start(N, *TWO_WORKERS), hunt.start(N, *INLINE)
    hunt.strike(third, signal.SIGKILL)
    assert hunt.wait(second) == 1
    assert_nothing_is_lost(hunt, N)


@pytest.mark.slow
def test_a_killed_confirmation_resumes_with_two_drivers(begun, tmp_path):
    """A driver with two workers is killed, and two drivers in process train what is left, with the digits of one."""
    confirm = ["--confirm", "2"]
    hunt, undisturbed = begun.copy(tmp_path / "hunted", seed=3), begun.copy(tmp_path / "undisturbed", seed=3)
    assert undisturbed.run(30, *INLINE, *confirm) == 0
    hunt.strike(hunt.start(30, *TWO_WORKERS, *confirm), signal.SIGKILL)
    drivers = [hunt.start(30, *flags, *confirm) for flags in (INLINE, INLINE)]
    assert [hunt.wait(driver) for driver in drivers] == [0, 0]
    confirmed, _ = read_confirmations(hunt.ledger.storage)
    assert confirmed == read_confirmations(undisturbed.ledger.storage)[0]
    new = hunt.ledger.units() - begun.ledger.units()
    assert new == {(confirmation.key, fold) for confirmation in confirmed for fold in range(FOLDS)}
    assert len(hunt.ledger.read()[0]) == len(hunt.ledger.units())
    assert_equals(hunt, undisturbed)
