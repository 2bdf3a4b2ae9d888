"""What a PNG says beside its pixels, read here because Pillow refuses large texts and profiles.

PNG Specification, third edition.  Of the things that a PNG can say of its colours the first of
these counts: cICP, iCCP, sRGB, and then cHRM and gAMA together.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from nst.errors import brief
from nst.pictures import profiles
from nst.pictures.profiles import Chromaticities

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_INFLATED = 2**25  # bytes, of a profile, and of all texts
_PALETTE = 3  # the colour type of a picture whose pixels are indices into a palette
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_HELD_BACK = (
    *_TEXTS,
    b"iCCP",
    b"cICP",
    b"sRGB",
    b"gAMA",
    b"cHRM",
)  # from Pillow: this module reads them


@dataclass
class Png:
    """A PNG, taken apart."""

    data: bytes = field(repr=False)  # the file, without the chunks that are held back
    texts: dict[str, str] = field(default_factory=dict)  # by keyword
    profile: object = None  # as it is embedded; None without one
    code_points: tuple[int, int] | None = None  # H.273: primaries, transfer
    is_srgb: bool = False
    chromaticities: Chromaticities | None = None
    gamma: float | None = None  # the exponent that makes light of stored values

    @property
    def says_colours(self) -> bool:
        """Whether anything in it says what its colours are."""
        colours = (self.profile, self.code_points, self.chromaticities, self.gamma)
        return self.is_srgb or any(one is not None for one in colours)

    def profile_bytes(self, name: str) -> object:
        """Return the ICC profile of the first thing that says something; None for sRGB."""
        if self.code_points is not None:
            return profiles.of_code_points(*self.code_points, name)
        if self.profile is not None or self.is_srgb:
            return self.profile
        return profiles.of_chromaticities(self.chromaticities or profiles.SRGB, self.gamma)


def take_apart(data: bytes) -> Png:
    """Return what the chunks of a PNG say.  What is damaged is left to the decoder.

    Raises ValueError where there is no palette to look colours up in.
    """
    found = Png(data)
    kept, last, seen = [data[: len(SIGNATURE)]], len(SIGNATURE), set()
    for kind, start, stop in _chunks(data):
        seen.add(kind)
        if kind == b"IDAT" and b"PLTE" not in seen and data[25] == _PALETTE:
            raise ValueError("it has no palette")
        if kind not in _HELD_BACK:
            kept.append(data[last : stop + 4])
        last = stop + 4
        if kind in _HELD_BACK:
            _note(found, kind, data[start:stop])
    if seen.intersection(_HELD_BACK):
        found.data = b"".join([*kept, data[last:]])
    return found


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk, and where its data start and stop."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        stop = place + 8 + length
        if stop + 4 > len(data):
            return
        yield kind, place + 8, stop
        place = stop + 4


def _note(found: Png, kind: bytes, data: bytes) -> None:
    """Write down what a chunk says; one that is damaged says nothing."""
    try:
        if kind == b"iCCP":
            found.profile = _inflated(data.split(b"\0", 1)[1][1:], MOST_INFLATED)
        elif kind == b"cICP":
            found.code_points = (data[0], data[1])
        elif kind == b"sRGB":
            found.is_srgb = True
        elif kind == b"gAMA":
            found.gamma = 100_000 / struct.unpack(">I", data)[0]
        elif kind == b"cHRM":
            white, *colours = struct.iter_unpack(">2I", data)
            coordinates = [(x / 100_000, y / 100_000) for x, y in (*colours, white)]
            if all(0 < x < 1 and 0 < y < 1 for x, y in coordinates):
                found.chromaticities = tuple(coordinates)
        elif kind in _TEXTS:
            _note_text(found, kind, data)
    except (ValueError, LookupError, struct.error, zlib.error, ZeroDivisionError) as error:
        if kind == b"iCCP":
            found.profile = brief(error)  # no profile, and said so


def _note_text(found: Png, kind: bytes, data: bytes) -> None:
    keyword, rest = data.split(b"\0", 1)
    left = MOST_INFLATED - sum(map(len, found.texts.values()))
    encoding = "latin-1"
    if kind == b"zTXt":
        rest = _inflated(rest[1:], left)
    elif kind == b"iTXt":
        compressed, encoding = rest[0], "utf-8"
        rest = rest[2:].split(b"\0", 2)[2]
        rest = _inflated(rest, left) if compressed else rest
    found.texts[keyword.decode("latin-1")] = rest.decode(encoding, "replace")


def _inflated(data: bytes, most: int) -> bytes:
    """Return what zlib packed; raises ValueError for more than ``most`` bytes."""
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, most)
    if inflater.unconsumed_tail:
        raise ValueError("it is too large")
    return inflated
