"""Data sets: real files if they are here, else made files in torchvision's layout, and messages for absent files."""

import pickle
import re

import numpy as np
import pytest
from PIL import Image

from sweeps.data.datasets import DATASETS, Data, DataError, Source, check_files, declared, image_count, load
from sweeps.data.image_folder import SUFFIXES, listing


@pytest.fixture(autouse=True)
def _forget_folders():
    yield
    listing.cache_clear()
    declared.cache_clear()


def read(test_half=False, **settings):
    return load(Source(Data(**settings), test_half)).images


def test_digits_are_the_declared_bytes_doubled():
    images = read(dataset="digits")
    assert images.shape == (1797, 1, 16, 16)
    assert (images.dtype, images.min(), images.max()) == (np.uint8, 0, 255)
    assert np.array_equal(images[:, :, ::2, ::2], images[:, :, 1::2, 1::2])
    from sklearn.datasets import load_digits

    assert np.array_equal(images[:, 0, ::2, ::2], np.floor(load_digits().images * 255 / 16 + 0.5))
    assert np.array_equal(read(dataset="digits", limit=7), images[:7])


def test_real_mnist_files_and_the_test_half(shared_data):
    images = read(dataset="mnist", root=str(shared_data), limit=6000)
    assert images.shape == (6000, 1, 28, 28)
    both = read(dataset="mnist", root=str(shared_data), limit=6000, test_half=True)
    assert both.shape == (11000, 1, 28, 28)
    assert np.array_equal(both[:6000], images)


