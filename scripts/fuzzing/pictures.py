"""Pictures that are damaged, lie about themselves, or unfold to gigabytes."""

import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import PIL.Image

from fuzzing import bombs, png
from fuzzing.cases import SHORT, TINY, Case
from fuzzing.mutations import LARGE, NUMBERS, damaged
from fuzzing.networks import tiny_bytes
from fuzzing.png import PROFILE

WHOLE = (
    0.03  # of the cases run to their end, as a command line; the others are read, 30 times faster
)
BOMBS = 0.004  # of the cases are small files of large pictures
SIZES = ((24, 33), (40, 27), (17, 64), (16, 16))  # height, width of what is damaged
ROLES = (*("content", "style", "mask", "region", "init") * 2, "from")


@cache
def standing() -> dict[str, bytes]:
    """Return what the damaged picture is beside: a photograph, a painting and a small network."""
    rng = np.random.default_rng(1)
    found = {"tiny.onnx": tiny_bytes()}
    for name, size in (("a.png", (40, 33)), ("b.png", (32, 48))):
        file = BytesIO()
        PIL.Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(file, "PNG")
        found[name] = file.getvalue()
    return found


def draw(rng: random.Random) -> Case:
    """Return a case: a damaged picture in one of its roles."""
    if rng.random() < BOMBS:
        what, data = rng.choice(bombs.PICTURES)
        return _case(rng, f"bomb: {what}", data())
    name, data = rng.choice(seeds())
    other = rng.choice([data for one, data in seeds() if one[:3] == name[:3]])
    structured = _STRUCTURED.get(data[:3])
    if structured is None or rng.random() < 0.5:
        return _case(rng, name, damaged(rng, data, other))
    return _case(rng, name + ", by its parts", structured(rng, data, other))


def _case(rng: random.Random, what: str, data: bytes) -> Case:
    suffix = rng.choice(("png", "jpg", "tif", "webp", "gif", "avif", "heic", "x"))
    name, role = f"x.{suffix}", rng.choice(ROLES)
    if role == "from":
        return Case(
            f"{what} for --from", {name: data}, ("estimate", "--from", name, *TINY, *SHORT)
        )
    what = f"{what} as {role}"
    if rng.random() < WHOLE:
        return Case(what, {name: data}, (*_words(role, name), "--output", "o.png", *TINY, *SHORT))
    return Case(what, {name: data}, call=_settings(role, name))


def _words(role: str, name: str) -> tuple[str, ...]:
    return {
        "content": ("stylize", name, "b.png"),
        "style": ("stylize", "a.png", name),
        "mask": ("stylize", "a.png", "b.png", "--style-mask", name),
        "region": ("stylize", "a.png", "b.png", "--content-mask", name),
        "init": ("stylize", "a.png", "b.png", "--init", name),
    }[role]


def _settings(role: str, name: str) -> dict[str, Any]:
    said: dict[str, Any] = {"content": "a.png", "style": "b.png", "model": "tiny.onnx"}
    said |= {"size": 32, "scales": 1, "steps": 1, "device": "cpu", "memory": "1GB"}
    said |= {"output": "o.png"}
    if role in ("mask", "region"):
        return said | {"style": {"painting": True, "path": "b.png", role: name}}
    return said | {role: name}


# --- Sound files ------------------------------------------------------------------------------


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    """Return sound pictures of every format, mode and kind that is read, with their names."""
    rng = np.random.default_rng(2)
    found = []
    for kind, mode, options in _KINDS:
        height, width = SIZES[len(found) % len(SIZES)]
        options = dict(options)
        frames = [_picture(rng, mode, height, width) for _ in range(options.pop("frames", 1))]
        more: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
        file = BytesIO()
        try:
            frames[0].save(file, kind, **options, **(more if frames[1:] else {}))
        except (KeyError, OSError):  # a format that this Pillow was built without
            continue
        found.append((f"{kind} {mode} {' '.join(options)}".strip(), file.getvalue()))
    for depth, colour in ((1, 0), (2, 0), (4, 0), (16, 0), (16, 2), (16, 4), (16, 6), (4, 3)):
        found.append((f"PNG of {depth} bits, colour type {colour}", _png(rng, depth, colour)))
    with suppress(ImportError):
        found.append(("HEIF", _heif(_picture(rng, "RGB", 32, 48))))
    return tuple(found)


