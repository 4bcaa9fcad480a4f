"""Settings of a folder and of arrays: names, roots, samples and parts, as a grid resolves them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeps.config.grid import GridError
from sweeps.data.datasets import declared
from sweeps.data.image_folder import listing
from sweeps.plan.identity import key_of


@pytest.fixture(autouse=True)
def _forget_folders():
    yield
    listing.cache_clear()
    declared.cache_clear()


def fill(root, *folders, n=6):
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for i in range(n):
            Image.new("L", (8, 8)).save(root / folder / f"{i}.png")
    return root


@pytest.fixture
def rows(read_grid):
    """Return the rows of a grid with this `data`, and further settings of its one block."""

    def read(data, block=""):
        folds = "folds: {n_splits: 2, selection: fold}"
        return read_grid(f"name: a\ndata: {data}\n{folds}\ngrid: [{{family: vqvae{block}}}]").rows

    return read


def problem(rows, *args, **more):
    with pytest.raises(GridError) as caught:
        rows(*args, **more)
    (line,) = caught.value.problems
    return line


def test_a_name_is_the_folders(rows, tmp_path, monkeypatch):
    """It is no part of the key, and `~` is home."""
    monkeypatch.setenv("HOME", str(fill(tmp_path / "home", "my cats").absolute()))
    (row,) = rows("{dataset: folder, root: '~/my cats/'}")
    assert (row.data.name, row.data.root) == ("my cats", "~/my cats/")
    (named,) = rows("{dataset: folder, root: '~/my cats', name: pets}")
    assert named.data.name == "pets"
    assert key_of(named) == key_of(row)
    monkeypatch.chdir(Path("~/my cats").expanduser())
    assert rows("{dataset: folder, root: .}")[0].data.name == "my cats"


def test_strange_folders_have_valid_names(rows, tmp_path):
    names = ["a\nb", "x" * 200, " c ", "ü, [d]"]
    for name in names:
        (row,) = rows("{dataset: folder, root: " + repr(str(fill(tmp_path, name) / name)).replace("\\n", "\n\n") + "}")
        assert row.data.name.isprintable()
        assert 0 < len(row.data.name) <= 60


def test_published_sets_have_no_other_name(rows):
    assert rows("{dataset: digits, name: mine}")[0].data.name is None
    assert "data.name mine: a published data set has its own name" in problem(rows, "{}", ", data.name: mine")
    assert "data.name is 'a\\nb'" in problem(rows, '{dataset: digits, name: "a\\nb"}')


def test_a_folder_needs_its_root(rows):
    line = problem(rows, "{dataset: folder}")
    assert line.endswith("data.root: data.dataset folder needs it: the folder of the images, such as ~/images")
    line = problem(rows, "{dataset: arrays}")
    assert line.endswith("data.root: data.dataset arrays needs it: the .npy or .npz file, such as ~/images")


@pytest.mark.parametrize(
    ("folders", "data", "sample"),
    [
        (["ant", "bee"], "limit: 8", "stratified"),
        (["only"], "limit: 4", "random"),
        (["ant", "bee"], "limit: 8, sample: first", "first"),
        (["ant", "bee"], "limit: 8, sample: random", "random"),
        (["only"], "limit: 4, sample: stratified", "random"),  # shared, so ignored where it does not apply
        (["ant", "bee"], "limit: 12", "first"),  # all of them
        (["ant", "bee"], "limit: 12, sample: random", "first"),
        (["ant", "bee"], "limit: null, sample: random", "first"),
    ],
)
def test_which_images_a_limit_takes(rows, tmp_path, folders, data, sample):
    (row,) = rows(f"{{dataset: folder, root: {fill(tmp_path, *folders)}, {data}}}")
    assert row.data.sample == sample


def test_a_sample_that_cannot_be_taken(rows, tmp_path):
    """In a block it is an error; a published data set takes its first images."""
    root = fill(tmp_path, "only")
    line = problem(rows, f"{{dataset: folder, root: {root}, limit: 4}}", ", data.sample: stratified")
    assert "data.sample stratified: data.dataset folder takes first or random here, because it has no classes" in line
    line = problem(rows, f"{{dataset: folder, root: {root}}}", ", data.sample: random")
    assert "data.sample random: without data.limit all images are taken" in line
    line = problem(rows, "{limit: 90}", ", data.sample: random")
    assert line.endswith("data.sample random: data.dataset digits takes first here")
    assert rows("{limit: 90, sample: random}")[0].data.sample == "first"


def test_only_another_sample_is_in_the_key(rows, tmp_path):
    root = fill(tmp_path, "ant", "bee")
    shared = f"dataset: folder, root: {root}, limit: 8"
    first, drawn, random = (
        key_of(rows(f"{{{shared}{sample}}}")[0]) for sample in (", sample: first", "", ", sample: random")
    )
    (row,) = rows(f"{{{shared}, sample: first}}")
    before = row.model_copy(update={"data": row.data.model_copy(update={"sample": None, "part": None, "name": None})})
    assert key_of(before) == first  # as an earlier version wrote the row
    assert len({first, drawn, random}) == 3


def test_a_seed_draws_its_own_images(rows, tmp_path):
    """Rows of several seeds have several sources where images are drawn, and share one where they are not."""
    shared = f"dataset: folder, root: {fill(tmp_path, 'ant', 'bee')}"
    assert len({row.source for row in rows(f"{{{shared}, limit: 8}}", ", seed: [1, 2]")}) == 2
    assert len({row.source for row in rows(f"{{{shared}}}", ", seed: [1, 2]")}) == 1


def test_the_test_half_of_a_folder(rows, tmp_path):
    """Both parts are in the folds, unless the validation set comes from the folder test."""
    data = f"{{dataset: folder, root: {fill(tmp_path, 'train', 'test')}}}"
    assert rows(data)[0].data.part == "all"
    assert rows(data, ", folds.selection: test_half")[0].data.part == "train"
    assert rows(data, ", data.part: train")[0].data.part == "train"
    line = problem(rows, data, ", folds.selection: test_half, data.part: all")
    assert "has no official test part (folders train and test)" in line
    other = f"{{dataset: folder, root: {fill(tmp_path / 'other', 'ant')}}}"
    assert "has no official test part" in problem(rows, other, ", folds.selection: test_half")
    line = problem(rows, other, ", data.part: train")
    assert "data.part train: there are no folders train and test with all images in data.root" in line


def test_arrays_are_looked_at(rows, tmp_path):
    np.savez(tmp_path / "birds.npz", images=np.zeros((9, 8, 8), np.uint8), labels=np.repeat([0, 1, 2], 3))
    (row,) = rows(f"{{dataset: arrays, root: {tmp_path / 'birds.npz'}, limit: 6}}")
    assert (row.data.name, row.data.sample, row.architecture.side) == ("birds", "stratified", 8)
    line = problem(rows, f"{{dataset: arrays, root: {tmp_path / 'none.npz'}}}")
    assert line.endswith(f"data.root {tmp_path / 'none.npz'}: arrays: no such file: {tmp_path / 'none.npz'}")
