"""Identity of images: by their pixels, or by the files from which they were decoded."""

import errno
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sweeps.data.datasets import DATASETS, Data, DataError, Loaded, Source, declared, load
from sweeps.data.hashes import SameImages, files_hash_of
from sweeps.data.seen import SeenImages, check_seen

SOURCE = Source(Data(dataset="digits", limit=50), False)


def loaded(pixels, files):
    return Loaded(None, (), pixels, files)


def test_other_pixels_of_the_same_files_are_reported():
    """Another version of a JPEG library decodes a few levels differently. The run continues."""
    (line,) = check_seen(SOURCE, loaded("b" * 64, "f" * 64), [SeenImages(("a" * 64, "f" * 64), 3, "unit")])
    assert "3 done units saw, but another image library decoded them" in line


@pytest.mark.parametrize(
    "seen",
    [[], [("a", "f")], [("a", None)], [("a", "g")], [(None, None)], [(None, "f")]],
    ids=["nothing", "both", "of an earlier version", "written anew", "unknown", "files alone"],
)
def test_the_same_images_are_no_news(seen):
    assert check_seen(SOURCE, loaded("a", "f"), [SeenImages(hashes, 1, "unit") for hashes in seen]) == ()


@pytest.mark.parametrize("seen", [("b", "g"), ("b", None), (None, "g")])
def test_other_images_stop_a_run(seen):
    with pytest.raises(DataError, match=r"2 done units \(such as a unit\) saw other images"):
        check_seen(SOURCE, loaded("a", "f"), [SeenImages(("a", "f"), 1, "another"), SeenImages(seen, 2, "a unit")])


def test_a_chain_of_hashes_is_one_set():
    """Pixels a and b come from files f. An earlier version saw b without a hash of its files."""
    same = SameImages([("a", "f"), ("b", "f"), ("c", "g"), ("b", None)])
    assert same.name(("a", "f")) == same.name(("b", None)) != same.name(("c", "g"))
    assert same.name((None, None)) is None


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["w", "x", "y", None]))))
def test_sameness_is_an_equivalence(pairs):
    """Images that share pixels or files are the same, through any chain and in any order of the units."""
    classes = [{pair} for pair in set(pairs)]
    merged = True
    while merged:
        merged = False
        for i, one in enumerate(classes):
            for other in classes[i + 1 :]:
                if any(a == b and a for p in one for q in other for a, b in zip(p, q, strict=True)):
                    one |= other
                    classes.remove(other)
                    merged = True
                    break
    for order in (pairs, pairs[::-1]):
        same = SameImages(order)
        names = [{same.name(pair) for pair in one} for one in classes]
        assert all(len(found) == 1 for found in names)
        assert len(set.union(set(), *names)) == len(classes)


def test_hashes_of_files(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "gone")]
    paths[0].write_bytes(b"1")
    paths[1].write_bytes(b"23")
    parts = [hashlib.sha256(b"1").digest(), hashlib.sha256(b"23").digest(), b"gone"]
    assert files_hash_of(paths, 2) == hashlib.sha256((2).to_bytes(8, "little") + b"".join(parts)).hexdigest()
    assert files_hash_of(paths, 1) != files_hash_of(paths, 2)  # a file that gave no image this time
    assert files_hash_of([], 0) is None


def test_every_image_is_hashed_with_its_source(shared_data):
    source = Source(Data(dataset="mnist", root=str(shared_data), limit=100), True)
    whole = load(source)
    assert len(whole.images) == 100 + 100
    raw = shared_data / "MNIST" / "raw"
    assert whole.files_hash == files_hash_of([raw / "train-images-idx3-ubyte", raw / "t10k-images-idx3-ubyte"], 200)
    assert load(source._replace(test_half=False)).files_hash == files_hash_of([raw / "train-images-idx3-ubyte"], 100)


def idx(images):
    """Encode images as an IDX file, like those of MNIST."""
    return b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()


@pytest.mark.parametrize("fault", ["ten images", "noise"])
def test_the_official_test_half_is_checked(shared_data, tmp_path, fault):
    """Before, ten images in t10k gave splits of 5/100/5, and noise of the right number was accepted."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in (shared_data / "MNIST" / "raw").iterdir():
        (raw / path.name).symlink_to(path)
    n = 10 if fault == "ten images" else declared(Data(dataset="mnist")).test_images
    images = np.random.default_rng(0).integers(0, 256, (n, 28, 28), np.uint8)
    labels = b"\0\0\x08\x01" + n.to_bytes(4, "big") + bytes(n)
    for name, data in (("t10k-images-idx3-ubyte", idx(images)), ("t10k-labels-idx1-ubyte", labels)):
        (raw / name).unlink()
        (raw / name).write_bytes(data)
    data = Data(dataset="mnist", root=str(tmp_path), limit=100)
    assert len(load(Source(data, False)).images) == 100
    with pytest.raises(
        DataError, match=rf"the {n:,} images of the official test part in .* are not the published ones"
    ):
        load(Source(data, True))


@pytest.mark.parametrize("how", ["written again", "replaced", "closed", "gone"])
def test_files_that_change_while_read_stop_it(tmp_path, monkeypatch, how):
    """While a copy is in progress, the files' hash would belong to other images than those that were read."""
    for i in range(3):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / f"{i}.bmp")
    first, kind = tmp_path / "0.bmp", type(DATASETS["folder"])
    read = kind.load

    def load_and_change(self, source):
        found = read(self, source)
        if how == "written again":
            os.utime(first, ns=(0, 0))
        elif how == "replaced":
            status = first.stat()
            shutil.copy(tmp_path / "1.bmp", tmp_path / "new")
            os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
            (tmp_path / "new").rename(first)
        elif how == "closed":
            first.chmod(0)
        else:
            first.unlink()
        return found

    source = Source(Data(dataset="folder", root=str(tmp_path)), False)
    assert len(load(source).images) == 3
    monkeypatch.setattr(kind, "load", load_and_change)
    with pytest.raises(DataError, match=r"folder .*: 1 files changed while they were read, such as '.*/0\.bmp'"):
        load(source)


@pytest.mark.parametrize(("refusals", "same"), [(1, True), (9, False)])
def test_a_refusal_for_a_moment_changes_no_hash(tmp_path, monkeypatch, refusals, same):
    """The reader could open the file. A file that is never readable is left out, and enters the hash as closed."""
    path = tmp_path / "0.bmp"
    path.write_bytes(b"an image")
    before, opened, left = files_hash_of([path], 1), Path.open, iter(range(refusals))

    def refused(self, *args):
        if next(left, None) is not None:
            raise PermissionError(errno.EACCES, "refused")
        return opened(self, *args)

    monkeypatch.setattr(Path, "open", refused)
    assert (files_hash_of([path], 1) == before) is same
