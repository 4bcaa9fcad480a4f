"""CONTRIBUTING and the decision records name only files and settings that exist."""

import re
from pathlib import Path

import pytest

from sweeps.config.settings import SETTING_INFO

ROOT = Path(__file__).parents[1]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
FILE = re.compile(r"`((?:\.ci|benchmarks|docker|docs|mtvae|sweeps|tests)/[\w./-]*|[\w-]+\.(?:md|toml|txt|cff))`")
LINK = re.compile(r"\]\(([^):#]+)\)")


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", ROOT / "docs/decisions/README.md", *DECISIONS], ids=str)
def test_every_path_of_a_page_exists(page):
    text = page.read_text()
    missing = [path for path in FILE.findall(text) if not (ROOT / path).exists()]
    missing += [path for path in LINK.findall(text) if not (page.parent / path).exists()]
    assert missing == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_its_form(page):
    """A record has a number and title, a date, three headings, and a line in the table of all records."""
    lines = page.read_text().splitlines()
    number = page.stem[:4]
    title = lines[0].removeprefix(f"# {number}: ")
    assert title != lines[0] and re.match(r"20\d\d-\d\d-\d\d", lines[2])
    assert [line for line in lines if line.startswith("## ")] == ["## Context", "## Decision", "## Consequences"]
    assert f"| [{number}]({page.name}) | {title} |" in (page.parent / "README.md").read_text()


def test_decisions_are_numbered_through():
    assert [int(page.stem[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_contributing_names_settings_outside_the_key():
    """The line of CONTRIBUTING on settings outside the key names each of them, and no other."""
    line = next(line for line in CONTRIBUTING.splitlines() if "are not part of the key" in line)
    named = set(re.findall(r"`([\w.*]+)`", line.split("|")[1]))
    outside = {path for path, about in SETTING_INFO.items() if not about.in_key}
    assert {"resources.*" if path.startswith("resources.") else path for path in outside} == named


def test_every_room_is_on_the_map():
    rooms = {path.parent for path in (ROOT / "sweeps").glob("*/__init__.py")} | {ROOT / "mtvae", ROOT / "mtvae/config"}
    named = {ROOT / path for path in re.findall(r"^\| `([\w/]+)/` \|", CONTRIBUTING, re.MULTILINE)}
    assert rooms <= named