def _heif(picture: PIL.Image.Image) -> bytes:
    """Return a HEIC file.  The plug-in is not registered for that: whether it is, nst decides."""
    import pillow_heif

    file = BytesIO()
    pillow_heif.from_pillow(picture).save(file, quality=60)
    return file.getvalue()


def _picture(rng: np.random.Generator, mode: str, height: int, width: int) -> PIL.Image.Image:
    rows, columns = np.mgrid[:height, :width]
    smooth = np.stack([rows * 5, columns * 7, rows * columns, 255 - 4 * rows], -1) % 256
    noisy = smooth ^ rng.integers(0, 16, (height, width, 4))
    if mode == "I;16":
        return PIL.Image.fromarray((noisy[..., 0] * 257).astype(np.uint16))
    rgba = PIL.Image.fromarray(noisy.astype(np.uint8))
    return rgba.convert("RGB").convert(mode) if mode in ("LAB", "P", "1") else rgba.convert(mode)


def _exif(orientation: int) -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x8769] = orientation, "a picture", {0xA001: 65535}
    return exif.tobytes()


_KINDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ("PNG", "RGB", {"icc_profile": PROFILE}),
    ("PNG", "RGB", {"exif": _exif(6)}),
    ("PNG", "P", {"transparency": 3}),
    ("PNG", "RGB", {"transparency": (5, 7, 9)}),
    ("PNG", "RGBA", {"frames": 2}),
    *(("JPEG", mode, {"quality": 80}) for mode in ("L", "RGB", "CMYK")),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "RGB", {"exif": _exif(5)}),
    ("JPEG", "RGB", {"icc_profile": PROFILE}),
    ("JPEG", "RGB", {"restart_marker_rows": 1}),
    ("WEBP", "RGB", {}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"exif": _exif(3), "icc_profile": PROFILE}),
    ("WEBP", "RGBA", {"frames": 2}),
    *(("TIFF", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "LAB")),
    *(
        ("TIFF", "RGB", {"compression": name})
        for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd")
    ),
    *(("TIFF", "1", {"compression": name}) for name in ("group3", "group4", "tiff_ccitt")),
    ("TIFF", "I;16", {"compression": "tiff_lzw"}),
    ("TIFF", "RGB", {"icc_profile": PROFILE}),
    ("TIFF", "RGBA", {"tiffinfo": {274: 6}}),
    ("TIFF", "L", {"tiffinfo": {274: 7}}),
    ("TIFF", "RGB", {"big_tiff": True}),
    ("TIFF", "RGB", {"frames": 2}),
    ("TIFF", "F", {}),
    ("GIF", "P", {}),
    ("GIF", "P", {"transparency": 3}),
    ("GIF", "L", {"frames": 3}),
    ("AVIF", "RGB", {}),
    ("AVIF", "RGBA", {"exif": _exif(6)}),
    ("BMP", "RGB", {}),
    ("PPM", "RGB", {}),
)


