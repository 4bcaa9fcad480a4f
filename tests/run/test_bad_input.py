"""Hundreds of bad inputs: the command prints lines, never a traceback, and writes no file."""

import os
from pathlib import Path

import pytest
import typer
import yaml
from grid_texts import documents, values, words
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sweeps.config import grid
from sweeps.run.__main__ import main
from sweeps.run.command import command
from sweeps.run.options import Options

runner = CliRunner()
app = typer.Typer()
app.command()(main)

ROOTS = [
    "",
    ".",
    "/nowhere",
    "../../../..",
    "~",
    "~nobody-of-this-name",
    "a\0b",
    "\0",
    "x" * 300,
    "x/" * 3000,
    "new\nline\x1b[31m",
    "$(touch pwned)",
    "; touch pwned #",
    "file:///etc",
    "s3://bucket/x",
    "/dev/null",
    "/etc/passwd",
    "\ud800",
    "\\\\host\\share",
    "NUL",
    "<script>alert(1)</script>",
]
NAMES = [
    "../up",
    "a/b",
    "/abs",
    "..",
    ".",
    "",
    "a\0b",
    "a\nb",
    "x" * 65,
    "x" * 5000,
    "-rf",
    ".hidden",
    "CON",
    "nul.txt",
    "Com1",
    "lpt9.tar.gz",
    "dot.",
    "a b",
    "a:b",
    "a\\b",
    "ü",
    "a%2f..",
]


def dry_run(folder, text, overrides=()):
    """Return a dry run's result, after checking that it ends with 0 or 2, explains 2, and writes nothing."""
    (folder / "g.yaml").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    sets = [part for override in overrides for part in ("--set", override)]
    result = runner.invoke(app, [str(folder / "g.yaml"), "--dry-run", "--results", str(folder / "results"), *sets])
    assert result.exception is None or isinstance(result.exception, SystemExit), (text, result.exception)
    assert result.exit_code in (0, 2), (text, result.output)
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        assert result.stderr.strip()
        assert all(line.isprintable() for line in result.stderr.split("\n"))
    assert sorted(path.name for path in folder.iterdir()) == ["g.yaml"]
    return result


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(documents, st.lists(st.tuples(words, st.text(max_size=10)), max_size=2))
@BOUNDED
def test_any_grid(folder, document, overrides):
    dry_run(folder, yaml.safe_dump(document), [f"{path}={value}" for path, value in overrides])


@given(st.binary(max_size=200) | st.text(max_size=200))
@BOUNDED
def test_any_bytes(folder, text):
    dry_run(folder, text)


@given(
    st.sampled_from(["digits", "mnist", "cifar10", "celeba", "folder"]),
    st.sampled_from([r for r in ROOTS if r not in ("../../../..", "~")]) | st.text(max_size=20),
    st.dictionaries(st.sampled_from(["limit", "side", "channels", "max_skipped"]), values, max_size=2),
)
@BOUNDED
def test_any_data(folder, dataset, root, more):
    document = {"name": "a", "data": {"dataset": dataset, "root": root, **more}, "grid": [{}]}
    dry_run(folder, yaml.safe_dump(document))


@pytest.mark.parametrize("dataset", ["mnist", "folder"])
@pytest.mark.parametrize("root", ROOTS, ids=ascii)
def test_a_hostile_root_is_one_line(folder, dataset, root, capsys):
    """Nothing is written."""
    if root in ("../../../..", "~") and dataset == "folder":
        pytest.skip("a real folder, of which images may be found")
    (folder / "g.yaml").write_text(
        yaml.safe_dump({"name": "a", "data": {"dataset": dataset, "root": root}, "grid": [{}]})
    )
    assert command(str(folder / "g.yaml"), [], Options(str(folder / "results"), inline=True)) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert captured.err.strip().isprintable()
    assert os.listdir(folder) == ["g.yaml"]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_a_name_must_stay_below_the_results(folder, name):
    text = yaml.safe_dump({"name": name, "grid": [{}]})
    assert dry_run(folder, text).exit_code == 2
    assert dry_run(folder, "name: a\ngrid: [{}]", [f"name={name!r}"]).exit_code == 2


@pytest.mark.parametrize("name", ["007", "0123", "1e5", "on", "null", "0x1F"])
def test_a_name_without_its_quotes_is_refused(folder, name):
    result = dry_run(folder, f"name: {name}\ngrid: [{{}}]")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"name is {name}, " in result.stderr
    assert result.stderr.endswith("put it in quotes\n")
    assert dry_run(folder, f"name: '{name}'\ngrid: [{{}}]").exit_code == 0


@pytest.mark.parametrize("name", ["007", "1e5", "on", "0x1F"])
def test_a_name_of_set_needs_no_quotes(folder, name):
    assert dry_run(folder, "grid: [{}]", [f"name={name}"]).stdout.startswith(f"sweep {name} in ")


@pytest.mark.parametrize(("scalar", "forms"), [("seed: 0123", "83 or 123"), ("training.epochs: 1:30", "90")])
def test_a_number_of_two_meanings_is_refused(folder, scalar, forms):
    """YAML 1.1 reads 0123 as 83, and 1:30 as 90."""
    sets = scalar.replace(": ", "=", 1)
    for result in (dry_run(folder, f"name: a\n{scalar}\ngrid: [{{}}]"), dry_run(folder, "name: a\ngrid: [{}]", [sets])):
        assert result.exit_code == 2
        assert result.stderr.endswith(f"write {forms}\n")


def test_a_thousand_equal_problems_are_a_screen(folder):
    result = dry_run(folder, "name: a\ngrid:\n" + "- {sed: 1}\n" * 1000)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert lines[-1] == "... and 980 more problems"
    assert len(lines) == 21


def test_merge_keys_are_not_taken(folder):
    result = dry_run(folder, "name: a\ngrid:\n- &a {seed: 1}\n- {<<: *a, method: none}\n")
    assert result.exit_code == 2
    assert "line 4: merge keys (<<) are not supported" in result.stderr


@given(st.text(max_size=70))
@settings(max_examples=300)
def test_an_accepted_name_is_one_plain_folder(name):
    if grid.NAME.fullmatch(name):
        path = Path("/results") / name
        assert path.resolve().parent == Path("/results")
        assert name.isascii()


@pytest.mark.parametrize("name", ["a", "mnist-10k_v1.2", "console", "com", "nullable.x", "x" * 64, "0"])
def test_plain_names_are_taken(name):
    assert grid.NAME.fullmatch(name)


@pytest.mark.parametrize("argument", ["~nobody-of-this-name/g.yaml", "x" * 5000, "a\0b", "", ".", "/dev/null"])
def test_any_argument(folder, argument):
    result = runner.invoke(app, [argument, "--dry-run"])
    assert result.exit_code == 2, result.exception
    assert result.stderr.strip()
