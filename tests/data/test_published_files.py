"""Files of published data sets that are not the published ones: one line names the file and says what it is."""

import gzip
import shutil
import struct

import pytest

from sweeps.data.datasets import Data, DataError, Source, load

HTML = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
SPOILT = {
    "empty": (b"", "it is empty"),
    "html": (HTML, "it is a web page (HTML)"),
    "pointer": (POINTER, "it is a Git LFS pointer (git lfs pull brings the file)"),
    "gz": (gzip.compress(b"x" * 1000), "it is compressed (gunzip unpacks it)"),
    "zip": (b"PK\x03\x04" + b"x" * 1000, "it is an archive"),
    "text": (b"moved to another place", "it begins with b'moved to ano'"),
    "short": (b"\0\0", r"it begins with b'\x00\x00'"),
}


def refused(name, root, test_half=False):
    with pytest.raises(DataError) as caught:
        load(Source(Data(dataset=name, root=str(root)), test_half))
    line = str(caught.value)
    assert "\n" not in line
    assert "download=True" not in line
    assert line.startswith(f"{name}: cannot be read: ")
    return line


@pytest.fixture
def mnist(tmp_path):
    """MNIST's four files, with a few images each."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 5, 28, 28) + bytes(5 * 784))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 5) + bytes(5))
    return tmp_path


class TestMnist:
    @pytest.mark.parametrize("kind", SPOILT)
    @pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
    def test_what_is_no_idx_file(self, mnist, file, kind):
        content, words = SPOILT[kind]
        (mnist / "MNIST" / "raw" / file).write_bytes(content)
        line = refused("mnist", mnist)
        assert f"raw/{file} is not an IDX file" in line
        assert words in line

    def test_images_in_the_place_of_labels(self, mnist):
        folder = mnist / "MNIST" / "raw"
        shutil.copy(folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte")
        assert "train-labels-idx1-ubyte is not an IDX file of labels" in refused("mnist", mnist)

    @pytest.mark.parametrize("change", [-3, 3])
    def test_cut_and_lengthened(self, mnist, change):
        path = mnist / "MNIST" / "raw" / "train-images-idx3-ubyte"
        content = path.read_bytes()
        path.write_bytes(content[:change] if change < 0 else content + bytes(change))
        assert f"{3936 + change:,} bytes, where its header says 3,936" in refused("mnist", mnist)

    def test_a_folder_in_the_place_of_a_file(self, mnist):
        path = mnist / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
        path.unlink()
        path.mkdir()
        assert "t10k-labels-idx1-ubyte" in refused("mnist", mnist)


@pytest.mark.parametrize("kind", SPOILT)
def test_cifar10(tmp_path, kind):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    content, words = SPOILT[kind]
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]:
        (folder / name).write_bytes(content)
    line = refused("cifar10", tmp_path)
    assert "data_batch_1 is not the published file: its MD5 is " in line
    assert words in line
    (folder / "data_batch_1").unlink()  # a file that is not looked for before reading
    (folder / "data_batch_2").unlink()
    (folder / "data_batch_1").write_bytes(content)


@pytest.mark.parametrize("kind", SPOILT)
def test_celeba(tmp_path, kind):
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    content, words = SPOILT[kind]
    for name in ("list_attr_celeba", "identity_CelebA", "list_bbox_celeba", "list_landmarks_align_celeba"):
        (folder / f"{name}.txt").write_bytes(content)
    (folder / "list_eval_partition.txt").write_bytes(content)
    line = refused("celeba", tmp_path)
    assert "list_attr_celeba.txt is not the published file" in line
    assert words in line
    (folder / "list_attr_celeba.txt").unlink()
    assert "no list_attr_celeba.txt in" in refused("celeba", tmp_path)


def test_what_no_file_explains_keeps_its_own_words(mnist, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("strange\nwords")

    monkeypatch.setattr("torchvision.datasets.mnist.read_image_file", fail)
    assert refused("mnist", mnist).endswith("AssertionError: strange words")