def _png(
    rng: np.random.Generator, depth: int, colour: int, height: int = 19, width: int = 26
) -> bytes:
    """Return a PNG of a kind that Pillow does not write."""
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * width
    rows = b"".join(b"\0" + rng.bytes(-(-bits // 8)) for _ in range(height))
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    palette = [(b"PLTE", rng.bytes(48)), (b"tRNS", rng.bytes(9))] if colour == 3 else []
    return png.join([(b"IHDR", header), *palette, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


# --- By its parts: a change that the checksums do not give away -------------------------------


_PNG_NAMES = tuple(
    name.encode()
    for name in (
        "tRNS gAMA cHRM iCCP sRGB cICP eXIf iTXt zTXt tEXt PLTE acTL fcTL fdAT bKGD hIST sBIT pHYs"
        " sPLT tIME mDCV cLLI IDAT IHDR IEND"
    ).split()
)


def _png_by_parts(rng: random.Random, data: bytes, other: bytes) -> bytes:
    chunks = png.split(data)
    for _ in range(rng.randrange(1, 4)):
        at, what = rng.randrange(len(chunks)), rng.randrange(6)
        name, inside = chunks[at]
        if what == 0:
            chunks[at] = name, damaged(rng, inside)
        elif what == 1:
            del chunks[at : at + (len(chunks) > 1)]
        elif what == 2:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
        elif what == 3:
            chunks.insert(at, _png_chunk(rng))
        elif what == 4:
            chunks[0] = b"IHDR", _header(rng, chunks[0][1])
        elif name in (b"IDAT", b"iCCP", b"zTXt"):
            chunks[at] = name, _repacked(rng, inside)
    return png.join(chunks)


def _header(rng: random.Random, old: bytes) -> bytes:
    fields = list(struct.unpack(">2I5B", old)) if len(old) == 13 else [32, 32, 8, 2, 0, 0, 0]
    at = rng.randrange(7)
    fields[at] = rng.choice(
        (1, 15, 16, 17, 31, 65536, 2**31 - 1) if at < 2 else (0, 1, 2, 3, 4, 6, 8, 16)
    )
    return struct.pack(">2I5B", *fields)


def _png_chunk(rng: random.Random) -> tuple[bytes, bytes]:
    """Return a chunk that PNGs have, with what it should hold or something else."""
    name = rng.choice(_PNG_NAMES)
    text = rng.choice((b"nst settings", b"Software", b"", b"x" * 90, b"\xff\x1b[31m"))
    inside = {
        b"iCCP": b"profile\0\0" + zlib.compress(damaged(rng, PROFILE)),
        b"eXIf": damaged(rng, _exif(rng.randrange(10))[6:]),
        b"zTXt": text + b"\0\0" + zlib.compress(rng.choice((b"{", bytes(10**6), b"\xff"))),
        b"iTXt": text + b"\0" + rng.choice((b"\0\0\0\0", b"\1\0en\0\0", b"\1\1")) + b"\xffhere",
        b"tEXt": text + b"\0" + rng.choice((b"{}", b"\x1b[2J", b"{" * 3000)),
        b"gAMA": struct.pack(">I", rng.choice((0, 1, 45455, 100000, 2**32 - 1))),
        b"cHRM": struct.pack(">8I", *(rng.choice((0, 31270, 2**31)) for _ in range(8))),
        b"cICP": rng.randbytes(4),
        b"acTL": struct.pack(">2I", rng.choice((0, 1, 2**31)), 0),
    }.get(name, rng.randbytes(rng.choice((0, 1, 2, 4, 6, 12, 255, 256, 768, 771))))
    return name, inside if rng.random() < 0.7 else damaged(rng, inside)


def _repacked(rng: random.Random, packed: bytes) -> bytes:
    """Return compressed bytes with their inside damaged, or with another length."""
    start = packed.find(b"\x78", 0, 100)
    try:
        inside = zlib.decompress(packed[max(0, start) :])
    except zlib.error:
        return damaged(rng, packed)
    changed = rng.choice((damaged(rng, inside), inside[: len(inside) // 2], inside * 2, b""))
    return packed[: max(0, start)] + zlib.compress(changed)


def _jpeg_by_parts(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change, repeat or leave out a segment, or put one in with a profile or EXIF inside."""
    parts, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        parts.append((data[at + 1], data[at + 4 : at + length]))
        at += length
    for _ in range(rng.randrange(1, 4)):
        here, what = rng.randrange(len(parts) or 1), rng.randrange(4)
        if what == 0 and parts:
            parts[here] = parts[here][0], damaged(rng, parts[here][1])
        elif what == 1 and parts:
            parts.insert(here, rng.choice(parts))
        elif what == 2 and len(parts) > 1:
            del parts[here]
        else:
            profile = b"ICCPROFILE\0" + bytes((rng.randrange(3), rng.randrange(3)))
            parts.insert(
                here,
                rng.choice(
                    (
                        (0xE1, b"Exif\0\0" + damaged(rng, _exif(rng.randrange(10))[6:])),
                        (0xE2, profile + damaged(rng, PROFILE)),
                        (0xEE, b"Adobe" + rng.randbytes(7)),
                        (0xED, b"Photoshop 3.0\0" + rng.randbytes(30)),
                        (0xFE, rng.randbytes(40)),
                        (rng.randrange(0xC0, 0xFF), rng.randbytes(rng.randrange(60))),
                    )
                ),
            )
    joined = b"\xff\xd8"
    for marker, inside in parts:
        joined += bytes((0xFF, marker)) + struct.pack(">H", (len(inside) + 2) % 65536) + inside
    return joined + data[at:]


_TAGS = (
    *(
        254,
        256,
        257,
        258,
        259,
        262,
        266,
        269,
        270,
        273,
        274,
        277,
        278,
        279,
        282,
        284,
        290,
        292,
        293,
    ),
    *(
        305,
        317,
        318,
        320,
        322,
        323,
        324,
        325,
        330,
        332,
        338,
        339,
        340,
        341,
        347,
        513,
        514,
        529,
        530,
    ),
    *(532, 700, 33432, 34377, 34665, 34675, 34853, 37724, 50706, 65535),
)
_TAG_VALUES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 34712, 32773, 32946, 50000, 50001, 65535)


def _tiff_by_parts(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change an entry of the first directory: its tag, type, count or value; or add another."""
    order = "<" if data[:2] == b"II" else ">"
    changed = bytearray(data)
    start = struct.unpack_from(order + "I", data, 4)[0]
    if start + 2 > len(data) or data[2:4] in (b"\x2b\0", b"\0\x2b"):
        return damaged(rng, data, other)
    (count,) = struct.unpack_from(order + "H", data, start)
    for _ in range(rng.randrange(1, 4)):
        at = start + 2 + 12 * rng.randrange(max(1, count))
        if at + 12 > len(changed):
            break
        what = rng.randrange(5)
        if what == 0:
            struct.pack_into(order + "H", changed, at, rng.choice(_TAGS))
        elif what == 1:
            struct.pack_into(order + "H", changed, at + 2, rng.choice((*range(14), 16, 18, 999)))
        elif what == 2:
            struct.pack_into(order + "I", changed, at + 4, rng.choice(NUMBERS + LARGE[:5]))
        elif what == 3:
            struct.pack_into(order + "H", changed, at + 8, rng.choice(_TAG_VALUES))
        else:
            value = rng.choice((*NUMBERS, *LARGE[:5], start, len(data), at))
            struct.pack_into(order + "I", changed, at + 8, value)
    return bytes(changed)


def _riff_by_parts(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change, repeat or leave out a chunk of a WebP file."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    extra = [
        (b"EXIF", damaged(rng, _exif(rng.randrange(10)))),
        (b"ICCP", damaged(rng, PROFILE)),
        (b"XMP ", rng.randbytes(30)),
        (b"ANIM", rng.randbytes(6)),
        (b"VP8X", rng.randbytes(10)),
    ]
    here, what = rng.randrange(len(chunks)), rng.randrange(4)
    if what == 0:
        chunks[here] = chunks[here][0], damaged(rng, chunks[here][1])
    elif what == 1:
        chunks.insert(here, rng.choice(chunks))
    elif what == 2 and len(chunks) > 1:
        del chunks[here]
    else:
        chunks.insert(here, rng.choice(extra))
    body = b"WEBP"
    for name, inside in chunks:
        body += name + struct.pack("<I", len(inside)) + inside + bytes(len(inside) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


_ByParts = Callable[[random.Random, bytes, bytes], bytes]
_STRUCTURED: dict[bytes, _ByParts] = {
    b"\x89PN": _png_by_parts,
    b"\xff\xd8\xff": _jpeg_by_parts,
    b"II*": _tiff_by_parts,
    b"MM\0": _tiff_by_parts,
    b"RIF": _riff_by_parts,
}
