"""Decoded pixels of many kinds of files, compared with tifffile, OpenCV and arrays made by hand."""

import zlib

import cv2
import numpy as np
import pytest
import tifffile
from made_images import packed, png, tiff
from PIL import Image

from sweeps.data.image_file import read_image

SIDE = 16
_Y, _X = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
COLOUR = np.rint(np.stack([_X, _Y, 1 - _X], -1) * 255).astype(np.uint8)
GREY = np.rint((_X + _Y) / 2 * 255).astype(np.uint8)
ALPHA = np.rint(_Y * 255).astype(np.uint8)


def on_white(pixels, white):
    """Put colours of any range, with or without alpha, on white: levels (SIDE,SIDE,3)."""
    pixels = pixels.astype(float) / white
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1] * pixels[..., -1:] + 1 - pixels[..., -1:]
    return np.broadcast_to(pixels * 255, (SIDE, SIDE, 3))


def by_opencv(path):
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    white = np.iinfo(pixels.dtype).max
    if pixels.ndim == 3 and pixels.shape[-1] >= 3:
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[-1])]]
    return on_white(pixels, white)


def by_tifffile(path):
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        pixels, kind = page.asarray(), page.photometric.name
        if page.planarconfig == 2 and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        if kind == "PALETTE":
            return on_white(np.moveaxis(page.colormap, 0, -1)[pixels], 65535)
        if pixels.dtype == bool:
            pixels = pixels.astype(np.uint8)
        white = 2**page.bitspersample - 1
        if kind == "SEPARATED":
            return (1 - pixels[..., :3] / white) * (1 - pixels[..., 3:] / white) * 255
        if 0 in page.extrasamples:
            pixels = pixels[..., : -len(page.extrasamples)]
        if kind == "MINISWHITE":
            pixels = white - pixels
        return on_white(pixels, white)


def _pillow(mode, ending, **options):
    """Write with Pillow, read with OpenCV."""

    def make(path):
        rgba = Image.fromarray(np.dstack([COLOUR, ALPHA]))
        image = {"wide": Image.fromarray(GREY * np.uint16(257)), "LA": Image.fromarray(np.dstack([GREY, ALPHA]))}.get(
            mode
        )
        image = image or (rgba if mode == "RGBA" else rgba.convert("RGB").convert(mode))
        image.save(path, **options)
        return by_opencv(path)

    return ending, make


def _tifffile(pixels, photometric, **options):
    """Write with tifffile, read with tifffile."""

    def make(path):
        tifffile.imwrite(path, pixels, photometric=photometric, **options)
        return by_tifffile(path)

    return "tif", make


def _by_hand(bits, photometric, compression=1, **tags):
    """Write byte by byte; the levels are those of the array."""

    def make(path):
        values = np.rint(GREY / 255 * (2**bits - 1)).astype(int)
        data = values.astype("<u2").tobytes() if bits == 16 else packed(values, bits)
        data = zlib.compress(data) if compression == 8 else data
        tiff(path, (SIDE, SIDE), bits, photometric, data, compression=compression, **tags)
        return on_white(values if photometric else 2**bits - 1 - values, 2**bits - 1)

    return "tif", make


def _transparent(bits, value):
    """Make a grey PNG with one transparent value."""

    def make(path):
        values = np.rint(GREY / 255 * (2**bits - 1)).astype(int)
        values[3] = value
        rows = values.astype(">u2").tobytes() if bits == 16 else packed(values, bits)
        png(path, (SIDE, SIDE), bits, 0, rows, tRNS=value.to_bytes(2, "big"))
        return on_white(np.where(values == value, 2**bits - 1, values), 2**bits - 1)

    return "png", make


def _transparent_colour(path):
    """Make a 16-bit RGB PNG with one transparent colour, and an opaque one with the same upper bytes."""
    values = COLOUR.astype(int) * 257
    values[3], values[4] = (0x1234, 0x1234, 0x1234), (0x1250, 0x1234, 0x1234)
    png(path, (SIDE, SIDE), 16, 2, values.astype(">u2").tobytes(), tRNS=b"\x12\x34" * 3)
    values[3] = 65535
    return on_white(values, 65535)


