"""Small files that unfold to gigabytes."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import PIL.Image

from fuzzing.png import PROFILE, join, split

ZEROS = (400, 1_000_000)  # float32: 1.6 GB


def write_zeros(archive: zipfile.ZipFile, name: str) -> None:
    """Write an .npy entry of ZEROS' shape, piece by piece."""
    with archive.open(undated(archive, name), "w", force_zip64=True) as entry:
        header = {"descr": "<f4", "fortran_order": False, "shape": ZEROS}
        np.lib.format.write_array_header_1_0(entry, header)
        for _ in range(ZEROS[0]):
            entry.write(bytes(4 * ZEROS[1]))


def undated(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return an entry whose bytes do not depend on the time of day."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = archive.compression
    return entry


# --- Pictures -----------------------------------------------------------------------------------


@cache
def _flat_png(side: int, depth: int, colour: int) -> bytes:
    """Return a PNG of one colour: a kilobyte for every megabyte that it unfolds to."""
    bits = depth * {0: 1, 2: 3, 6: 4}[colour] * side
    row, packer = b"\0" + bytes(-(-bits // 8)), zlib.compressobj(1)
    packed = b"".join(packer.compress(row * 64) for _ in range(-(-side // 64))) + packer.flush()
    header = struct.pack(">2I5B", side, side, depth, colour, 0, 0, 0)
    return join([(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")])


@cache
def _flat(kind: str, side: int, mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    PIL.Image.new(mode, (side, side)).save(file, kind, **options)
    return file.getvalue()


def _text_bomb() -> bytes:
    chunks = split(_flat_png(32, 8, 2))
    bomb = (b"zTXt", b"nst settings\0\0" + zlib.compress(bytes(60_000_000), 9))
    return join([chunks[0], bomb, *chunks[1:]])


def _profile_bomb() -> bytes:
    chunks = split(_flat_png(32, 8, 2))
    bomb = (b"iCCP", b"profile\0\0" + zlib.compress(PROFILE[:128] + bytes(60_000_000), 9))
    return join([chunks[0], bomb, *chunks[1:]])


def _empty_tiff(side: int) -> bytes:
    """Return a TIFF whose header promises a large picture, in strips that are not there."""
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: side, 279: 64}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(80)


PICTURES: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("PNG, 1 bit, 13000 x 13000", lambda: _flat_png(13000, 1, 0)),
    ("PNG, RGB, 9000 x 9000", lambda: _flat_png(9000, 8, 2)),
    ("PNG, RGB, 30000 x 30000", lambda: _flat_png(30000, 1, 0)),
    ("PNG, a text of 60 MB", _text_bomb),
    ("PNG, a profile of 60 MB", _profile_bomb),
    ("JPEG, 12000 x 12000", lambda: _flat("JPEG", 12000, "L", quality=5)),
    ("TIFF, group 4, 13000 x 13000", lambda: _flat("TIFF", 13000, "1", compression="group4")),
    (
        "TIFF, deflate, 12000 x 12000",
        lambda: _flat("TIFF", 12000, "L", compression="tiff_deflate"),
    ),
    ("TIFF that is not there, 60000 x 60000", lambda: _empty_tiff(60000)),
    ("TIFF that is not there, 12000 x 12000", lambda: _empty_tiff(12000)),
    ("WebP, 8000 x 8000", lambda: _flat("WEBP", 8000, quality=1, method=0)),
    ("GIF, 13000 x 13000", lambda: _flat("GIF", 13000, "L")),
)
