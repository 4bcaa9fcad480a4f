"""Trouble of the machine while images are read: it ends with one line, and no image is called damaged."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from sweeps.backends import inline
from sweeps.data import readers
from sweeps.data.datasets import Data, DataError, Source, declared, load
from sweeps.data.image_file import read_image
from sweeps.data.image_folder import listing
from sweeps.data.readers import read_files
from sweeps.data.reasons import DAMAGED, GONE, NOT_OURS, MachineTrouble, Unusable
from sweeps.run.command import command
from sweeps.run.options import Options

MACHINE = [errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT]
ENDINGS = ["png", "jpg", "tif", "webp", "bmp", "gif", "ppm"]


@pytest.fixture(autouse=True)
def _forget():
    listing.cache_clear()
    declared.cache_clear()


def fill(folder, n, ending="png"):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(n):
        Image.fromarray(rng.integers(0, 256, (60, 60, 3), np.uint8)).save(folder / f"{i:03}.{ending}")


def broken(code):
    return OSError(code, os.strerror(code))


class BadDisk(io.FileIO):
    """A file whose bytes after the first few cannot be read."""

    error: OSError = broken(errno.EIO)

    def readinto(self, buffer):
        if self.tell() > 64:
            raise self.error
        return super().readinto(memoryview(buffer)[:32])

    def read(self, size=-1):
        buffer = bytearray(size if size >= 0 else 2**16)
        return bytes(buffer[: self.readinto(buffer)])


def bad_disk(monkeypatch, name, error):
    real = Path.open

    def opened(path, *args, **options):
        if path.name != name:
            return real(path, *args, **options)
        file = BadDisk(path)
        file.error = error
        return file

    monkeypatch.setattr(Path, "open", opened)


class TestErrorsOfReading:
    @pytest.mark.parametrize("code", MACHINE)
    def test_at_the_opening(self, tmp_path, monkeypatch, code):
        fill(tmp_path, 3)
        real = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda p, *a, **o: (_ for _ in ()).throw(broken(code)) if p.name == "001.png" else real(p, *a, **o),
        )
        with pytest.raises(DataError, match=f"001.png': {os.strerror(code)}.*no file was left out"):
            load(Source(Data(dataset="folder", root=str(tmp_path), max_skipped=0.9), False))

    @pytest.mark.parametrize("ending", ENDINGS)
    @pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
    def test_on_the_way(self, tmp_path, monkeypatch, ending, code):
        fill(tmp_path, 1, ending)
        bad_disk(monkeypatch, f"000.{ending}", broken(code))
        with pytest.raises(MachineTrouble, match=os.strerror(code)):
            read_image(tmp_path / f"000.{ending}", 8, 3)

    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (broken(errno.EACCES), NOT_OURS),
            (broken(errno.EPERM), NOT_OURS),
            (broken(errno.ENOENT), GONE),
            (broken(errno.ENOTDIR), GONE),
            (broken(errno.ELOOP), GONE),
        ],
    )
    def test_what_speaks_of_the_file_is_counted(self, tmp_path, monkeypatch, error, reason):
        monkeypatch.setattr(Path, "open", lambda *_, **__: (_ for _ in ()).throw(error))
        with pytest.raises(Unusable, match=reason.replace("(", r"\(").replace(")", r"\)")):
            read_image(tmp_path / "a.png", 8, 3)

    def test_a_wrong_offset_is_damage(self, tmp_path, monkeypatch):
        fill(tmp_path, 1)
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: (_ for _ in ()).throw(broken(errno.EINVAL)))
        with pytest.raises(Unusable, match=DAMAGED):
            read_image(tmp_path / "000.png", 8, 3)

    def test_a_run_ends_with_one_line(self, tmp_path, monkeypatch, capsys):
        fill(tmp_path / "images", 20)
        file = tmp_path / "g.yaml"
        file.write_text(
            f"name: g\ndata: {{dataset: folder, side: 8, root: {tmp_path / 'images'}, max_skipped: 0.9}}\n"
            "folds: {n_splits: 2}\ntraining: {epochs: 1, batch_size: 4}\ngrid: [{}]\n"
        )
        bad_disk(monkeypatch, "007.png", broken(errno.EIO))
        assert command(str(file), [], Options(str(tmp_path / "results"), inline=True)) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "007.png" in line
        assert "Input/output error (EIO)" in line
        assert [path for path in (tmp_path / "results").rglob("*") if path.is_file()] == []


class TestTooLittleMemory:
    @pytest.mark.parametrize("error", [MemoryError(), OSError("out of memory error when reading image file")])
    @pytest.mark.parametrize("ending", ["png", "tif"])
    def test_it_is_no_damage(self, tmp_path, monkeypatch, error, ending):
        fill(tmp_path, 3, ending)
        monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: (_ for _ in ()).throw(error))
        with pytest.raises(DataError, match=f"000.{ending}': not enough memory"):
            load(Source(Data(dataset="folder", root=str(tmp_path), max_skipped=0.9), False))

    def test_in_the_exif_block_too(self, tmp_path, monkeypatch):
        """Other errors in the EXIF block leave the pixels intact."""
        fill(tmp_path, 1)
        monkeypatch.setattr(Image.Image, "getexif", lambda _: (_ for _ in ()).throw(MemoryError()))
        with pytest.raises(MachineTrouble, match="not enough memory"):
            read_image(tmp_path / "000.png", 8, 3)

    @pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp"])
    def test_under_a_limit_of_the_shell(self, tmp_path, ending):
        """Under `ulimit -v`, decoders report "broken data stream", "decoder error -2" or nothing."""
        fill(tmp_path, 1, ending)
        options = {"jpg": {"progressive": True}, "tif": {"compression": "tiff_lzw"}}.get(ending, {})
        Image.new("RGB", (9000, 9000)).save(tmp_path / f"large.{ending}", **options)
        code = (
            "import resource, sys; from pathlib import Path; from sweeps.data.image_file import read_image\n"
            "from sweeps.data.reasons import MachineTrouble\n"
            "small, large = map(Path, sys.argv[1:])\n"
            "read_image(small, 8, 3)\n"
            "used = int(Path('/proc/self/statm').read_text().split()[0]) * 4096\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + 300 * 2**20,) * 2)\n"
            "try: read_image(large, 8, 3)\n"
            "except MachineTrouble as error: print(error)"
        )
        command = [sys.executable, "-c", code, str(tmp_path / f"000.{ending}"), str(tmp_path / f"large.{ending}")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert f"large.{ending}': not enough memory" in done.stdout, done.stderr

    def test_no_memory_for_all_images(self, tmp_path):
        fill(tmp_path, 1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                readers.np, "empty", lambda *_: (_ for _ in ()).throw(MemoryError("Unable to allocate 9 GiB"))
            )
            with pytest.raises(
                DataError, match=r"folder .*: not enough memory for its images here: Unable to allocate"
            ):
                load(Source(Data(dataset="folder", root=str(tmp_path)), False))


class Heard:
    def __init__(self):
        self.lines = []

    def say(self, lines):
        self.lines += lines


def test_a_long_reading_says_how_far_it_is(tmp_path, monkeypatch):
    fill(tmp_path, 3)
    monkeypatch.setattr(readers, "LOG_SECONDS", 0)
    heard = Heard()
    files = sorted(tmp_path.iterdir())
    with inline.printing_reader_log(heard):
        read_files(files, 8, 3)
    assert heard.lines == [f"data: {i} of 3 image files read" for i in (1, 2, 3)]
    read_files(files, 8, 3)
    assert len(heard.lines) == 3
