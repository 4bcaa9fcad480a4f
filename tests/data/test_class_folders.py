"""Folders of classes and of official parts: labels, samples and the test part, over any tree of folders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sweeps.data import datasets
from sweeps.data.class_folders import layout_of
from sweeps.data.datasets import Data, DataError, Source, check_files, declared, image_count, load
from sweeps.data.image_folder import folder_files, listing

SIDE = 8


def forget():
    listing.cache_clear()
    declared.cache_clear()


@pytest.fixture(autouse=True)
def _forget_folders():
    yield
    forget()


def fill(root, counts):
    """Write images into folders; an image's grey says which folder it is in, in their order."""
    for grey, (name, n) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            Image.new("L", (SIDE, SIDE), grey).save(root / name / f"{i:03}.png")
    return root


def data(root, **options):
    return Data(dataset="folder", root=str(root), side=SIDE, channels=1, **options)


def read(root, half=False, seed=None, **options):
    forget()
    return load(Source(data(root, **options), half, sample_seed=seed))


def greys(loaded):
    return loaded.images[:, 0, 0, 0].tolist()


def test_class_folders_give_labels(tmp_path):
    loaded = read(fill(tmp_path, {"ant": 3, "bee/young": 2, "cat": 1}))
    assert loaded.classes == ("ant", "bee", "cat")
    assert (loaded.labels.dtype, loaded.labels.tolist()) == (np.int16, [0, 0, 0, 1, 1, 2])
    assert greys(loaded) == loaded.labels.tolist()


@pytest.mark.parametrize(
    "counts", [{".": 3}, {"ant": 3}, {"ant": 2, "bee": 2, ".": 1}, {"train": 2, "test": 2}, {"train/ant": 2, "val": 1}]
)
def test_folders_without_classes(tmp_path, counts):
    loaded = read(fill(tmp_path, counts))
    assert (loaded.labels, loaded.classes) == (None, ())
    assert declared(data(tmp_path)).samples == ("first", "random")


def test_labels_skip_unusable_files(tmp_path):
    fill(tmp_path, {"ant": 2, "bee": 2})
    (tmp_path / "ant" / "000.png").write_text("no image")
    loaded = read(tmp_path, max_skipped=0.5)
    assert loaded.labels.tolist() == greys(loaded) == [0, 1, 1]


def test_a_stratified_limit_takes_every_class(tmp_path):
    fill(tmp_path, {"ant": 20, "bee": 10, "cat": 10})
    assert greys(read(tmp_path, limit=8, sample="first")) == [0] * 8
    loaded = read(tmp_path, limit=8, sample="stratified", seed=1)
    assert greys(loaded) == loaded.labels.tolist() == [0] * 4 + [1] * 2 + [2] * 2
    assert loaded.notes == (
        f"data: folder {tmp_path.name}: 8 of 40 files are drawn in proportion to 3 class folders, by the sweep's seed",
    )
    assert greys(read(tmp_path, limit=30)) == [0] * 20 + [1] * 10  # no sample in a file of an earlier version: first


def test_left_out_images_count_in_the_whole_folder(tmp_path):
    """A sample draws among all files, so its share of unusable files and the folder's are two shares."""
    fill(tmp_path, {"ant": 20, "bee": 20})
    for i in range(2):
        (tmp_path / "ant" / f"{i}.avif").touch()
    with pytest.raises(DataError, match=r"2 of the 42 image files.*more than the share data\.max_skipped, 0\.04"):
        read(tmp_path, limit=4, sample="random", seed=1, max_skipped=0.04)
    assert len(read(tmp_path, limit=4, sample="random", seed=1, max_skipped=0.05).images) == 4


def test_a_sampled_folder_is_identified_by_all_files(tmp_path):
    """The sample may take any file, so each is part of the key; the first images depend on no later file."""
    fill(tmp_path, {"ant": 4, "bee": 4})
    first, drawn = data(tmp_path, limit=3, sample="first"), data(tmp_path, limit=3, sample="random")
    before = [declared(d).fingerprint for d in (first, drawn)]
    assert declared(data(tmp_path, limit=3)).fingerprint == before[0]
    forget()
    Image.new("L", (40, 40), 9).save(tmp_path / "bee" / "zzz.png")
    assert [declared(d).fingerprint == old for d, old in zip((first, drawn), before, strict=True)] == [True, False]