W, D16, PLANES = np.uint16(257), COLOUR * np.uint16(257), np.moveaxis(COLOUR, -1, 0)
CMYK = np.dstack([255 - COLOUR, GREY // 2])
KINDS = {
    "png colour": _pillow("RGB", "png"),
    "png alpha": _pillow("RGBA", "png"),
    "png grey": _pillow("L", "png"),
    "png grey with alpha": _pillow("LA", "png"),
    "png palette": _pillow("P", "png"),
    "png 1 bit": _pillow("1", "png"),
    "png 16 bits": _pillow("wide", "png"),
    "png 16 bits, black transparent": _transparent(16, 0),
    "png 16 bits, a grey transparent": _transparent(16, 30000),
    "png 8 bits, black transparent": _transparent(8, 0),
    "png 4 bits, a grey transparent": _transparent(4, 7),
    "png 2 bits, a grey transparent": _transparent(2, 1),
    "png 16 bits, a colour transparent": ("png", _transparent_colour),
    "jpeg": _pillow("RGB", "jpg", quality=95),
    "jpeg progressive": _pillow("RGB", "jpg", progressive=True),
    "jpeg full chroma": _pillow("RGB", "jpg", subsampling=0),
    "jpeg grey": _pillow("L", "jpg"),
    "jfif": _pillow("RGB", "jfif", format="JPEG"),
    "webp": _pillow("RGB", "webp", quality=80),
    "webp lossless": _pillow("RGBA", "webp", lossless=True),
    "bmp": _pillow("RGB", "bmp"),
    "bmp grey": _pillow("L", "bmp"),
    "gif": _pillow("P", "gif"),
    "ppm": _pillow("RGB", "ppm"),
    "pgm": _pillow("L", "pgm"),
    "pgm 16 bits": _pillow("wide", "pgm"),
    "tiff lzw": _pillow("RGB", "tif", compression="tiff_lzw"),
    "tiff packbits": _pillow("RGB", "tif", compression="packbits"),
    "tiff jpeg": _pillow("RGB", "tif", compression="jpeg"),
    "tiff fax": _pillow("1", "tif", compression="group4"),
    "tiff colour": _tifffile(COLOUR, "rgb"),
    "tiff colour by plane": _tifffile(PLANES, "rgb", planarconfig="separate"),
    "tiff colour 16 bits": _tifffile(D16, "rgb"),
    "tiff colour 16 bits big-endian": _tifffile(D16, "rgb", byteorder=">"),
    "tiff colour 16 bits by plane": _tifffile(PLANES * W, "rgb", planarconfig="separate"),
    "tiff colour 16 bits by plane big-endian": _tifffile(PLANES * W, "rgb", planarconfig="separate", byteorder=">"),
    "tiff colour 16 bits predicted": _tifffile(D16, "rgb", compression="deflate", predictor=2),
    "tiff colour lzma": _tifffile(COLOUR, "rgb", compression="lzma"),
    "tiff tiled": _tifffile(COLOUR, "rgb", tile=(16, 16), compression="deflate"),
    "bigtiff": _tifffile(COLOUR, "rgb", bigtiff=True),
    "tiff alpha": _tifffile(np.dstack([COLOUR, ALPHA]), "rgb", extrasamples=["unassalpha"]),
    "tiff alpha 16 bits by plane": _tifffile(
        np.moveaxis(np.dstack([COLOUR, ALPHA]) * W, -1, 0),
        "rgb",
        extrasamples=["unassalpha"],
        planarconfig="separate",
    ),
    "tiff a channel beside colour": _tifffile(np.dstack([COLOUR, ALPHA]), "rgb", extrasamples=["unspecified"]),
    "tiff grey with alpha": _tifffile(np.dstack([GREY, ALPHA]), "minisblack", extrasamples=["unassalpha"]),
    "tiff cmyk": _tifffile(CMYK, "separated"),
    "tiff cmyk 16 bits by plane": _tifffile(np.moveaxis(CMYK * W, -1, 0), "separated", planarconfig="separate"),
    "tiff palette": _tifffile(GREY, "palette", colormap=(np.arange(768).reshape(3, 256) % 256 * 257).astype(np.uint16)),
    "tiff 1 bit": _by_hand(1, 1),
    "tiff 1 bit white is 0": _by_hand(1, 0),
    "tiff 4 bits white is 0": _by_hand(4, 0),
    "tiff 8 bits": _by_hand(8, 1),
    "tiff 8 bits white is 0": _by_hand(8, 0),
    "tiff 12 bits": _by_hand(12, 1),
    "tiff 12 bits deflated": _by_hand(12, 1, 8),
    "tiff 16 bits": _by_hand(16, 1),
    "tiff 16 bits white is 0": _by_hand(16, 0),
    "tiff 16 bits white is 0 deflated": _by_hand(16, 0, 8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_another_reader(kind, tmp_path):
    ending, make = KINDS[kind]
    expected = make(tmp_path / f"a.{ending}")
    assert expected.std() > 20  # the image is not uniform
    found = read_image(tmp_path / f"a.{ending}", SIDE, 3).transpose(1, 2, 0)
    assert np.abs(found - expected).max() <= 2
    if np.ptp(expected, axis=-1).max() == 0:
        assert np.abs(read_image(tmp_path / f"a.{ending}", SIDE, 1)[0] - expected[..., 0]).max() <= 2
