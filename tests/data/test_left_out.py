"""Files that a folder holds besides the images that are read: they are counted by reason, and limited to a share."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeps.config.grid import load as load_grid
from sweeps.data.datasets import Data, DataError, Source, declared
from sweeps.data.datasets import load as load_source
from sweeps.data.image_folder import SUFFIXES, listing
from sweeps.ledger.ledger import open_ledger
from sweeps.plan.plan import Plan
from sweeps.run.dry_run import dry_run


@pytest.fixture(autouse=True)
def forget():
    def clear():
        listing.cache_clear()
        declared.cache_clear()

    clear()
    yield clear
    clear()


def fill(folder, n, ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        Image.new("RGB", (9, 9), (i, 0, 0)).save(folder / f"{i:03}.{ending}", format="PNG")


def load(root, **options):
    return load_source(Source(Data(dataset="folder", root=str(root), side=8, **options), False))


def annex(root, n):
    """Make dead links, as git-annex leaves them for files that another machine has."""
    for i in range(n):
        (root / f"annexed{i:03}.jpg").symlink_to(f".git/annex/objects/{i}.jpg")


class TestCounted:
    def test_dangling_links_are_no_images_to_pass_over(self, tmp_path):
        fill(tmp_path, 10)
        annex(tmp_path, 91)
        with pytest.raises(DataError, match=r"91 of the 101 image files in .* 91 linked to a missing file"):
            load(tmp_path)
        loaded = load(tmp_path, max_skipped=0.95)
        assert len(loaded.images) == 10
        (note,) = loaded.notes
        assert "(such as 'annexed000.jpg'); 10 images are used" in note

    def test_nothing_but_dangling_links(self, tmp_path):
        annex(tmp_path, 3)
        with pytest.raises(
            DataError, match=r"no images in .*: 3 of the 3 image files in .* 3 linked to a missing file"
        ):
            load(tmp_path)

    @pytest.mark.parametrize("ending", ["avif", "HEIC", "jxl", "pbm", "nef"])
    def test_images_of_a_kind_that_is_not_read(self, tmp_path, ending):
        fill(tmp_path, 3)
        (tmp_path / f"a.{ending}").write_bytes(b"x")
        with pytest.raises(DataError, match=rf"1 of a kind that is not read \(\.{ending.lower()}\)"):
            load(tmp_path)

    @pytest.mark.parametrize("name", ["photo", "photo.jpg~", "photo.part", "photo.1"])
    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF"])
    def test_images_whose_names_do_not_say_so(self, tmp_path, name, kind):
        fill(tmp_path, 3)
        Image.new("RGB", (9, 9)).save(tmp_path / name, format=kind)
        with pytest.raises(DataError, match=r"1 an image by its content but not by its name \(such as 'photo"):
            load(tmp_path)

    def test_other_files_are_none(self, tmp_path):
        fill(tmp_path, 3)
        for name in ("README", "LICENSE", "labels.csv", "notes.txt", "weights.bin", "Makefile", "empty"):
            (tmp_path / name).write_text("" if name == "empty" else "Better Pictures\n")
        assert load(tmp_path).notes == ()

    def test_a_link_without_an_ending_that_leads_nowhere(self, tmp_path):
        fill(tmp_path, 3)
        (tmp_path / "photo").symlink_to("nowhere")
        assert "1 linked to a missing file (such as 'photo')" in load(tmp_path, max_skipped=0.5).notes[0]

    def test_linked_class_folders(self, tmp_path):
        """Each image in the linked folder counts, not only the link."""
        fill(tmp_path / "images" / "cat", 3)
        fill(tmp_path / "elsewhere", 4)
        (tmp_path / "images" / "dog").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(DataError, match=r"4 of the 7 image files .* 4 in a linked folder .*such as 'dog/"):
            load(tmp_path / "images")
        (tmp_path / "deep").mkdir()
        (tmp_path / "elsewhere").rename(tmp_path / "deep" / "elsewhere")
        (tmp_path / "images" / "dog").unlink()
        (tmp_path / "images" / "dog").symlink_to(tmp_path / "deep")
        listing.cache_clear()
        with pytest.raises(DataError, match=r"1 of the 4 image files .* 1 in a linked folder .*such as 'dog'"):
            load(tmp_path / "images")

    def test_links_to_what_is_read_anyway(self, tmp_path):
        """Loops and second names of a class folder leave nothing out."""
        fill(tmp_path / "cat", 3)
        (tmp_path / "cat" / "up").symlink_to(tmp_path)
        (tmp_path / "puss").symlink_to(tmp_path / "cat")
        (tmp_path / "nothing").mkdir()
        (tmp_path / "documents").symlink_to(tmp_path / "nothing")
        assert load(tmp_path).notes == ()

    def test_a_class_folder_that_cannot_be_listed(self, tmp_path, monkeypatch):
        fill(tmp_path / "cat", 3)
        fill(tmp_path / "dog", 3)
        denied(monkeypatch, "scandir", tmp_path / "dog", PermissionError(errno.EACCES, "no", str(tmp_path / "dog")))
        with pytest.raises(DataError, match=r"1 of the 4 image files .* 1 of a folder that cannot be listed .*'dog'"):
            load(tmp_path)

    def test_a_file_that_cannot_be_looked_at(self, tmp_path, monkeypatch):
        """A folder may be listed but not entered. Before, its files were not counted."""
        fill(tmp_path, 3)
        denied(monkeypatch, "stat", tmp_path / "001.png", PermissionError(errno.EACCES, "no"))
        with pytest.raises(DataError, match=r"1 of the 3 image files .* 1 not readable \(permissions\)"):
            load(tmp_path)

    def test_one_reason_found_at_two_times_is_one(self, tmp_path, monkeypatch):
        fill(tmp_path, 4)
        denied(monkeypatch, "stat", tmp_path / "001.png", PermissionError(errno.EACCES, "no"))
        monkeypatch.setattr(
            Path, "open", refusing(Path.open, tmp_path / "002.png", PermissionError(errno.EACCES, "no"))
        )
        with pytest.raises(DataError, match=r"2 of the 4 image files .*: 2 not readable \(permissions\) \(such"):
            load(tmp_path)

    def test_a_limit_counts_what_stands_before_its_end(self, tmp_path):
        fill(tmp_path, 10)
        annex(tmp_path, 5)  # after all others in the order of paths
        (tmp_path / "000a.avif").write_bytes(b"x")
        assert "1 of the 5 image files" in load(tmp_path, limit=4, max_skipped=0.5).notes[0]


def refusing(real, path, error):
    def call(where, *args, **options):
        if str(where) == str(path):
            raise error
        return real(where, *args, **options)

    return call


def denied(monkeypatch, name, path, error):
    """Let one system call fail for one path; root is refused nothing otherwise."""
    monkeypatch.setattr(os, name, refusing(getattr(os, name), path, error))


class TestIdentity:
    def test_left_out_files_do_not_change_it(self, tmp_path, forget):
        fill(tmp_path, 5)
        data = Data(dataset="folder", root=str(tmp_path))
        before = declared(data)
        annex(tmp_path, 3)
        (tmp_path / "a.avif").write_bytes(b"x")
        (tmp_path / "link").symlink_to("/")
        forget()
        assert declared(data) == before

    def test_an_ordinary_folder_keeps_its_own(self, tmp_path):
        """The manifest is that of earlier versions, which counted no other files."""
        for name, size in [("a.png", 3), ("b/c d.JPG", 5)]:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(b"x" * size)
        assert declared(Data(dataset="folder", root=str(tmp_path))).fingerprint == GOLDEN

    @pytest.mark.parametrize("ending", ["jfif", "JPE"])
    def test_a_folder_with_new_endings_is_named(self, tmp_path, ending):
        fill(tmp_path, 2)
        assert load(tmp_path).notes == ()
        listing.cache_clear()
        fill(tmp_path, 3, ending)
        loaded = load(tmp_path)
        assert len(loaded.images) == 5
        (note,) = loaded.notes
        assert note.startswith(f"data: 3 files in '{tmp_path}' end in .jfif or .jpe, which were not read before")
        assert ".jfif" in SUFFIXES


GOLDEN = "a43bfd3cc0b247a1afc91b99c42ebd3accf7848f916240c232ea06334ce18eb2"


def test_a_dry_run_reports_it_before_reading(tmp_path):
    fill(tmp_path / "images", 10)
    annex(tmp_path / "images", 3)
    fill(tmp_path / "images", 1, "jpe")
    file = tmp_path / "g.yaml"
    file.write_text(f"name: g\ndata: {{dataset: folder, root: {tmp_path / 'images'}}}\ngrid: [{{}}]\n")
    plan = Plan(load_grid(str(file), []), frozenset(), frozenset())
    text = dry_run(plan, open_ledger(tmp_path / "results", "g"), 1, False)
    assert "data: folder images, up to 11 images of 3x32x32" in text
    assert "data: 3 of the 14 image files in" in text
    assert "data: 1 files in" in text
    assert "17 bytes of memory per pixel, at most 3.0 GB" in text


class TestTroubleWhileListing:
    @pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOMEM])
    @pytest.mark.parametrize("call", ["scandir", "stat"])
    def test_it_raises_one_line(self, tmp_path, monkeypatch, code, call, forget):
        """No file is left out for it."""
        fill(tmp_path / "cat", 3)
        fill(tmp_path / "dog", 3)
        path = tmp_path / "dog" if call == "scandir" else tmp_path / "dog" / "001.png"
        denied(monkeypatch, call, path, OSError(code, os.strerror(code), str(path)))
        with pytest.raises(DataError, match=f"cannot be read: .*dog.*{os.strerror(code)}") as caught:
            declared(Data(dataset="folder", root=str(tmp_path)))
        assert "\n" not in str(caught.value)
        monkeypatch.undo()
        assert len(load(tmp_path).images) == 6  # the failure is not cached


def test_pixels_of_new_endings(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for ending in ("jfif", "jpe", "png"):
        Image.fromarray(pixels).save(tmp_path / f"a.{ending}", format="PNG")
    images = load(tmp_path).images
    assert all(np.array_equal(image, pixels.transpose(2, 0, 1)) for image in images)
