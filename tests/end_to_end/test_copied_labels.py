"""In a sweep over three axes every place names each row differently, and commands accept the copied names."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from sweeps.analysis.results import read_table
from sweeps.backends import live_table
from sweeps.backends.progress import Progress
from sweeps.config import grid
from sweeps.ledger import redo, tensorboard
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.patterns import matching
from sweeps.plan.plan import Plan
from sweeps.report.figures import drawing
from sweeps.run.command import command
from sweeps.run.options import Options

GRID = """
name: axes
data: {{dataset: folder, side: 8, channels: 1}}
folds: {{n_splits: 2, selection: 2}}
training: {{epochs: 1, batch_size: 8}}
keep_models: none
grid:
  - family: gaussian_vae
    data.root: {roots}
    model.latent: [2, 3]
    training.lr: [1.234567e-4, 1.2345674e-4]
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Run the sweep once with TensorBoard. Return (results, grid file, what the run printed)."""
    folder = tmp_path_factory.mktemp("axes")
    random = np.random.default_rng(0)
    roots = [folder / "few images", folder / "more, images"]
    for n, root in zip((12, 14), roots, strict=True):
        root.mkdir()
        for i in range(n):
            Image.fromarray(random.integers(0, 255, (8, 8), dtype=np.uint8)).save(root / f"{i}.png")
    file = folder / "axes.yaml"
    file.write_text(GRID.format(roots=json.dumps(list(map(str, roots)))))
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words))))
        options = Options(str(folder / "results"), inline=True, tensorboard=str(folder / "tb"))
        assert command(str(file), [], options) == 0
    return folder / "results", file, "\n".join(printed)


@pytest.fixture
def ledger(swept):
    return open_ledger(swept[0], "axes")


@pytest.fixture
def plan(swept, ledger):
    return Plan(grid.load(str(swept[1])), ledger.units(), ledger.units("failed"))


def labels_of_status(swept, capsys):
    command(str(swept[1]), [], Options(str(swept[0]), status=True))
    return [line.split("  ")[2] for line in capsys.readouterr().out.splitlines()[1:]]


def labels_of_dry_run(swept, capsys):
    command(str(swept[1]), [], Options(str(swept[0]), dry_run=True))
    return re.findall(r"parameters  (.*)", capsys.readouterr().out)


def labels_of_progress(swept, capsys):
    return re.findall(r"\] done: (.*), fold 0 \(", swept[2])


def labels_of_live_table(swept, capsys):
    plan = Plan(grid.load(str(swept[1])), frozenset(), frozenset())
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(live_table.draw(Progress(plan, plan.units, terminal=True), 400, 50))
    return [line.partition("  ")[0].rstrip(" ○") for line in console.export_text().splitlines()[2:]]


def labels_of_logs(swept, capsys):
    storage = open_ledger(swept[0], "axes").storage
    logs = [name for name in storage.names("logs") if "fold0" in name]
    return [storage.read(f"logs/{name}").decode().partition(", on ")[0] for name in logs]


def labels_of_tensorboard(swept, capsys):
    return [run.name for run in (swept[0].parent / "tb").iterdir() if run.name.endswith("fold0")]


def named(data):
    """Return the name of a data set, which has a column and a figure of its own, as a label has it."""
    return f"data.name {json.dumps(data) if ',' in data else data}"


def labels_of_cells(swept, capsys):
    from sweeps.report.tables.views import main_sheet

    rows = main_sheet("axes", read_table(open_ledger(swept[0], "axes"))).rows
    return [f"{named(row[0].text)}, {next(cell.text for cell in row if 'latent' in cell.text)}" for row in rows]


def labels_of_failures(swept, capsys):
    from sweeps.report.tables.notes import failures

    table = read_table(open_ledger(swept[0], "axes"))
    for row in table.rows:
        row.failed[0] = "no luck"
    return [line.removeprefix("failed: ").removesuffix(": no luck") for line in failures(table)]


def labels_of_legends(swept, capsys):
    table = read_table(open_ledger(swept[0], "axes"))
    texts = drawing.labels(table)
    legends = [(row, f"{texts[row.key]} (1/2\N{NO-BREAK SPACE}folds)") for row in table.rows]
    return [f"{named(row.settings['data.name'])}, {legend}" for row, legend in legends]


PLACES = [
    labels_of_status,
    labels_of_dry_run,
    labels_of_progress,
    labels_of_live_table,
    labels_of_logs,
    labels_of_tensorboard,
    labels_of_cells,
    labels_of_failures,
    labels_of_legends,
]


@pytest.mark.parametrize("place", PLACES)
def test_each_place_shows_all_three_values(swept, plan, place, capsys):
    """A copied name selects one row: one fold of it if the name says a fold, all of its folds otherwise."""
    shown = place(swept, capsys)
    assert len(shown) == len(set(shown)) == 8
    rows = set()
    for text in shown:
        assert "images" in text
        assert re.search("latent.[23]", text)
        assert re.search("lr.0.0001234567(?!4)|lr.0.00012345674", text)
        found = matching(plan.units, text)
        (row,) = {unit.key for unit in found}
        rows.add(row)
        assert len(found) == (1 if "fold0" in text or ", fold 0" in text else 2)
    assert len(rows) == 8


@pytest.mark.parametrize("place", PLACES)
def test_reports_accept_copied_labels(swept, place, capsys):
    """`--only` of a report shows the row of one copied label, or the rows of two."""
    import typer

    from sweeps.report.__main__ import main

    app = typer.Typer()
    app.command()(main)
    first, second, *_ = place(swept, capsys)
    arguments = ["axes", "--results", str(swept[0]), "--format", "json"]
    keys = []
    for only in (["--only", first], ["--only", first, "--only", second]):
        done = CliRunner().invoke(app, [*arguments, *only])
        assert done.exit_code == 0, done.output
        (sheet,) = json.loads(done.stdout)
        keys.append({row["key"] for row in sheet["rows"]})
    assert list(map(len, keys)) == [1, 2]
    assert keys[0] < keys[1]


def test_redo_of_one_label_marks_its_row_alone(swept, ledger, plan, capsys):
    """A row that differs from the named one only in the seventh digit of the learning rate is not trained again."""
    label = labels_of_status(swept, capsys)[5]
    command(str(swept[1]), [], Options(str(swept[0]), redo=label, dry_run=True))
    assert "16 units: 14 done, 0 failed, 2 to train" in capsys.readouterr().out
    before = {(row["key"], row["fold"]): row["finished_at"] for row in ledger.read()[0]}
    assert command(str(swept[1]), [], Options(str(swept[0]), redo=label, inline=True)) == 0
    after = {(row["key"], row["fold"]): row["finished_at"] for row in ledger.read()[0]}
    assert {id_ for id_ in after if after[id_] != before[id_]} == {unit.id for unit in plan.rows[5]}
    assert redo.marked(ledger.storage) == frozenset()


def test_only_takes_a_label_with_its_fold(swept, capsys):
    """A copied label without its fold names two units, which `--only` of a run refuses."""
    copied = labels_of_failures(swept, capsys)[3]
    assert command(str(swept[1]), [], Options(str(swept[0]), only=copied)) == 0
    assert command(str(swept[1]), [], Options(str(swept[0]), only=copied.removesuffix(", fold 0"))) == 2
    assert (
        "2 units match, name one: gaussian_vae 1 none, data.name few images, model.latent 3" in capsys.readouterr().err
    )


def test_a_label_from_before_widening_still_counts(swept, ledger, plan, tmp_path, capsys):
    """The narrow sweep's labels do not mention data.root, so they select the rows of both roots."""
    text = swept[1].read_text()
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text(re.sub(r"data.root: \[(.*?), .*", r"data.root: [\1]", text))
    label = Plan(grid.load(str(narrow)), frozenset(), frozenset()).rows[0][0].label
    assert label == "gaussian_vae 1 none, model.latent 2, training.lr 0.0001234567"
    found = matching(plan.units, label)
    assert {unit.key for unit in found} == {plan.rows[0][0].key, plan.rows[4][0].key}


def test_a_run_is_renamed_when_its_label_grows(ledger, plan, tmp_path):
    """A TensorBoard run under an older, shorter label is renamed, not written a second time."""
    unit = plan.rows[0][0]
    (tmp_path / f"gaussian_vae-1-none-{unit.name}").mkdir()
    assert tensorboard.write_all(ledger, tmp_path) == (16, [])
    names = [run.name for run in tmp_path.iterdir()]
    assert len(names) == 16
    assert tensorboard.run_name(unit.label, unit.name) in names
