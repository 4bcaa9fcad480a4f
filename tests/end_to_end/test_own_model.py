"""docs/own_model.md as a newcomer reads it: its two examples run as they stand there, down to the page."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from nodes import cluster_of_nodes

PAGE = Path(__file__).parents[2] / "docs" / "own_model.md"
MOST_LINES = {"my_classifier": 40, "my_tcvae": 60}


def examples():
    """Return the content of the page's files by name: each Python block follows its name, each grid has one."""
    blocks = re.findall(
        r"`(my_\w+\.(?:py|yaml))`(?:(?!```).)*```(?:python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    return dict(blocks)


def sweeps(folder, module, *arguments, **environment):
    """Run a command in a folder, as a newcomer does, and return its end."""
    command = [sys.executable, "-m", f"sweeps.{module}", *map(str, arguments)]
    environment = {"COLUMNS": "300"} | environment
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | environment)


def all_at_once(folder, commands):
    """Run several reports in one process, because each process imports for seconds."""
    code = "import json, sys, typer; from sweeps.report.__main__ import main\n"
    code += "app = typer.Typer(); app.command()(main)\n"
    code += "for command in json.loads(sys.argv[1]): assert not app(command, standalone_mode=False)"
    texts = json.dumps([list(map(str, command)) for command in commands])
    subprocess.run([sys.executable, "-c", code, texts], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Return a folder with the page's files, and what each grid's run printed."""
    folder, shown = tmp_path_factory.mktemp("own"), {}
    for name, text in examples().items():
        (folder / name).write_text(text)
    for name in MOST_LINES:
        done = sweeps(folder, "run", f"{name}.yaml", "--inline")
        assert done.returncode == 0, done.stderr
        shown[name] = done.stdout
    return folder, shown


def rows(folder, sweep):
    done = sweeps(folder, "report", sweep, "--results", folder / "results", "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)[0]["rows"]


def head_of(shown):
    return next(line for line in shown.splitlines() if "folds" in line and "settings" in line)


def test_the_page_holds_both_examples():
    found = examples()
    assert set(found) == {f"{name}.{kind}" for name in MOST_LINES for kind in ("py", "yaml")}
    for name, most in MOST_LINES.items():
        assert len(found[f"{name}.py"].splitlines()) <= most


def test_a_classifier_has_a_table_of_its_own(taught):
    """Its columns are its term and its metric. There is none of reconstructions, and the wider row learns more."""
    folder, shown = taught
    head = head_of(shown["my_classifier"])
    assert "cross entropy" in head and "accuracy" in head
    assert not {"unconditioned", "latent loss", "collapsed"} & set(re.split(r"\s{2,}", head))
    narrow, wide = rows(folder, "my_classifier")
    assert (narrow["model.width"], wide["model.width"]) == (16, 128)
    assert 0.3 < narrow["accuracy_mean"] < wide["accuracy_mean"] <= 1
    assert wide["collapsed"] is None


def test_a_tcvae_reconstructs_and_weighs(taught):
    """A larger weight lowers the total correlation, and the reconstructions are scored."""
    folder, shown = taught
    assert "total correlation" in head_of(shown["my_tcvae"]) and "unconditioned" in head_of(shown["my_tcvae"])
    light, heavy = rows(folder, "my_tcvae")
    assert heavy["total_correlation_mean"] < light["total_correlation_mean"]
    assert 0 < light["unconditioned_mean"] < 256
    done = sweeps(folder, "run", "my_tcvae.yaml", "--dry-run", "--only", "model.beta 6, fold 1")
    assert "1 units: 1 done" in done.stdout, done.stderr


def test_a_report_needs_no_module(taught, tmp_path):
    """The ledger of the classifier is reported in full elsewhere, where its module is not."""
    folder, shown = taught
    results = ("--results", folder / "results")
    told = sweeps(tmp_path, "report", "my_classifier", *results)
    assert told.returncode == 0 and head_of(told.stdout) == head_of(shown["my_classifier"])
    outputs = (["--export", "u.csv"], ["--curves", "c.csv"], ["--show", "statistics"], ["--tensorboard", "events"])
    all_at_once(
        tmp_path, [["my_classifier", *results, *arguments] for arguments in (*outputs, ["--compact"], ["--write"])]
    )
    curves = (tmp_path / "c.csv").read_text().splitlines()
    assert {'"model.width"', '"train_cross_entropy"', '"selection_accuracy"'} <= set(curves[0].split(","))
    assert len(curves) == 1 + 2 * 3 * 5
    report = folder / "results" / "my_classifier" / "report"
    assert any(file.name.startswith("curves-my_classifier") for file in report.rglob("*.png"))
    assert "accuracy" in (report / "index.html").read_text()
    assert (
        rows(folder, "my_classifier")
        == json.loads(sweeps(tmp_path, "report", "my_classifier", *results, "--format", "json").stdout)[0]["rows"]
    )


def test_the_sizes_have_help(taught):
    folder, _ = taught
    done = sweeps(folder, "run", "--settings", "my_classifier:Classifier")
    assert "model.dropout\n    a number from 0 and below 1; default 0.1" in done.stdout
    assert "share of hidden units that a step drops" in done.stdout
    done = sweeps(folder, "run", "my_classifier.yaml", "--dry-run", "--set", "model.widht=3")
    assert done.returncode == 2 and "did you mean model.width?" in done.stderr
    done = sweeps(folder, "run", "my_classifier.yaml", "--dry-run", "--set", "model.width=0")
    assert done.returncode == 2 and "greater than or equal to 1" in done.stderr


def test_changed_code_is_said_once(tmp_path):
    """A comment does not count. Other code without another version leaves units done, and the report says so."""
    for name, text in examples().items():
        (tmp_path / name).write_text(text)
    module = tmp_path / "my_classifier.py"
    command = ("run", "my_classifier.yaml", "--inline", "--set", "training.epochs=1")
    first = sweeps(tmp_path, *command, "--shard", "1/2")
    assert "its code changed" not in first.stdout, first.stderr
    module.write_text(module.read_text().replace("nn.ReLU()", "nn.Tanh()") + "\n# a comment\n")
    second = sweeps(tmp_path, *command)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("my_classifier:Classifier: its code changed between units (") == 1
    module.write_text(module.read_text().replace("version = 1", "version = 2"))
    third = sweeps(tmp_path, *command, "--dry-run")
    assert "6 units: 0 done" in third.stdout


@pytest.mark.slow
def test_rays_workers_find_the_module(taught, tmp_path):
    """The module is beside the grid's file and not in the current folder. The digits are those without Ray."""
    folder, _ = taught
    done = sweeps(tmp_path, "run", folder / "my_classifier.yaml", "--workers", "2", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert rows(tmp_path, "my_classifier") == rows(folder, "my_classifier")


@pytest.mark.slow
def test_a_cluster_gets_the_module(taught, tmp_path, monkeypatch):
    """The module travels to a cluster. If a node cannot import it, one line names the node before the first trial."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    folder, _ = taught
    grid = (folder / "my_classifier.yaml").read_text()
    (tmp_path / "needy.py").write_text(
        "import os\n\nif 'NEEDED' not in os.environ:\n    raise ImportError('what this module needs is not here')\n\n"
        + (folder / "my_classifier.py").read_text()
    )
    (tmp_path / "needy.yaml").write_text(grid.replace("my_classifier", "needy"))
    with cluster_of_nodes(1) as nodes:
        where = ("--workers", "1", "--address", nodes.address, "--results", tmp_path / "results")
        done = sweeps(tmp_path, "run", folder / "my_classifier.yaml", *where)
        assert done.returncode == 0, done.stderr
        refused = sweeps(tmp_path, "run", tmp_path / "needy.yaml", *where, NEEDED="1")
    assert rows(tmp_path, "my_classifier") == rows(folder, "my_classifier")
    assert refused.returncode == 2
    assert re.fullmatch(r"needy:Classifier cannot be imported on \S+: install its package there\n", refused.stderr)
    assert not list((tmp_path / "results" / "needy").glob("units/*"))
