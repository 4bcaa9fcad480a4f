"""Image files that are easily read wrongly: kinds that are refused, colour profiles, and the memory needed."""

import io
import logging
import os
import subprocess
import sys

import made_images
import numpy as np
import pytest
import tifffile
from made_images import ADOBE_GAMMA, ADOBE_RGB, packed, profile, shown, srgb, tiff
from PIL import Image, ImageCms

from sweeps.data import image_file, pixels
from sweeps.data.image_file import read_image
from sweeps.data.readers import read_files
from sweeps.data.reasons import DAMAGED, NO_IMAGE, SIGNED, TIFF_KIND, Unusable

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def reason(path):
    with pytest.raises(Unusable) as caught:
        read_image(path, 8, 3)
    return str(caught.value)


class Said(logging.Handler):
    """A handler that writes Pillow's log to stderr, as logging does by default."""

    def emit(self, record):
        os.write(2, record.getMessage().encode() + b"\n")


class TestKindsThatAreRefused:
    @pytest.mark.parametrize("dtype", [np.int8, np.int16])
    @pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
    def test_signed_pixels(self, tmp_path, dtype, photometric):
        values = RAMP.astype(dtype) if photometric == "minisblack" else np.dstack([RAMP] * 3).astype(dtype)
        tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric)
        assert reason(tmp_path / "a.tif") == SIGNED

    @pytest.mark.parametrize(
        ("bits", "photometric", "options"),
        [
            (12, 0, {}),
            (12, 1, {"big_endian": True}),
            (10, 1, {}),
            (16, 0, {"big_endian": True}),
            (8, 32803, {}),  # a camera's raw mosaic
            (8, 1, {"compression": 34887}),  # LERC
            (8, 1, {"compression": 50001}),  # WebP, which Pillow knows and its libtiff was built without
            (8, 1, {"samples": 12}),
            (8, 0, {"samples": 2, "t338": 2}),  # white is 0, with alpha
        ],
        ids=str,
    )
    def test_a_whole_tiff_of_another_kind(self, tmp_path, monkeypatch, bits, photometric, options):
        log = Said(logging.WARNING)
        monkeypatch.setattr(logging.getLogger("PIL.TiffImagePlugin"), "handlers", [log])
        data = (packed(RAMP, bits) if bits != 16 else bytes(512)) * options.get("samples", 1)
        tiff(tmp_path / "a.tif", (16, 16), bits, photometric, data, **options)
        assert reason(tmp_path / "a.tif") == TIFF_KIND

    def test_grey_and_alpha_plane_by_plane(self, tmp_path):
        """libtiff reads such a file as all white."""
        for compression in (None, "deflate"):
            tifffile.imwrite(
                tmp_path / "a.tif",
                np.stack([RAMP, 255 - RAMP]),
                photometric="minisblack",
                planarconfig="separate",
                extrasamples=["unassalpha"],
                compression=compression,
            )
            assert reason(tmp_path / "a.tif") == TIFF_KIND

    def test_a_cut_tiff_is_damaged_whatever_its_kind(self, tmp_path):
        tiff(tmp_path / "a.tif", (16, 16), 12, 0, packed(RAMP, 12), t279=100_000)
        assert reason(tmp_path / "a.tif") == DAMAGED
        for options in ({}, {"compression": "tiff_lzw"}):
            Image.fromarray(RAMP).save(tmp_path / "a.tif", **options)
            (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:-9])
            assert reason(tmp_path / "a.tif") == DAMAGED
        (tmp_path / "a.tif").write_bytes(b"II*\0" + b"\xff" * 20)
        assert reason(tmp_path / "a.tif") == DAMAGED
        (tmp_path / "a.tif").write_bytes(b"II")
        assert reason(tmp_path / "a.tif") == NO_IMAGE

    def test_grey_with_alpha_multiplied_in(self, tmp_path):
        data = np.dstack([RAMP // 2, np.full_like(RAMP, 128)]).tobytes()
        tiff(tmp_path / "a.tif", (16, 16), 8, 1, data, samples=2, t338=1)
        expected = RAMP // 2 + 127.0
        assert np.abs(read_image(tmp_path / "a.tif", 16, 1)[0] - expected).max() <= 2

    def test_a_palette_of_8_bits(self, tmp_path):
        """Some programs write the palette with 8 bits. libtiff's tools read it so, and Pillow shows it black."""
        table = [*range(256), *range(255, -1, -1), *[7] * 256]
        tiff(tmp_path / "a.tif", (16, 16), 8, 3, RAMP.tobytes(), t320=table)
        found = read_image(tmp_path / "a.tif", 16, 3)
        assert np.array_equal(found, [RAMP, 255 - RAMP, np.full_like(RAMP, 7)])


def saved(path, image, profile):
    image.save(path, icc_profile=profile)
    return read_image(path, 16, 3)


class TestColourProfiles:
    COLOURS = ((200, 30, 40), (20, 180, 60), (30, 60, 220), (128, 128, 128), (255, 255, 255), (0, 0, 0))

    @pytest.mark.parametrize("ending", ["png", "tif", "webp", "jpg"])
    def test_colours_are_those_of_the_profile(self, tmp_path, ending):
        adobe = profile("RGB ", ADOBE_GAMMA, ADOBE_RGB)
        options = {"webp": {"lossless": True}, "jpg": {"quality": 100}}.get(ending, {})
        for colour in self.COLOURS:
            Image.new("RGB", (9, 9), colour).save(tmp_path / f"a.{ending}", icc_profile=adobe, **options)
            found = read_image(tmp_path / f"a.{ending}", 8, 3)[:, 4, 4]
            assert np.abs(found - srgb(colour, ADOBE_RGB, ADOBE_GAMMA)).max() <= (4 if ending == "jpg" else 2), colour

    def test_a_palette_and_transparency_keep_their_places(self, tmp_path):
        adobe = profile("RGB ", ADOBE_GAMMA, ADOBE_RGB)
        expected = srgb((20, 180, 60), ADOBE_RGB, ADOBE_GAMMA)
        palette = Image.new("P", (9, 9), 1)
        palette.putpalette([0, 0, 0, 20, 180, 60])
        for alpha in (255, 128, 0):
            image = Image.new("RGBA", (9, 9), (20, 180, 60, alpha))
            on_white = expected * alpha / 255 + 255 - alpha
            assert np.abs(saved(tmp_path / "a.png", image, adobe)[:, 0, 0] - on_white).max() <= 2
        assert np.abs(saved(tmp_path / "a.png", palette, adobe)[:, 0, 0] - expected).max() <= 2

    def test_grey_has_profiles_too(self, tmp_path):
        found = saved(tmp_path / "a.png", Image.fromarray(RAMP), profile("GRAY", 1.0))
        assert np.abs(found - shown(RAMP / 255)).max() <= 2
        wide = Image.fromarray(RAMP * np.uint16(257))
        assert np.array_equal(saved(tmp_path / "a.png", wide, profile("GRAY", 1.0)), found)
        assert np.abs(read_image(tmp_path / "a.png", 16, 1)[0] - found[0]).max() == 0

    def test_srgb_changes_no_pixel(self, tmp_path):
        rng = np.random.default_rng(0)
        known = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        for mode in ("RGB", "RGBA", "P"):
            image = Image.fromarray(rng.integers(0, 256, (40, 40, 4), np.uint8)).convert("RGB").convert(mode)
            image.save(tmp_path / "without.png")
            assert np.array_equal(saved(tmp_path / "a.png", image, known), read_image(tmp_path / "without.png", 16, 3))

    @pytest.mark.parametrize("bad", [b"no profile", b"\0" * 200, profile("GRAY", 1.0), b""], ids=range(4))
    def test_one_that_cannot_be_used_is_named(self, tmp_path, bad):
        """Viewers ignore such a profile. We do as well, and report it."""
        image = Image.fromarray(np.dstack([RAMP] * 3))
        image.save(tmp_path / "without.tif")
        tiff(tmp_path / "a.tif", (16, 16), 8, 2, image.tobytes(), samples=3, t34675=bad or b"\0")
        remarks = {}
        images, skipped = read_files([tmp_path / "a.tif"], 16, 3, remarks)
        assert not skipped
        assert np.array_equal(images[0], read_image(tmp_path / "without.tif", 16, 3))
        assert list(remarks) == ["are read without their colour profile, which is damaged or of other colours"]


class TestLargeImages:
    def test_strips_give_the_same_pixels(self, tmp_path, monkeypatch):
        """Every conversion works pixel by pixel, so the height of a strip changes nothing."""
        rng = np.random.default_rng(0)
        image = Image.fromarray(rng.integers(0, 256, (70, 50, 4), np.uint8))
        wide = Image.fromarray(rng.integers(0, 65536, (70, 50), np.uint16))
        files = [(image, {}), (image.convert("RGB").quantize(9), {"transparency": 3}), (image.convert("LA"), {})]
        files += [(wide, {}), (image.convert("RGB"), {"icc_profile": profile("RGB ", ADOBE_GAMMA, ADOBE_RGB)})]
        for i, (made, options) in enumerate(files):
            made.save(tmp_path / f"{i}.png", **options)
        whole = [read_image(tmp_path / f"{i}.png", 8, c) for i in range(len(files)) for c in (1, 3)]
        monkeypatch.setattr(pixels, "STRIP_PIXELS", 50 * 3)
        strips = [read_image(tmp_path / f"{i}.png", 8, c) for i in range(len(files)) for c in (1, 3)]
        assert all(map(np.array_equal, whole, strips))

    def test_more_pixels_than_the_limit_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(image_file, "MAX_PIXELS", 80)
        for ending in ("png", "tif", "jpg"):
            Image.new("RGB", (9, 8), "red").save(tmp_path / f"a.{ending}")
            assert read_image(tmp_path / f"a.{ending}", 8, 3).shape == (3, 8, 8)
            Image.new("RGB", (9, 9), "red").save(tmp_path / f"a.{ending}")
            assert reason(tmp_path / f"a.{ending}") == image_file.TOO_LARGE

    def test_pillows_own_limit_is_reported_alike(self, tmp_path, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
        for ending in ("png", "tif"):
            Image.new("RGB", (9, 9), "red").save(tmp_path / f"a.{ending}")
            assert reason(tmp_path / f"a.{ending}") == "more than 178,956,970 pixels"

    def test_memory_stays_below_what_is_stated(self, tmp_path):
        """Before, a 16-bit PNG took 17 bytes per pixel, two of them its own."""
        side = 5000
        Image.fromarray(np.zeros((side, side), np.uint16)).save(tmp_path / "a.png")
        code = (
            "import resource, sys; from pathlib import Path; from sweeps.data.image_file import read_image\n"
            "read_image(Path(sys.argv[2]), 8, 3)\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "read_image(Path(sys.argv[1]), 8, 3)\n"
            "print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))"
        )
        Image.new("L", (9, 9)).save(tmp_path / "small.png")
        command = [sys.executable, "-c", code, str(tmp_path / "a.png"), str(tmp_path / "small.png")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert int(done.stdout) < 6 * side**2 < image_file.BYTES_PER_PIXEL * side**2


class TestLibtiff:
    def spoil(self, path):
        """Write a fax page with a bad word in the middle, which libtiff reads with complaints on stderr."""
        Image.fromarray(np.add.outer(np.arange(99), np.arange(128)) % 37 > 12).save(path, compression="group3")
        content = bytearray(path.read_bytes())
        content[200:230] = bytes(30)
        path.write_bytes(content)

    def test_its_complaints_are_reported_by_file(self, tmp_path, capfd):
        self.spoil(tmp_path / "spoilt.tif")
        Image.fromarray(RAMP).save(tmp_path / "cut.tif", compression="tiff_lzw")
        content = bytearray((tmp_path / "cut.tif").read_bytes())
        content[20:60] = b"\xff" * 40
        (tmp_path / "cut.tif").write_bytes(content)
        remarks = {}
        images, skipped = read_files([tmp_path / "spoilt.tif", tmp_path / "cut.tif"], 8, 1, remarks)
        assert (len(images), {r: [p.name for p in paths] for r, paths in skipped.items()}) == (
            1,
            {DAMAGED: ["cut.tif"]},
        )
        (remark,) = remarks.items()
        assert remark[0] == "made libtiff complain"
        assert [path.name for path, text in remark[1] if text] == ["spoilt.tif", "cut.tif"]
        os.write(2, b"ours\n")
        assert capfd.readouterr().err == "ours\n"

    @pytest.mark.parametrize("closed", ["2", "0, 2"])
    def test_standard_error_may_be_closed(self, tmp_path, closed):
        """Then the image file may get stderr's number."""
        self.spoil(tmp_path / "a.tif")
        code = (
            "import os, sys; from pathlib import Path; from sweeps.data.image_file import read_image\n"
            f"[os.close(i) for i in ({closed},)]; print(read_image(Path(sys.argv[1]), 8, 1).shape)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.tif")], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "(1, 8, 8)\n")


def test_the_made_profile_is_one():
    """The tests' profile and matrices agree with LittleCMS in the middle of the range."""
    assert io.BytesIO(profile("GRAY", 2.2)).read(4) != b""
    assert ImageCms.ImageCmsProfile(io.BytesIO(profile("GRAY", 2.2))).profile.xcolor_space == "GRAY"
    assert made_images.srgb((255, 255, 255), ADOBE_RGB, ADOBE_GAMMA) == pytest.approx([255] * 3, abs=1)
