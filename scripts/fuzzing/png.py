"""A PNG taken apart and joined, with checksums that are right; and an ICC profile."""

import struct
import zlib

from PIL import ImageCms

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def join(chunks: list[tuple[bytes, bytes]]) -> bytes:
    joined = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        joined += struct.pack(">I", len(data)) + name + data
        joined += struct.pack(">I", zlib.crc32(name + data))
    return joined


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return chunks
