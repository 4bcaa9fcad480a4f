"""A fault at every open, read, listing, rename, fsync, write and unlink of a sweep and of its report: nothing good
is renamed, trained again or lost, the exit code is right, and the same command then ends with the undisturbed rows."""

import json
from pathlib import Path

import faults
import pytest

SCRIPT = Path(faults.__file__).with_name("every_call.py")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    found = faults.compiled(tmp_path_factory.mktemp("faults"))
    if found is None:
        pytest.skip("no C compiler here")
    return found


def told(library, folder, what, *kinds):
    done = faults.with_faults(library, SCRIPT, folder, what, *kinds)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_is_honest(case):
    """Either the command did all of it, or it says in one line which file it could not have."""
    assert case["code"] in (0, 2), case
    assert len(case["err"]) == (1 if case["code"] else 0), case
    assert (case["lost"], case["renamed"]) == ([], []), case


@pytest.mark.slow
def test_a_run_loses_nothing(library, tmp_path):
    """Results with a compacted unit, two files, and a unit at its checkpoint, which the command is to resume."""
    cases = told(library, tmp_path, "run", *faults.KINDS)
    assert {case["fault"].split()[0] for case in cases} == set(faults.KINDS)
    for case in cases:
        assert_is_honest(case)
        assert case["code"] or case["whole"], case
        assert (case["then"], case["same"]) == (0, True), case
        assert case["resumed"] >= 1, case  # the checkpoint was not given up for a fault of the disk


@pytest.mark.slow
def test_a_report_loses_nothing_and_shows_no_less(library, tmp_path):
    cases = told(library, tmp_path, "report", "open", "read", "list")
    assert len(cases) >= 10
    for case in cases:
        assert_is_honest(case)
        assert case["changed"] == [], case
        assert case["code"] or case["out"] == case["undisturbed"], case
