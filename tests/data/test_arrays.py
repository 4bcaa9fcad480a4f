"""Images in `.npy` and `.npz` files: what is read, and one line for what is not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from sweeps.data.datasets import Data, DataError, Source, declared, image_count, load, shape

DRAW = np.random.default_rng(0)
LEVELS = DRAW.integers(0, 256, (12, 8, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def _forget():
    yield
    declared.cache_clear()


def read(path, seed=None, **settings):
    return load(Source(Data(dataset="arrays", root=str(path), **settings), False, sample_seed=seed))


def save(path, array, **more):
    if more or path.suffix == ".npz":
        np.savez(path, images=array, **more)
    else:
        np.save(path, array)
    return path


def test_channels_come_first(tmp_path):
    path = save(tmp_path / "a.npy", LEVELS)
    data = Data(dataset="arrays", root=str(path))
    assert (shape(data), image_count(data)) == ((3, 8), 12)
    loaded = read(path)
    assert np.array_equal(loaded.images, LEVELS.transpose(0, 3, 1, 2))
    assert (loaded.labels, loaded.files_hash is not None) == (None, True)
    assert np.array_equal(read(save(tmp_path / "b.npy", LEVELS[..., 0])).images, LEVELS[:, None, ..., 0])


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64, np.uint16])
def test_other_types_give_the_same_levels(tmp_path, dtype):
    array = LEVELS / 255 if np.dtype(dtype).kind == "f" else LEVELS
    loaded = read(save(tmp_path / "a.npz", array.astype(dtype)))
    assert np.array_equal(loaded.images, LEVELS.transpose(0, 3, 1, 2))


def test_truth_values_are_black_and_white(tmp_path):
    assert set(np.unique(read(save(tmp_path / "a.npy", LEVELS[..., 0] > 99)).images)) == {0, 255}


@pytest.mark.parametrize("kind", ["named", "numbered", "texts"])
def test_labels_and_classes(tmp_path, kind):
    """Labels stay with their images in a sample, which has the classes in proportion."""
    numbers = np.repeat([0, 1, 2], 4)
    more = {"labels": numbers, "classes": np.array(["ant", "bee", "cat"])} if kind == "named" else {"labels": numbers}
    if kind == "texts":
        more = {"labels": np.array(["ant", "bee", "cat"])[numbers]}
    path = save(tmp_path / "a.npz", np.repeat(numbers.astype(np.uint8), 64).reshape(12, 8, 8), **more)
    loaded = read(path, seed=4, limit=6, sample="stratified")
    assert loaded.classes == (("0", "1", "2") if kind == "numbered" else ("ant", "bee", "cat"))
    assert (loaded.labels.dtype, loaded.labels.tolist()) == (np.int16, [0, 0, 1, 1, 2, 2])
    assert loaded.images[:, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]
    (note,) = loaded.notes
    assert "6 of 12 images are drawn in proportion to 3 classes" in note


BAD = {
    "objects": (np.array([{"a": 1}] * 3, object), "objects"),
    "flat": (np.zeros((5, 64), np.uint8), r"must have the shape \(N,H,W\) or .*; it is uint8 \(5, 64\)"),
    "oblong": (np.zeros((5, 8, 9), np.uint8), "with H = W"),
    "channels first": (np.zeros((5, 3, 8, 8), np.uint8), r"array\.transpose\(0, 2, 3, 1\) puts the channels last"),
    "alpha": (np.zeros((5, 8, 8, 4), np.uint8), "1 or 3 channels"),
    "large": (np.zeros((1, 512, 512), np.uint8), "side 4 to 256"),
    "none": (np.zeros((0, 8, 8), np.uint8), "must hold images"),
    "bright": (np.full((5, 8, 8), 2.0), r"floats must be from 0 to 1; it has values from 2\.0 to 2\.0"),
    "nan": (np.full((5, 8, 8), np.nan), "floats must be from 0 to 1; it has values from nan"),
    "negative": (np.full((5, 8, 8), -1), "integers must be levels from 0 to 255"),
    "complex": (np.zeros((5, 8, 8), complex), "must hold integers, floats or truth values"),
}


@pytest.mark.parametrize("ending", ["npy", "npz"])
@pytest.mark.parametrize("kind", BAD)
def test_bad_arrays_are_one_line(tmp_path, kind, ending):
    array, words = BAD[kind]
    path = tmp_path / f"a.{ending}"
    np.savez(path, images=array) if ending == "npz" else np.save(path, array)
    with pytest.raises(DataError, match=words) as caught:
        read(path)
    assert str(caught.value).startswith(f"arrays: {path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "not a NumPy file"), (b"\x93NUMPY\x01\x00v\x00{'descr", "reading array header"), (b"text", "not a NumPy")],
)
def test_files_of_another_kind(tmp_path, content, words):
    for name in ("a.npy", "b.npz"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.npy")
    with pytest.raises(DataError, match="zip"):
        read(tmp_path / "b.npz")
    with pytest.raises(DataError, match=r"arrays: no such file: .*/c\.npy"):
        read(tmp_path / "c.npy")
    with pytest.raises(DataError, match=r"is a folder and not a file; data\.dataset folder reads image files"):
        read(tmp_path)


def test_ambiguous_archives(tmp_path):
    """One array of images is found under any name; of several, one must be called `images`."""
    np.savez(tmp_path / "one.npz", x=LEVELS, y=np.arange(12))
    assert len(read(tmp_path / "one.npz").images) == 12
    np.savez(tmp_path / "two.npz", train=LEVELS, test=LEVELS)
    with pytest.raises(DataError, match=r"no array 'images' in it, but train \(12, 8, 8, 3\), test"):
        read(tmp_path / "two.npz")
    np.savez(tmp_path / "short.npz", images=LEVELS, labels=np.arange(5))
    with pytest.raises(DataError, match="array 'labels' must hold 12 integers or texts"):
        read(tmp_path / "short.npz")
    np.savez(tmp_path / "beyond.npz", images=LEVELS, labels=np.arange(12), classes=np.array(["a"]))
    with pytest.raises(DataError, match="has values beyond the 1 names of 'classes'"):
        read(tmp_path / "beyond.npz")


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_content_is_the_identity(tmp_path, ending):
    """A copy under another name has the same fingerprint, and other pixels of the same shape have another."""

    def fingerprint(name, array):
        return declared(Data(dataset="arrays", root=str(save(tmp_path / f"{name}.{ending}", array)))).fingerprint

    other = LEVELS.copy()
    other[5, 5, 5] ^= 1
    assert fingerprint("a", LEVELS) == fingerprint("b", LEVELS) != fingerprint("c", other)


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=6)))
def test_any_array_gives_images_or_one_line(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    np.save(path, array, allow_pickle=False)
    try:
        images = read(path).images
        assert (images.dtype, len(images)) == (np.uint8, len(array))
    except DataError as error:
        assert "\n" not in str(error)
