"""Folders of images as people have them: how each kind of file is read, or reported as left out."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sweeps.data.datasets import Data, DataError, Source, declared
from sweeps.data.datasets import load as load_source
from sweeps.data.image_file import read_image
from sweeps.data.image_folder import folder_files, listing
from sweeps.data.readers import read_files
from sweeps.data.reasons import Unusable
from sweeps.ledger.ledger import open_ledger
from sweeps.run.command import command as run_command
from sweeps.run.options import Options


@pytest.fixture(autouse=True)
def _forget_folders():
    yield
    forget()


def forget():
    listing.cache_clear()
    declared.cache_clear()


def one(path, image, channels=3, **options):
    """Save an image, read it again, and return its colour at the centre, (C,)."""
    image.save(path, **options)
    return read_image(path, 8, channels)[:, 4, 4].tolist()


class TestEveryKindOfFile:
    def test_16_bits_are_scaled_not_cut_off(self, tmp_path):
        for value, expected in [(0, 0), (255, 1), (257, 1), (0x8000, 128), (65535, 255)]:
            wide = Image.fromarray(np.full((9, 9), value, np.uint16))
            for ending in ("png", "tif", "pgm"):
                assert one(tmp_path / f"a.{ending}", wide, 1) == [expected], (ending, value)
                assert read_image(tmp_path / f"a.{ending}", 8, 3)[:, 0, 0].tolist() == [expected] * 3

    def test_pixels_without_a_known_range_are_reported(self, tmp_path):
        for dtype in (np.int32, np.float32):
            Image.fromarray(np.full((9, 9), 7, dtype)).save(tmp_path / "a.tif")
            with pytest.raises(Unusable, match="32-bit pixels"):
                read_image(tmp_path / "a.tif", 8, 1)

    def test_what_is_transparent_is_white(self, tmp_path):
        path = tmp_path / "a.png"
        assert one(path, Image.new("RGBA", (9, 9), (200, 0, 0, 0))) == [255, 255, 255]
        assert one(path, Image.new("RGBA", (9, 9), (200, 0, 0, 255))) == [200, 0, 0]
        assert one(path, Image.new("LA", (9, 9), (0, 0)), 1) == [255]
        assert one(path, Image.new("LA", (9, 9), (40, 255)), 1) == [40]
        palette = Image.new("P", (9, 9), 1)
        palette.putpalette([0, 0, 0, 10, 20, 30])
        assert one(path, palette) == [10, 20, 30]
        assert one(path, palette, transparency=1) == [255, 255, 255]
        assert one(path, Image.new("1", (9, 9), 1), 1) == [255]

    def test_cmyk(self, tmp_path):
        red = one(tmp_path / "a.jpg", Image.new("CMYK", (9, 9), (0, 255, 255, 0)), quality=100)
        assert red == pytest.approx([255, 0, 0], abs=4)

    @pytest.mark.parametrize("orientation", range(10))
    def test_the_exif_orientation_is_applied(self, tmp_path, orientation):
        from PIL import ImageOps

        pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
        with Image.open(tmp_path / "a.png") as file:
            expected = np.asarray(ImageOps.exif_transpose(file))
        assert np.array_equal(read_image(tmp_path / "a.png", 8, 3).transpose(1, 2, 0), expected)

    def test_a_damaged_exif_block_harms_no_pixel(self, tmp_path):
        colour = one(tmp_path / "a.png", Image.new("RGB", (9, 9), (9, 8, 7)), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
        assert colour == [9, 8, 7]

    def test_of_an_animation_the_first_frame(self, tmp_path):
        frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
        assert one(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:]) == [255, 0, 0]

    def test_extreme_sizes(self, tmp_path):
        for size in [(1, 1), (1, 3000), (3000, 1)]:
            assert one(tmp_path / "a.png", Image.new("RGB", size, "red")) == [255, 0, 0]

    def test_no_program_outside_is_started(self, tmp_path, monkeypatch):
        monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("started Ghostscript"))
        (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n")
        with pytest.raises(Unusable, match="not an image"):
            read_image(tmp_path / "a.png", 8, 3)

    @given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"]), st.data())
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_damaged_bytes_give_image_or_reason(self, tmp_path, kind, draw):
        pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "a.png", format=kind)
        content = bytearray((tmp_path / "a.png").read_bytes())
        for _ in range(draw.draw(st.integers(0, 8))):
            content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.integers(0, 255))
        (tmp_path / "a.png").write_bytes(content[: draw.draw(st.integers(0, len(content)))])
        try:
            assert read_image(tmp_path / "a.png", 8, 3).shape == (3, 8, 8)
        except Unusable as reason:
            assert str(reason) in {
                "damaged or cut off",
                "not an image despite its name",
                "more than 178,956,970 pixels",
                "32-bit pixels whose black and white are not known",
                "signed pixels whose black and white are not known",
                "a kind of TIFF that is not supported",
            }


def fill(root, n, side=12):
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (side + i % 3, side, 3), np.uint8)).save(root / f"{i:03}.png")


def load(root, **options):
    forget()
    return load_source(Source(Data(dataset="folder", root=str(root), side=8, **options), False))


def spoil(root):
    """Add a file of every kind that is left out with a reason; return how many."""
    (root / "text.png").write_text("not an image")
    (root / "empty.jpg").write_bytes(b"")
    Image.new("RGB", (40, 40), "red").save(root / "whole.jpg")
    (root / "whole.jpg").rename(root / "cut.jpeg")
    (root / "cut.jpeg").write_bytes((root / "cut.jpeg").read_bytes()[:-200])
    return 3


class TestTheFolder:
    def test_names_that_are_seldom_tried(self, tmp_path):
        fill(tmp_path, 1)
        content = (tmp_path / "000.png").read_bytes()
        for name in [b"a b.png", b"'\"`.png", b"new\nline.png", b"\xff\xfe.png", "ü.PNG".encode(), b"-rf.png"]:
            with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
                file.write(content)
        loaded = load(tmp_path)
        assert (len(loaded.images), loaded.notes) == (7, ())
        with open(os.path.join(os.fsencode(tmp_path), b"\xff\n.png"), "wb") as file:
            file.write(b"no")
        (note,) = load(tmp_path, max_skipped=0.5).notes
        assert note.isprintable()
        assert r"'\udcff\n.png'" in note

    def test_hidden_files_and_loops_are_ignored(self, tmp_path):
        fill(tmp_path, 2)
        fill(tmp_path / ".thumbnails", 2)
        (tmp_path / "._000.png").write_bytes(b"AppleDouble")
        (tmp_path / "loop").symlink_to(tmp_path)
        (tmp_path / "folder.png").mkdir()
        assert load(tmp_path).notes == ()

    def test_irregular_files_are_counted_and_never_opened(self, tmp_path):
        fill(tmp_path, 2)
        (tmp_path / "self.png").symlink_to("self.png")
        (tmp_path / "broken.png").symlink_to("nowhere.png")
        os.mkfifo(tmp_path / "pipe.png")  # opened, it would wait for ever
        loaded = load(tmp_path, max_skipped=0.9)
        assert len(loaded.images) == 2
        (note,) = loaded.notes
        assert "3 of the 5 image files" in note
        assert "2 linked to a missing file (such as 'broken.png'); 1 not a regular file" in note

    def test_none_and_one(self, tmp_path):
        with pytest.raises(DataError, match="no images in"):
            load(tmp_path)
        fill(tmp_path, 1)
        assert load(tmp_path).images.shape == (1, 3, 8, 8)
        (tmp_path / "000.png").write_bytes(b"")
        with pytest.raises(DataError, match="1 of the 1 image files"):
            load(tmp_path, max_skipped=0.99)

    def test_skipped_files_are_counted_by_reason(self, tmp_path):
        """Each reason has an example, and the other images are read as before."""
        fill(tmp_path, 5)
        before = load(tmp_path).images
        spoil(tmp_path)
        with pytest.raises(DataError, match=r"3 of the 8 image files.*more than the share data.max_skipped, 0.01"):
            load(tmp_path)
        with pytest.raises(DataError, match=r"max_skipped, 0\.37"):
            load(tmp_path, max_skipped=0.37)
        loaded = load(tmp_path, max_skipped=0.375)
        assert np.array_equal(loaded.images, before)
        (note,) = loaded.notes
        assert note == (
            f"data: 3 of the 8 image files in '{tmp_path}' cannot be used: 1 damaged or cut off (such as 'cut.jpeg'); "
            "2 not an image despite its name (such as 'empty.jpg'); 5 images are used"
        )

    def test_a_limit_counts_unusable_files_too(self, tmp_path):
        """So the manifest does not depend on which files can be read."""
        fill(tmp_path, 4)
        (tmp_path / "001.png").write_bytes(b"bad")
        assert len(load(tmp_path, limit=3, max_skipped=0.5).images) == 2

    def test_a_file_that_goes_while_we_look(self, tmp_path):
        fill(tmp_path, 3)
        files = folder_files(tmp_path)
        (tmp_path / "001.png").unlink()
        assert declared(Data(dataset="folder", root=str(tmp_path))) is not None
        images, skipped = read_files(files, 8, 3)
        assert (len(images), list(skipped)) == (2, ["gone since the folder was listed"])


def grid_of(tmp_path, **data):
    entries = "".join(f", {name}: {value}" for name, value in data.items())
    file = tmp_path / "g.yaml"
    file.write_text(
        f"name: g\ndata: {{dataset: folder, side: 8, root: {tmp_path / 'images'}{entries}}}\n"
        "folds: {n_splits: 2}\ntraining: {epochs: 1, batch_size: 4}\ngrid: [{method: [none, multi_decoder]}]\n"
    )
    return str(file)


def command(tmp_path, dry_run=False, **data):
    forget()
    options = Options(str(tmp_path / "results"), inline=True, dry_run=dry_run)
    return run_command(grid_of(tmp_path, **data), [], options)


def test_a_sweep_reports_skipped_files_once(tmp_path, capsys):
    """The ledger records the numbers of images that were used."""
    fill(tmp_path / "images", 17)
    spoil(tmp_path / "images")
    assert command(tmp_path, dry_run=True, max_skipped=0.2) == 0
    out = capsys.readouterr().out
    assert "data: folder images, up to 20 images of 3x8x8" in out
    assert "up to 36 images to train" in out
    assert command(tmp_path, max_skipped=0.2) == 0
    assert capsys.readouterr().out.count("3 of the 20 image files in") == 1
    ledger = open_ledger(tmp_path / "results", "g")
    rows, _ = ledger.read()
    assert {row["train_images"] + row["selection_images"] + row["test_images"] for row in rows} == {17}
    assert all(row["images_trained"] == row["train_images"] for row in rows)
    for row in rows:
        log = ledger.storage.read(f"logs/{row['key']}-fold{row['fold']}.log").decode()
        assert "3 of the 20 image files in" in log


def test_too_many_skipped_files_write_nothing(tmp_path, capsys):
    """A share above data.max_skipped counts as bad input."""
    fill(tmp_path / "images", 17)
    spoil(tmp_path / "images")
    assert command(tmp_path) == 2
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1
    assert "3 of the 20 image files in" in captured.err
    assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == []


KINDS = st.lists(st.sampled_from(["png", "jpg", "gif", "text", "cut", "wide", "alpha", "loop", "hidden"]), max_size=9)


def make(path, kind):
    if kind in ("text", "hidden"):
        path.write_text("x")
        if kind == "hidden":
            path.rename(path.with_name(f".{path.name}"))
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "wide":
        Image.fromarray(np.full((5, 9), 4000, np.uint16)).save(path, format="PNG")
    else:
        mode = "RGBA" if kind == "alpha" else "RGB"
        Image.new(mode, (9, 5)).save(path, format={"jpg": "JPEG", "gif": "GIF"}.get(kind, "PNG"))
        if kind == "cut":
            path.write_bytes(path.read_bytes()[:-30])


@given(KINDS, st.sampled_from([0, 0.3, 0.9]))
@settings(max_examples=60, deadline=None)
def test_any_folder_gives_images_or_one_line(tmp_path_factory, kinds, share):
    """The note on the images gives the true numbers."""
    root = tmp_path_factory.mktemp("any")
    for i, kind in enumerate(kinds):
        make(root / f"{i}.png", kind)
    counts = SimpleNamespace(
        files=sum(kind != "hidden" for kind in kinds), bad=sum(kind in ("text", "cut", "loop") for kind in kinds)
    )
    good = counts.files - counts.bad
    try:
        loaded = load(root, max_skipped=share)
    except DataError as error:
        assert "\n" not in str(error)
        assert not good or counts.bad > share * counts.files
    else:
        assert len(loaded.images) == good
        assert counts.bad <= share * counts.files
        assert len(loaded.notes) == (counts.bad > 0)
