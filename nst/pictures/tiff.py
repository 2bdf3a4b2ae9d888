"""Which page of a TIFF is the picture, and what Pillow would read wrongly.

TIFF 6.0 and its supplements, BigTIFF, and DNG for what cameras make of it.
"""

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from nst.errors import NstError

Tags = Mapping[int, tuple[int, ...]]

SUBFILE, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANES = 254, 258, 259, 262, 277, 284
COLOUR_MAP, SUB_DIRECTORIES, SAMPLE_FORMAT, SUBSAMPLING, DNG_VERSION = 320, 330, 339, 530, 50706
UNCOMPRESSED, YCBCR, LAB, IN_PLANES, SIGNED, FLOATING = 1, 6, 8, 2, 2, 3
_REDUCED_OR_MASK = 1 | 4  # bits of SUBFILE
_SENSOR = (32803, 34892)  # photometric: raw values of a camera's sensor
_LOOKUP = (0, 1, 3)  # photometric: one channel, of grey or of numbers in a palette
_MOST_PAGES = 10_000
_MOST_VALUES = 65_536
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # types of values


@dataclass(frozen=True)
class Tiff:
    """A TIFF whose first page is the picture."""

    data: bytes = field(repr=False)
    tags: Tags  # of that page, those that are integers
    pages: int  # in the file, but for previews and masks

    @property
    def palette(self) -> bytes | None:
        """The colour map as red, green and blue bytes, where a program wrote it in 8 bits."""
        levels = self.tags.get(COLOUR_MAP, ())
        return bytes(levels) if levels and max(levels) < 256 else None


@contextmanager
def quietly() -> Iterator[None]:
    """Keep from the terminal what libtiff writes there, past Python, about damaged files."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        with suppress(Exception):
            sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def turn_to_picture(data: bytes, name: str) -> Tiff:
    """Return the file with the page that is the picture as its first.

    Previews and masks are passed over.  Raises NstError for a camera's raw file, whose picture is
    still to be developed, for previews alone, and for what would be read wrongly.
    """
    from PIL import TiffImagePlugin  # here: importing images loads no plug-in

    # Pillow has a reader of its own for uncompressed files, and it is wrong for 16 bits in planes,
    # for a single plane, for subsampled colour and for some bit orders.  libtiff is right.
    TiffImagePlugin.READ_LIBTIFF = True
    walk = _Walk(data)
    chain = list(walk.chain())
    below = [page for _, tags in chain for page in walk.below(tags)]
    everything = [*chain, *below]
    if data[8:10] == b"CR" or any(
        DNG_VERSION in tags or tags.get(PHOTOMETRIC, (0,))[0] in _SENSOR for _, tags in everything
    ):
        raise NstError(
            f"cannot use {name}: it is a camera's raw file, which shows but a preview until it is "
            "developed; save it as TIFF or JPEG in the camera's program"
        )
    full = [p for p in chain if not _is_aside(p[1])] or [p for p in below if not _is_aside(p[1])]
    if chain and not full:
        raise NstError(f"cannot use {name}: it holds a preview only; give the picture itself")
    if not full:  # damaged: whatever the decoder says of it
        return Tiff(data, {}, 1)
    place, tags = full[0]
    _refuse_what_is_read_wrongly(tags, name)
    first = place == chain[0][0]
    return Tiff(data if first else walk.beginning_at(place), tags, len(full))


def _is_aside(tags: Tags) -> bool:
    return bool(tags.get(SUBFILE, (0,))[0] & _REDUCED_OR_MASK)


def _refuse_what_is_read_wrongly(tags: Tags, name: str) -> None:
    formats = tags.get(SAMPLE_FORMAT, (1,))
    if FLOATING in formats or SIGNED in formats or max(tags.get(BITS, (1,))) > 16:
        found = (
            "signed or 32-bit integers" if FLOATING not in formats else "floating-point numbers"
        )
        raise NstError(
            f"cannot use {name}: its pixels are {found}, which do not say what is white; "
            "convert it to 8 or 16 bits per channel"
        )
    photometric = tags.get(PHOTOMETRIC, (0,))[0]
    stored = None
    if tags.get(PLANES, (1,))[0] == IN_PLANES:
        if photometric == LAB or (photometric in _LOOKUP and tags.get(SAMPLES, (1,))[0] > 1):
            stored = "L*a*b*, or grey and alpha, in separate planes"
    elif photometric == YCBCR and tags.get(COMPRESSION, (1,))[0] == UNCOMPRESSED:
        if max(tags.get(SUBSAMPLING, (2,))) > 2:
            stored = "colour for blocks of four pixels, uncompressed"
    if stored is not None:
        raise NstError(
            f"cannot use {name}: this TIFF stores {stored}, which is not read; open it in an "
            "image editor and save it as PNG"
        )


class _Walk:
    """Reads the directories of a TIFF; what is damaged ends the walk."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._order = ">" if data[:2] == b"MM" else "<"
        self._big = 43 in data[2:4]
        self._word = "Q" if self._big else "I"
        self._first = 8 if self._big else 4  # where the first directory's place is written

    def chain(self) -> Iterator[tuple[int, Tags]]:
        """Yield the place and the tags of each page."""
        seen: set[int] = set()
        with suppress(struct.error):
            (place,) = self._unpack(self._word, self._first)
            while place and place not in seen and len(seen) < _MOST_PAGES:
                seen.add(place)
                tags, after = self._directory(place)
                yield place, tags
                (place,) = self._unpack(self._word, after)

    def below(self, tags: Tags) -> Iterator[tuple[int, Tags]]:
        """Yield the same of the sub-files that a page names."""
        for place in tags.get(SUB_DIRECTORIES, ()):
            with suppress(struct.error):
                yield place, self._directory(place)[0]

    def beginning_at(self, place: int) -> bytes:
        """Return the file with the directory at ``place`` as its first."""
        start = self._first
        word = struct.pack(self._order + self._word, place)
        return self._data[:start] + word + self._data[start + len(word) :]

    def _directory(self, place: int) -> tuple[Tags, int]:
        """Return the tags whose values are integers, and where the next page's place is."""
        (count,) = self._unpack("Q" if self._big else "H", place)
        place += 8 if self._big else 2
        layout = "HHQ" if self._big else "HHI"
        step = 20 if self._big else 12
        tags: dict[int, tuple[int, ...]] = {}
        if count > len(self._data) // step:
            raise struct.error("more entries than the file has room for")
        for entry in range(place, place + count * step, step):
            tag, kind, many = self._unpack(layout, entry)
            if kind in _INTEGERS and 0 < many <= _MOST_VALUES:
                with suppress(struct.error):
                    tags.setdefault(tag, self._values(_INTEGERS[kind], many, entry + step))
        return tags, place + count * step

    def _values(self, letter: str, many: int, stop: int) -> tuple[int, ...]:
        """Return the values of an entry that ends at ``stop``, there or where it points."""
        width = struct.calcsize("=" + self._word)
        start = stop - width
        if struct.calcsize(f"={many}{letter}") > width:
            (start,) = self._unpack(self._word, start)
        return self._unpack(f"{many}{letter}", start)

    def _unpack(self, layout: str, place: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self._order + layout, self._data, place)
        except (OverflowError, IndexError) as error:  # beyond what any file can be
            raise struct.error(str(error)) from error