def test_mnist_with_other_content_is_refused(shared_data, tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (shared_data / "MNIST" / "raw").iterdir():
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        (raw / file.name).write_bytes(content)
    with pytest.raises(DataError, match="are not the published ones: their SHA-256 is"):
        read(dataset="mnist", root=str(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "cifar10", "celeba"])
def test_absent_files_are_one_line(name, tmp_path):
    """The line says where to put the files."""
    with pytest.raises(DataError) as caught:
        read(dataset=name, root=str(tmp_path))
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{name}: no {DATASETS[name].found_by[0]}")
    assert f"in {tmp_path}; put the published files there, or set data.root (now {tmp_path})" in line


@pytest.fixture
def cifar_files(tmp_path):
    """Write files in CIFAR-10's layout, with 10 images each."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    pixels = {}
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        pixels[name] = rng.integers(0, 256, (10, 3072), np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels[name], "labels": [0] * 10}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a"]}))
    return tmp_path, pixels


def test_cifar10_in_torchvisions_layout(cifar_files, monkeypatch):
    from torchvision.datasets import CIFAR10

    root, pixels = cifar_files
    with pytest.raises(
        DataError, match=r"cifar10: cannot be read: .*data_batch_1 is not the published file: its MD5 is"
    ):
        read(dataset="cifar10", root=str(root), limit=5)  # its published checksums refuse made files
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    images = read(dataset="cifar10", root=str(root), limit=25)
    assert np.array_equal(images[:10], pixels["data_batch_1"].reshape(10, 3, 32, 32))
    assert len(images) == 25
    both = read(dataset="cifar10", root=str(root), limit=8, test_half=True)
    assert np.array_equal(both[8:], pixels["test_batch"][:8].reshape(8, 3, 32, 32))


def test_celeba_is_resized_without_a_crop(tmp_path, monkeypatch):
    from torchvision.datasets import CelebA

    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{i:06}.jpg" for i in range(1, 5)]
    for i, name in enumerate(names):
        Image.new("RGB", (178, 218), (60 * i, 10, 200)).save(folder / "img_align_celeba" / name, quality=100)
    (folder / "list_eval_partition.txt").write_text(
        "".join(f"{n} {p}\n" for n, p in zip(names, (0, 0, 2, 0), strict=True))
    )
    (folder / "identity_CelebA.txt").write_text("".join(f"{n} 1\n" for n in names))
    for file, columns in [("list_bbox_celeba", 4), ("list_landmarks_align_celeba", 10), ("list_attr_celeba", 2)]:
        lines = [f"{n} " + " ".join(["1"] * columns) for n in names]
        (folder / f"{file}.txt").write_text(f"4\n{'x ' * columns}\n" + "\n".join(lines) + "\n")
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    images = read(dataset="celeba", root=str(tmp_path), limit=3)
    assert images.shape == (3, 3, 64, 64)
    assert [int(image[0].mean().round()) for image in images] == pytest.approx([0, 60, 180], abs=2)


class TestFolder:
    def fill(self, root, n=6):
        root.mkdir(exist_ok=True)
        for i in range(n):
            Image.new("RGB", (20 + i, 30), (40 * i, 0, 0)).save(root / f"{i} 'a\"\n.png")
        (root / "notes.txt").write_text("not an image")

    def test_images_are_read_in_path_order(self, tmp_path):
        """Each image is resized."""
        self.fill(tmp_path / "images")
        images = read(dataset="folder", root=str(tmp_path / "images"), side=16)
        assert images.shape == (6, 3, 16, 16)
        assert images[:, 0].mean((1, 2)).tolist() == [0, 40, 80, 120, 160, 200]
        grey = read(dataset="folder", root=str(tmp_path / "images"), side=16, channels=1, limit=2)
        assert grey.shape == (2, 1, 16, 16)

    def test_the_manifest_covers_files_up_to_limit(self, tmp_path):
        root = tmp_path / "images"
        self.fill(root)
        settings = {"dataset": "folder", "root": str(root)}
        whole, first = declared(Data(**settings)), declared(Data(**settings, limit=3))
        self._again()
        (root / "9.png").write_bytes((root / "0 'a\"\n.png").read_bytes())
        assert declared(Data(**settings)).fingerprint != whole.fingerprint
        assert declared(Data(**settings, limit=3)).fingerprint == first.fingerprint
        assert image_count(Data(**settings)) == 7

    def _again(self):
        listing.cache_clear()
        declared.cache_clear()

    def test_a_moved_folder_keeps_its_identity(self, tmp_path):
        self.fill(tmp_path / "a")
        before = declared(Data(dataset="folder", root=str(tmp_path / "a")))
        (tmp_path / "a").rename(tmp_path / "b")
        self._again()
        assert declared(Data(dataset="folder", root=str(tmp_path / "b"))) == before

    def test_an_empty_or_absent_folder(self, tmp_path, read_grid):
        (tmp_path / "empty").mkdir()
        (tmp_path / "file.npz").touch()
        lines = {
            "empty": "no images in {}; set data.root to a folder of image files",
            "nowhere": "no such folder: {}; set data.root to a folder of image files",
            "file.npz": "{} is a file and not a folder; data.dataset arrays reads it",
        }
        for name, line in lines.items():
            data = Data(dataset="folder", root=str(tmp_path / name))
            assert declared(data) is None
            with pytest.raises(DataError, match=re.escape(f"folder: {line.format(tmp_path / name)}") + "$"):
                check_files(data)
        with pytest.raises(DataError, match=r"folder: data\.root is not set; set it to the folder of the images"):
            check_files(Data(dataset="folder"))
        # a plan is still possible, and says what it cannot know
        from sweeps.ledger.ledger import open_ledger
        from sweeps.plan.plan import Plan
        from sweeps.run.dry_run import dry_run

        g = read_grid(f"name: a\ndata: {{dataset: folder, root: {tmp_path / 'nowhere'}}}\ngrid: [{{}}]")
        text = dry_run(Plan(g, frozenset(), frozenset()), open_ledger(tmp_path, "a"), 1, False)
        where = tmp_path / "nowhere"
        assert f"data: folder: no such folder: {where}; set data.root to a folder of image files; its images" in text
        assert "its images, its keys and its done units are unknown" in text

    def test_a_file_that_is_no_image_is_named(self, tmp_path):
        self.fill(tmp_path / "images")
        (tmp_path / "images" / "3.jpg").write_bytes(b"\xff\xd8 truncated")
        with pytest.raises(
            DataError, match=r"1 not an image despite its name \(such as '3\.jpg'\); more than the share"
        ):
            read(dataset="folder", root=str(tmp_path / "images"))

    def test_real_photographs(self, shared_data):
        images = read(dataset="folder", root=str(shared_data / "cifar10-images" / "train"), limit=50)
        assert images.shape == (50, 3, 32, 32)
        assert images.std() > 30


def test_every_declared_data_set_can_be_asked_for():
    assert DATASETS.names() == ["digits", "mnist", "cifar10", "celeba", "folder", "arrays"]
    assert {s.lower() for s in SUFFIXES} == SUFFIXES
