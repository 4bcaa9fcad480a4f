"""A reader's own sweep over two folders and two latent sizes, from the dry run to the page."""

import numpy as np
import pytest
from PIL import Image

from sweeps.analysis.results import read_table
from sweeps.data.datasets import declared
from sweeps.data.image_folder import listing
from sweeps.ledger.ledger import open_ledger
from sweeps.report.actions import Actions
from sweeps.report.contents import ReportRequest
from sweeps.run.command import command
from sweeps.run.options import Options

GRID = """
name: mine
data: {{dataset: folder, side: 8, channels: 1, limit: 16}}
folds: {{n_splits: 2}}
training: {{epochs: 1, batch_size: 8}}
grid:
  - {{family: autoencoder, data.root: [{0}/cats, {0}/flowers], model.latent: [2, 4], model.hidden: [[4, 4]],
      method: [none, multi_decoder]}}
"""


@pytest.fixture
def run(tmp_path):
    """Return the command on a grid of two folders, whose classes come one after another."""
    draw = np.random.default_rng(0)
    for place, n in {"cats/black": 30, "cats/white": 10, "flowers/rose": 20, "flowers/tulip": 20}.items():
        (tmp_path / place).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(draw.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / place / f"{i:02}.png")
    file = tmp_path / "mine.yaml"
    file.write_text(GRID.format(tmp_path))
    yield lambda *overrides, **options: command(
        str(file), overrides, Options(str(tmp_path / "results"), inline=True, **options)
    )
    listing.cache_clear()
    declared.cache_clear()


def test_two_folders_from_dry_run_to_page(run, tmp_path, capsys):
    """Both names are in the dry run, in the table, in the figures and on the page, and the folders are two models."""
    assert run(dry_run=True) == 0
    out = capsys.readouterr().out
    assert "autoencoder 1 multi_decoder, uniform, data.name flowers, model.latent 4" in out
    assert "data: folder cats: 16 of 40 files are drawn in proportion to 2 class folders, by the sweep's seed" in out
    assert f"data.root: {tmp_path}/cats or {tmp_path}/flowers\n" in out
    assert run() == 0
    out = capsys.readouterr().out
    head = next(line for line in out.splitlines() if "data.name" in line and "folds" in line)
    assert head.split()[0] == "data.name"
    assert "different images" not in out
    ledger = open_ledger(tmp_path / "results", "mine")
    table = read_table(ledger)
    assert [[row.settings["data.name"] for row in group] for group in table.groups] == [["cats"] * 4, ["flowers"] * 4]
    others = [row for row in table.rows if not row.is_baseline]
    assert [table.baseline(row).settings["data.name"] for row in others] == ["cats"] * 2 + ["flowers"] * 2
    assert len({row.image_sets[0] for row in table.rows}) == 2
    lines = Actions(write=True).run(ledger, "mine", ReportRequest())
    assert not [line for line in lines if "no picture" in line]
    written = {path.name for path in (tmp_path / "results" / "mine" / "report").rglob("*.png")}
    assert {f"curves-{name}-autoencoder-1-multi_decoder.png" for name in ("cats", "flowers")} <= written
    page = next((tmp_path / "results" / "mine" / "report").glob("*.html")).read_text()
    assert ">cats<" in page
    assert "curves-flowers-autoencoder-1" in page
    assert run(only="data.name cats, model.latent 2, baseline, fold 1") == 0


def test_work_of_the_older_default_goes_on(run, capsys):
    """A ledger whose units took the first images is continued with `--set data.sample=first`, and never mixed."""
    assert run("data.sample=first", only="autoencoder 1 none, data.name cats, model.latent 2, fold 0") == 0
    capsys.readouterr()
    for options in ({}, {"dry_run": True}, {"status": True}):
        assert run(**options) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert "--set data.sample=first continues them, --set data.sample=stratified starts anew" in err
    run("data.sample=first", status=True)
    assert "1/2  autoencoder 1 none, data.name cats, model.latent 2" in capsys.readouterr().out
    run("data.sample=stratified", status=True)
    assert "0/2  autoencoder 1 none, data.name cats, model.latent 2" in capsys.readouterr().out
