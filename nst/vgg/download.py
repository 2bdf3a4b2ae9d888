"""One published file -> a verified copy of it, or the reason why not.

What has come so far lies in a ``.part`` file, so that a cut connection or Ctrl-C costs nothing:
the next try goes on behind its last byte (RFC 9110, section 14: ``Range``, and ``If-Range`` with
the file's entity tag, lest two versions be mixed).

Of a .safetensors file only the convolutions are brought.  It begins with the length of its
header (8 bytes, little-endian) and the header (JSON: name -> dtype, shape, data_offsets), which
say where each array lies.  What lies on disk afterwards is a smaller .safetensors file.
"""

import errno
import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from nst.errors import NstError
from nst.version import VERSION
from nst.vgg import formats
from nst.vgg.architecture import ARCHITECTURES
from nst.vgg.sources import Source

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = (10.0, 30.0)  # seconds: to connect, and between two pieces of an answer
ATTEMPTS = 5  # connections for one file
PAUSE = 1.0  # seconds before the second of them, and twice as long before each after that
PIECE = 1 << 16  # bytes
LARGEST_HEADER = 1 << 20  # bytes; VGG16's has some 3,000

Show: TypeAlias = Callable[[str, int, int], None]  # host, bytes that are here, bytes in all


class Unavailable(Exception):
    """This source does not work, for the reason given; another may."""


@dataclass(frozen=True)
class _Wanted:
    """Bytes ``first`` to ``first + size - 1`` of a URL, to be kept behind ``prefix``."""

    url: str
    first: int
    size: int
    is_whole: bool
    prefix: bytes = b""


def download(source: Source, folder: Path, show: Show) -> Path:
    """Return the file of ``source``, verified, in ``folder``, where a ``.part`` may be waiting.

    Raises Unavailable if the server does not give it or gives another file, and NstError if the
    disk does not take it.  KeyboardInterrupt passes, with a note of what is kept.
    """
    import requests

    path = folder / f"{source.model}-{hashlib.sha256(source.url.encode()).hexdigest()[:8]}"
    path = path.with_suffix(source.suffix)
    part = _Part(path.with_suffix(source.suffix + ".part"))
    with requests.Session() as session:  # proxies and certificates: as the environment says
        session.headers |= {"User-Agent": f"nst/{VERSION}", "Accept-Encoding": "identity"}
        wanted = _convolutions(session, source) if source.only_convolutions else _whole(source)
        _check_space(folder, wanted.size)
        part.begin_with(wanted.prefix)
        try:
            _fill(part, wanted, session, show)
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(
                f"{part.size / 1e6:.1f} of {wanted.size / 1e6:.1f} MB are kept in {part.path}; "
                f"`nst models fetch {source.model}` goes on from there."
            )
            raise
    if wanted.is_whole:
        _verify(part, source)
    part.become(path)
    return path


def _whole(source: Source) -> _Wanted:
    return _Wanted(source.url, 0, source.size, is_whole=True)


def _convolutions(session: "Session", source: Source) -> _Wanted:
    """Read a .safetensors file's header; return the span of its convolutions, once checked."""
    length = int.from_bytes(_range(session, source.url, 0, 8), "little")
    if not 2 <= length <= LARGEST_HEADER:
        raise Unavailable(f"is no .safetensors file: its header would have {length} bytes")
    try:
        header = json.loads(_range(session, source.url, 8, length))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        names = formats.our_names(tensors, ARCHITECTURES[source.model])
        _check_tensors(tensors, names, source.model)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise Unavailable(f"is not {source.model}: {error}") from None
    spans = [tensors[name]["data_offsets"] for name in names.values()]
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    inside = {  # what lies between them comes along
        name: {**entry, "data_offsets": [offset - first for offset in entry["data_offsets"]]}
        for name, entry in tensors.items()
        if first <= entry["data_offsets"][0] and entry["data_offsets"][1] <= last
    }
    text = json.dumps(inside).encode()
    prefix = len(text).to_bytes(8, "little") + text
    return _Wanted(source.url, 8 + length + first, last - first, is_whole=False, prefix=prefix)


def _check_tensors(tensors: dict[str, Any], names: dict[str, str], model: str) -> None:
    """Raise ValueError unless every convolution is float32 and has its shape and its place."""
    for name, shape in formats.shapes(ARCHITECTURES[model]).items():
        entry = tensors[names[name]]
        if entry["dtype"] != "F32" or tuple(entry["shape"]) != shape:
            raise ValueError(
                f"{names[name]} must be F32 {shape}, found {entry['dtype']} {entry['shape']}"
            )
        begin, end = entry["data_offsets"]
        if begin < 0 or end - begin != 4 * math.prod(shape):
            raise ValueError(f"{names[name]} lies in bytes {begin} to {end}, which do not fit it")


# --- The part that has come so far ----------------------------------------------------------------


class _Part:
    """A file that grows at its end, and beside it the entity tag of what it is a part of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.prefix = b""
        self._tag = path.with_suffix(".tag")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size - len(self.prefix)

    @property
    def tag(self) -> str:
        return self._tag.read_text() if self._tag.exists() else ""

    def begin_with(self, prefix: bytes) -> None:
        """Keep what is here if it begins with ``prefix`` and has a tag; else begin anew."""
        self.prefix = prefix
        if self.path.exists() and self.tag:
            with self.path.open("rb") as file:
                if file.read(len(prefix)) == prefix:
                    return
        self.begin("")

    def begin(self, tag: str) -> None:
        """Forget what has come; what comes now belongs to ``tag``."""
        with _disk(self.path):
            self.path.write_bytes(self.prefix)
            self._tag.write_text(tag)

    def append(self, piece: bytes) -> None:
        try:
            with _disk(self.path), self.path.open("ab") as file:
                file.write(piece)
        except NstError:
            self.remove()  # a full disk is no place to keep half a file
            raise

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)

    def become(self, path: Path) -> None:
        self.path.replace(path)
        self._tag.unlink(missing_ok=True)
