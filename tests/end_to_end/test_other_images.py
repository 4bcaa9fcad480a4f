"""Images that change between two runs, at the same names and sizes, stop a run and are kept apart in reports.

Reports do not join, mark or compare units that saw different images.
"""

import shutil

import numpy as np
import pytest
from PIL import Image

from sweeps.analysis.differences import best_keys, differences
from sweeps.analysis.results import read_table
from sweeps.ledger.ledger import open_ledger
from sweeps.report.actions import Actions
from sweeps.report.contents import ReportRequest, report
from sweeps.run.command import command
from sweeps.run.options import Options

GRID = """
name: other
data: {{dataset: folder, root: {root}, side: 8, channels: 1}}
folds: {{n_splits: 2}}
training: {{epochs: 1, batch_size: 8}}
keep_models: all
grid: [{{family: autoencoder, method: [none, multi_decoder], model.hidden: [4, 4]}}]
"""


def paint(root, seed):
    """Write images whose names and sizes are always the same, and whose pixels depend on the seed."""
    root.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    for i in range(30):
        Image.fromarray(draw.integers(0, 256, (8, 8), np.uint8)).save(root / f"{i:02}.bmp")


@pytest.fixture
def sweep(tmp_path):
    """Return the command on a grid of two rows, whose images a test can paint anew."""
    root, file = tmp_path / "images", tmp_path / "other.yaml"
    file.write_text(GRID.format(root=root))
    paint(root, 1)

    def run(overrides=(), **options):
        return command(str(file), overrides, Options(str(tmp_path / "results"), inline=True, **options))

    run.root, run.results = root, str(tmp_path / "results")
    run.ledger = open_ledger(run.results, "other")
    return run


def test_other_images_stop_a_run(sweep, capsys):
    """Nothing is trained or changed, and with the earlier images the same command resumes."""
    assert sweep(only="autoencoder 1 none, fold 0") == 0
    done = sweep.ledger.units()
    capsys.readouterr()
    paint(sweep.root, 2)
    assert sweep() == 2
    out, err = capsys.readouterr()
    assert out == f"other: 3 units to train, 1 done before; reading the images of folder {sweep.root.name}\n"
    assert err.count("\n") == 1
    assert "1 done unit (such as autoencoder 1 none, fold 0" in err
    assert "saw other images than these" in err
    assert "--accept-images" in err
    assert sweep.ledger.units() == done
    paint(sweep.root, 1)
    assert sweep() == 0
    out, err = capsys.readouterr()
    assert "different images" not in out + err
    assert "2/2 " in out


def test_reports_name_accepted_other_images(sweep, capsys):
    """A row over two sets of images says so, no cell of it is marked, and no picture mixes model and images."""
    assert sweep(only="autoencoder 1 none, fold 0") == 0
    paint(sweep.root, 2)
    assert sweep(accept_images=True) == 0
    text = report(sweep.results, "other", ReportRequest(("table", "differences")))
    assert "2/2 (2 sets of images)" in text
    assert "different images in one row: autoencoder 1 none: fold 0 saw" in text
    assert "different images of images: " in text
    table = read_table(sweep.ledger)
    none, multi = table.rows
    assert (none.complete, multi.complete) == (False, True)
    found = {c.metric: c for c in differences(table)}["unconditioned"]
    assert (found.difference.n, found.why_not) == (1, "only one fold in common")  # fold 1, where both saw the new ones
    assert best_keys(table, "unconditioned") == set()
    lines = Actions(write=True).run(sweep.ledger, "other", ReportRequest())
    assert [line for line in lines if "the images there now are not those that fold 0 saw" in line]
    assert any("different images in one row" in line for line in lines)


def test_rows_over_different_images_are_not_compared(sweep):
    """Two complete rows on two sets of images get no p-value and no star, and the report says why."""
    for label, seed in (("autoencoder 1 none", 1), ("autoencoder 1 multi_decoder", 2)):
        paint(sweep.root, seed)
        for fold in (0, 1):
            sweep(only=f"{label}*, fold {fold}", accept_images=True)
    table = read_table(sweep.ledger)
    assert [row.complete for row in table.rows] == [True, True]
    found = {c.metric: c for c in differences(table)}["unconditioned"]
    assert (found.difference, found.why_not) == (None, "no fold in common on the same images")
    assert best_keys(table, "unconditioned") == set()
    assert "folds that saw different images are not compared" in report(sweep.results, "other", ReportRequest())


@pytest.mark.parametrize("part", [{"only": "autoencoder 1 none, fold 1"}, {"shard": "1/2"}, {"shard": "2/2"}])
def test_a_part_of_a_sweep_stops_too(sweep, capsys, part):
    """A part of a sweep stops even if the done unit that saw other images is outside of it, in the same table."""
    assert sweep(only="autoencoder 1 none, fold 0") == 0
    done = sweep.ledger.units()
    capsys.readouterr()
    paint(sweep.root, 2)
    assert sweep(**part) == 2
    assert "saw other images than these" in capsys.readouterr().err
    assert sweep.ledger.units() == done


def test_units_of_another_limit_are_compared(sweep, capsys):
    """Units done under an equivalent data.limit are adopted and compared by the command that reads other images."""
    assert sweep(only="autoencoder 1 none, fold 0") == 0
    paint(sweep.root, 2)
    capsys.readouterr()
    assert sweep(overrides=["data.limit=30"]) == 2
    out, err = capsys.readouterr()
    assert "counted here too: 1 unit done under another data.limit" in out
    assert "saw other images than these" in err


def test_redo_of_all_takes_new_images(sweep):
    """A redo of one unit stops, because the others saw the earlier images; a redo of all trains on the new ones."""
    assert sweep() == 0
    paint(sweep.root, 2)
    assert sweep(redo="*none*, fold 0") == 2
    assert sweep(redo="*") == 0
    assert "different images" not in report(sweep.results, "other", ReportRequest())


def test_the_same_pixels_are_the_same_images(sweep):
    """Files with other bytes and the same pixels count as the same images, and the run resumes."""
    assert sweep(only="autoencoder 1 none, fold 0") == 0
    (before,) = sweep.ledger.read()[0]
    for path in sweep.root.iterdir():
        data = bytearray(path.read_bytes())
        data[6] ^= 1  # reserved bytes of the header, which nobody reads
        path.write_bytes(data)
    assert sweep() == 0
    hashes = {(row["data_hash"], row["files_hash"]) for row in sweep.ledger.read()[0]}
    assert {pixels for pixels, _ in hashes} == {before["data_hash"]}
    assert len({files for _, files in hashes}) == 2
    assert "different images" not in report(sweep.results, "other", ReportRequest())


def test_a_finished_sweep_needs_no_images(sweep, capsys):
    """A report works after the images were removed."""
    assert sweep() == 0
    shutil.rmtree(sweep.root)
    capsys.readouterr()
    assert "2/2" in report(sweep.results, "other", ReportRequest())
