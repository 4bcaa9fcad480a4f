"""Suggestions and stopped marks in the ledger: each number is created once, and files of other versions are read."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from sweeps.config.rules import resolve
from sweeps.config.settings import flatten
from sweeps.ledger import suggestions
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import Stopped, Suggestion

SETTINGS = resolve({"family": "gaussian_vae", "training.lr": 0.1 + 0.2, "model.hidden": (8, 16)}, frozenset())
FIRST = Suggestion(1, {"training.lr": 0.1 + 0.2}, flatten(SETTINGS), "0123456789ab", seed=3, each="none")
RACE = """
import sys
from pathlib import Path
from sweeps.ledger.storage import Storage
from sweeps.ledger.suggestions import Suggestion, create, read_all
storage, name = Storage(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    while True:  # lost: read again, and ask for the next number
        number = max([s.number for s in read_all(storage)[0]], default=0) + 1
        if create(storage, Suggestion(number, {"by": name})):
            break
"""


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "sweep")


def test_what_is_written_is_read(storage):
    """Numbers keep every digit, and settings that are tuples stay tuples."""
    second = Suggestion(2, {"training.lr": 1.0}, refused="parameters 7 > 5")
    assert suggestions.create(storage, second)
    assert suggestions.create(storage, FIRST)
    assert suggestions.read_all(storage) == ([FIRST, second], [])
    assert suggestions.settings_of_file(suggestions.read_all(storage)[0][0].settings) == SETTINGS
    assert suggestions.read_all(storage, known=[1]) == ([second], [])


def test_a_number_is_created_once(storage):
    assert suggestions.create(storage, FIRST)
    assert not suggestions.create(storage, replace(FIRST, key="ba9876543210"))
    assert suggestions.read_all(storage)[0] == [FIRST]
    assert storage.names("search") == ["1.json"]


def test_two_drivers_never_share_a_number(storage):
    """Both ask 25 times at once: no number is lost, and none is given twice."""
    command = [sys.executable, "-c", RACE, storage.root]
    drivers = [
        subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "ab"
    ]
    for driver in drivers:
        assert driver.stdout.readline() == "ready\n"
    for driver in drivers:
        driver.stdin.write("\n")
        driver.stdin.flush()
    for driver in drivers:
        driver.communicate(timeout=60)
        assert driver.returncode == 0
    found, damaged = suggestions.read_all(storage)
    assert damaged == []
    assert [s.number for s in found] == list(range(1, 51))
    assert sorted(s.params["by"] for s in found) == ["a"] * 25 + ["b"] * 25
    assert len(storage.names("search")) == 50


def test_creation_works_without_hard_links(storage, monkeypatch):
    def no_link(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_link)
    assert suggestions.create(storage, FIRST)
    assert not suggestions.create(storage, FIRST)
    assert suggestions.read_all(storage)[0] == [FIRST]


def test_a_bucket_creates_a_number_once(bucket):
    storage = Storage(bucket("sweep"))
    assert suggestions.create(storage, FIRST)
    assert not suggestions.create(storage, FIRST)
    assert suggestions.read_all(storage) == ([FIRST], [])


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"params": {}, "settings": 3}', b"\xff"])
def test_a_damaged_file_keeps_its_number(storage, content):
    suggestions.create(storage, FIRST)
    storage.write("search/2.json", content)
    found, ((name, why),) = suggestions.read_all(storage)
    assert (found, name) == ([FIRST], "search/2.json")
    assert why
    assert suggestions.numbers(storage) == [1, 2]
    assert not suggestions.create(storage, replace(FIRST, number=2))


def test_files_of_other_versions_are_read(storage):
    """A newer version has further entries and settings; an older one lacks some, which are at their neutral values."""
    suggestions.create(storage, FIRST)
    text = json.loads(storage.read("search/1.json"))
    del text["each"], text["settings"]["training.deterministic"]
    text |= {"newer": 1}
    text["settings"] |= {"newer.setting": None}
    storage.write("search/1.json", json.dumps(text).encode())
    (read,), damaged = suggestions.read_all(storage)
    assert (damaged, read.each, read.params) == ([], None, FIRST.params)
    assert suggestions.settings_of_file(read.settings) == SETTINGS
    with pytest.raises(ValueError, match=r"newer\.setting"):
        suggestions.settings_of_file(read.settings | {"newer.setting": 1})


def test_other_files_are_no_suggestions(storage):
    for name in ("search/1.json.tmp", "search/x.json", "stopped/1.json"):
        storage.write(name, b"{}")
    assert suggestions.read_all(storage) == ([], [])
    assert suggestions.read_stopped(storage) == {}


def test_a_suggestion_tells_whether_its_driver_runs():
    def by(pid):
        return replace(FIRST, driver=FIRST.driver.replace(f"-{os.getpid()}-", f"-{pid}-"))

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    elsewhere = replace(FIRST, driver="driver.elsewhere-1-abcd.tmp")
    found = [s.driver_state for s in (FIRST, by(os.getppid()), by(ended.pid), elsewhere, replace(FIRST, driver=""))]
    assert found == ["ours", "running", "ended", "elsewhere", "elsewhere"]


def test_stopped_marks_are_read_and_removed(storage):
    suggestions.write_stopped(storage, "0123456789ab", "worse than the incumbent's worst fold", 2)
    storage.write("stopped/ba9876543210.json", b"{")
    assert suggestions.read_stopped(storage) == {
        "0123456789ab": Stopped("0123456789ab", "worse than the incumbent's worst fold", 2),
        "ba9876543210": Stopped("ba9876543210", "its mark is damaged", 0),
    }
    suggestions.remove_stopped(storage, "0123456789ab")
    suggestions.remove_stopped(storage, "0123456789ab")
    assert list(suggestions.read_stopped(storage)) == ["ba9876543210"]
