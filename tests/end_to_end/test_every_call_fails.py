"""A fault at every open, read, listing, rename, fsync, write and unlink of a sweep and of its report does no harm.

No good file is renamed or lost, no done unit is trained again, the exit code is right, and the same command then ends
with the undisturbed rows. Commit nothing while these tests run, because records name the commit that made them.
"""

import json
from pathlib import Path

import faults
import pytest

SCRIPT = Path(faults.__file__).with_name("every_call.py")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Build the library that makes calls fail, or skip the tests without a C compiler."""
    found = faults.compiled(tmp_path_factory.mktemp("faults"))
    if found is None:
        pytest.skip("no C compiler here")
    return found


def cases_of(library, folder, what, *kinds):
    """Run a command once for each fault. Return what `every_call.py` printed of each."""
    done = faults.with_faults(library, SCRIPT, folder, what, *kinds)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_is_honest(case):
    """Assert that the command did everything, or ended with 2 and one line, and that it lost and renamed nothing."""
    assert case["code"] in (0, 2), case
    assert len(case["err"]) == (1 if case["code"] else 0), case
    assert (case["lost"], case["renamed"]) == ([], []), case


@pytest.mark.slow
def test_a_run_loses_nothing(library, tmp_path):
    """The command resumes results with a compacted unit, two unit files, and a unit at its checkpoint."""
    cases = cases_of(library, tmp_path, "run", *faults.KINDS)
    assert {case["fault"].split()[0] for case in cases} == set(faults.KINDS)
    for case in cases:
        assert_is_honest(case)
        assert case["code"] or case["whole"], case
        assert (case["then"], case["differs"]) == (0, []), case
        assert case["resumed"] >= 1, case  # a fault of the disk does not discard the checkpoint


@pytest.mark.slow
def test_a_report_changes_nothing(library, tmp_path):
    """A report under a fault changes no file, and shows the whole table or ends with 2."""
    cases = cases_of(library, tmp_path, "report", "open", "read", "list")
    assert len(cases) >= 10
    for case in cases:
        assert_is_honest(case)
        assert case["changed"] == [], case
        assert case["code"] or case["out"] == case["undisturbed"], case