COUNTS = {"train/ant": 6, "train/bee": 6, "test/ant": 4, "test/bee": 4}


class TestOfficialParts:
    def test_both_parts_are_in_the_folds(self, tmp_path):
        """As before, and a line says so. Classes are those inside the parts."""
        loaded = read(fill(tmp_path, COUNTS))
        assert loaded.labels.tolist() == [0] * 4 + [1] * 4 + [0] * 6 + [1] * 6
        (note,) = loaded.notes
        assert "has the folders train (12 images) and test (8): the folds take all; data.part train" in note

    def test_train_leaves_test_out(self, tmp_path):
        fill(tmp_path, COUNTS)
        assert image_count(data(tmp_path, part="train")) == 12
        loaded = read(tmp_path, part="train")
        assert greys(loaded) == [0] * 6 + [1] * 6
        assert "the folds take train" in loaded.notes[0]

    def test_the_half_has_every_class(self, tmp_path):
        """The half follows the images of train, with its labels, and is the same with a sample of train."""
        fill(tmp_path, COUNTS)
        whole = read(tmp_path, half=True, part="train")
        assert greys(whole)[12:] == [2, 2, 3, 3]
        assert whole.labels.tolist()[12:] == [0, 0, 1, 1]
        source = Source(data(tmp_path, part="train", limit=6, sample="stratified"), True, sample_seed=0)
        assert datasets.test_half_count(source) == 4
        sampled = read(tmp_path, True, 0, part="train", limit=6, sample="stratified")
        assert greys(sampled) == [0] * 3 + [1] * 3 + [2] * 2 + [3] * 2

    def test_a_drawn_half_needs_the_whole_part(self, tmp_path):
        """The split draws the half, so all images of test follow those of train."""
        fill(tmp_path, COUNTS)
        loaded = load(Source(data(tmp_path, part="train"), True, drawn=True))
        assert greys(loaded)[12:] == [2] * 4 + [3] * 4

    def test_the_test_part_must_be_readable(self, tmp_path):
        """Otherwise images of train would be taken for images of test."""
        fill(tmp_path, COUNTS)
        (tmp_path / "test" / "ant" / "000.png").write_text("no image")
        with pytest.raises(DataError, match="every image of the test part must be usable"):
            read(tmp_path, half=True, part="train", max_skipped=0.9)

    def test_train_without_parts_is_one_line(self, tmp_path):
        fill(tmp_path, {"ant": 2, "bee": 2})
        with pytest.raises(DataError, match="no folders train and test in"):
            check_files(data(tmp_path, part="train"))


NAMES = st.sampled_from(["", "train", "test", "val", "ant", "bee", "train/ant", "train/bee", "test/ant", "test/cat"])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.integers(1, 3), min_size=1, max_size=6), st.integers(1, 12), st.integers(0, 3))
def test_any_tree_of_folders(tmp_path_factory, counts, limit, seed):
    """Every image has one label, the label names a folder of its path, and every sample is read as declared."""
    root = fill(tmp_path_factory.mktemp("tree"), counts)
    forget()
    files = folder_files(root)
    layout = layout_of(root, files)
    if layout.labels is not None:
        assert len(layout.labels) == len(files)
        names = [layout.classes[label] for label in layout.labels]
        assert all(name in path.relative_to(root).parts[:2] for name, path in zip(names, files, strict=True))
    assert bool(layout.train) == bool(layout.test)
    description = declared(data(root))
    for sample in description.samples:
        n = min(limit, description.images)
        loaded = read(root, limit=n, sample=sample, seed=seed)
        assert len(loaded.images) == n
        assert (loaded.labels is None) == (layout.labels is None)
    if description.parts:
        assert image_count(data(root, part="train")) == len(layout.train)
        loaded = read(root, True, part="train")
        assert len(loaded.images) == len(layout.train) + len(layout.test) // 2
