"""Write image files byte by byte, of kinds that none of the tests' libraries writes."""

import struct
import zlib

import numpy as np


def packed(values, bits):
    """Return integers as rows of samples of `bits` bits each, every row padded to whole bytes."""
    rows = np.asarray(values).reshape(len(values), -1)
    return b"".join(
        int("".join(f"{value:0{bits}b}" for value in row).ljust(-(-len(row) * bits // 8) * 8, "0"), 2).to_bytes(
            -(-len(row) * bits // 8), "big"
        )
        for row in rows.tolist()
    )


def png(path, size, bits, kind, rows, **chunks):
    """Write a PNG of one image. `kind` is 0 for grey, 2 for colour, 3 for a palette; `rows` are packed samples."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    width, height = size
    row_bytes = len(rows) // height
    filtered = b"".join(b"\0" + rows[i * row_bytes : (i + 1) * row_bytes] for i in range(height))
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    middle = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    image = chunk(b"IDAT", zlib.compress(filtered))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle + image + chunk(b"IEND", b""))


def tiff(path, size, bits, photometric, data, samples=1, big_endian=False, compression=1, **tags):
    """Write a TIFF of one strip, which holds the bytes of `data`. `tags` are further tags, as t339=1 or t320=[...]."""
    order = ">" if big_endian else "<"
    width, height = size
    values = {256: width, 257: height, 258: [bits] * samples, 259: compression, 262: photometric, 273: 8}
    values |= {277: samples, 278: height, 279: len(data)}
    values |= {int(name[1:]): value for name, value in tags.items()}
    start = 8 + len(data) + len(data) % 2
    entries, extra, extra_at = b"", b"", start + 2 + 12 * len(values) + 4
    for tag, value in sorted(values.items()):
        if isinstance(value, bytes):
            kind, count, content = 7, len(value), value
        else:
            numbers = value if isinstance(value, list) else [value]
            kind = 4 if tag in (256, 257, 273, 278, 279) else 3
            count, content = len(numbers), struct.pack(f"{order}{len(numbers)}{'I' if kind == 4 else 'H'}", *numbers)
        if len(content) > 4:
            place, extra = struct.pack(f"{order}I", extra_at + len(extra)), extra + content + b"\0" * (len(content) % 2)
        else:
            place = content.ljust(4, b"\0")
        entries += struct.pack(f"{order}HHI", tag, kind, count) + place
    head = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(f"{order}I", start)
    body = data + b"\0" * (len(data) % 2)
    path.write_bytes(head + body + struct.pack(f"{order}H", len(values)) + entries + struct.pack("I", 0) + extra)


def profile(space, curve, colourants=()):
    """Return a colour profile (ICC) of version 2.

    `space` is "GRAY" or "RGB ", `curve` the exponent of its light, `colourants` the XYZ of red, green and blue under
    D50.
    """

    def xyz(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    power = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(curve * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + b"\0" * 78
    tags = {b"desc": text, b"cprt": b"text\0\0\0\0x\0\0\0", b"wtpt": xyz(D50)}
    tags |= {b"kTRC": power} if space == "GRAY" else {b"rTRC": power, b"gTRC": power, b"bTRC": power}
    tags |= {name: xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colourants, strict=False)}
    start, table, content = 132 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(content), len(data))
        content += data + b"\0" * (-len(data) % 4)
    body = struct.pack(">I", len(tags)) + table + content
    head = struct.pack(">I4sI4s4s4s12s4s", 128 + len(body), b"none", 0x02100000, b"mntr", space.encode(), b"XYZ ",
                       struct.pack(">6H", 2026, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    head += b"\0" * 28 + struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + body


D50 = (0.96420, 1.0, 0.82491)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
ADOBE_GAMMA = 563 / 256
_SRGB = np.array([(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)]).T


def srgb(colour, colourants, gamma):
    """Return the sRGB levels of a colour of such a profile, computed by the matrices."""
    light = np.linalg.inv(_SRGB) @ np.array(colourants).T @ (np.array(colour) / 255) ** gamma
    return shown(light)


def shown(light):
    """Return the sRGB levels (0 to 255) of light from 0 to 1."""
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
