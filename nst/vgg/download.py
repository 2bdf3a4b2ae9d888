"""One published file -> a verified copy of it, or the reason why not.

What has come so far lies in a ``.part`` file, so that a cut connection or Ctrl-C costs nothing:
the next try goes on behind its last byte (RFC 9110, section 14: ``Range``, and ``If-Range`` with
the file's entity tag, lest two versions be mixed).

Of a .safetensors file only the convolutions are brought.  It begins with the length of its
header (8 bytes, little-endian) and the header (JSON: name -> dtype, shape, data_offsets), which
say where each array lies.  What lies on disk afterwards is a smaller .safetensors file.
"""

import hashlib
import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
        session.headers.update({"User-Agent": f"nst/{VERSION}", "Accept-Encoding": "identity"})
        wanted = _convolutions(session, source) if source.only_convolutions else _whole(source)
        part.begin_with(wanted.prefix)
        try:
            _check_space(source, part, wanted.size)
            _fill(part, wanted, session, show)
        except KeyboardInterrupt as interrupt:
            if part.size:
                interrupt.add_note(
                    f"{part.size / 1e6:.1f} of {wanted.size / 1e6:.1f} MB are kept in {part.path};"
                    f" `nst models fetch {source.model}` goes on from there."
                )
            raise
        finally:
            part.remove_if_empty()
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
    header = _range(session, source.url, 8, length)
    try:
        tensors = {k: entry for k, entry in json.loads(header).items() if k != "__metadata__"}
        names = formats.our_names(tensors, ARCHITECTURES[source.model])
        _check_tensors(tensors, names, source.model)
        first, last, smaller = _span(tensors, names)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise Unavailable(f"is not {source.model}: {error}") from None
    prefix = len(smaller).to_bytes(8, "little") + smaller
    return _Wanted(source.url, 8 + length + first, last - first, is_whole=False, prefix=prefix)


def _span(tensors: dict[str, Any], names: dict[str, str]) -> tuple[int, int, bytes]:
    """Return where the named tensors begin and end, and a header for that span alone."""
    spans = [tensors[name]["data_offsets"] for name in names.values()]
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    inside = {}
    for name, entry in tensors.items():
        begin, end = entry["data_offsets"]
        if first <= begin and end <= last:  # what lies between them comes along
            inside[name] = {**entry, "data_offsets": [begin - first, end - first]}
    return first, last, json.dumps(inside).encode()


def _check_tensors(tensors: dict[str, Any], names: dict[str, str], model: str) -> None:
    """Raise ValueError unless every convolution is float32 and has its shape and its place."""
    for name, shape in ARCHITECTURES[model].parameters.items():
        entry = tensors[names[name]]
        if entry["dtype"] != "F32" or tuple(entry["shape"]) != shape:
            raise ValueError(
                f"{names[name]} must be F32 {shape}, found {entry['dtype']} {entry['shape']}"
            )
        begin, end = entry["data_offsets"]
        if begin < 0 or end - begin != 4 * math.prod(shape):
            raise ValueError(f"{names[name]} lies in bytes {begin} to {end}, which do not fit it")


# --- Asking ------------------------------------------------------------------------------------


def _range(session: "Session", url: str, first: int, size: int) -> bytes:
    """Return ``size`` bytes of a URL from byte ``first`` on: a few, held in memory."""
    asked = {"Range": f"bytes={first}-{first + size - 1}"}
    try:
        with session.get(url, headers=asked, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 200:
                raise Unavailable("gives no byte ranges, and most of the file is not wanted")
            _check_status(response)
            content = response.content
    except OSError as error:  # that of requests too
        raise Unavailable(_reason(error)) from None
    if len(content) != size:
        raise Unavailable(f"gave {len(content)} bytes where {size} were asked for")
    return content


def _fill(part: "_Part", wanted: _Wanted, session: "Session", show: Show) -> None:
    """Bring what is missing of ``part``, over several connections if one is cut."""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE * 2 ** (attempt - 1) if attempt else 0)
        try:
            cut = _stream(part, wanted, session, show)
        except OSError as error:
            cut = _reason(error)
            if attempt == 0:
                break  # not even asked with success; do not insist
        if not cut:
            return
    after = f", after {part.size / 1e6:.1f} of {wanted.size / 1e6:.1f} MB" if part.size else ""
    raise Unavailable(f"{cut}{after}")


def _stream(part: "_Part", wanted: _Wanted, session: "Session", show: Show) -> str:
    """Ask once for the rest of ``part`` and write it down; return why it ended early, or ""."""
    if part.size > wanted.size or not part.tag:
        part.begin("")
    if part.size == wanted.size:
        return ""
    headers = {"If-Range": part.tag} if part.size else {}
    if part.size or not wanted.is_whole:
        last = wanted.first + wanted.size - 1
        headers["Range"] = f"bytes={wanted.first + part.size}-{last}"
    host = str(urlsplit(wanted.url).hostname)
    with session.get(wanted.url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        _check_status(response)
        _check_answer(response, part, wanted)
        try:
            for piece in response.iter_content(PIECE):
                part.append(piece)
                show(host, part.size, wanted.size)
                if part.size > wanted.size:
                    raise Unavailable(f"gives more than the {wanted.size} bytes expected")
        except OSError as error:
            return _reason(error)
    return "" if part.size == wanted.size else "the connection was cut"


def _check_status(response: "Response") -> None:
    if response.status_code not in (200, 206):
        raise Unavailable(f"HTTP {response.status_code} {response.reason}")


def _check_answer(response: "Response", part: "_Part", wanted: _Wanted) -> None:
    """Make sure that what follows belongs at the end of ``part``, which may begin anew for it."""
    tag = response.headers.get("ETag", "")
    strong_tag = "" if tag.startswith("W/") else tag  # a weak one does not vouch for each byte
    if response.status_code == 200:  # no byte ranges here, or the file has changed since
        part.begin(strong_tag)
        if not wanted.is_whole:
            raise Unavailable("gives no byte ranges, or another file than before")
        size = int(response.headers.get("Content-Length", wanted.size))
        if size != wanted.size:
            raise Unavailable(f"has {size} bytes, expected {wanted.size}")
        return
    answer = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer)
    if not match or int(match[1]) != wanted.first + part.size:
        raise Unavailable(
            f"answered {answer!r} where byte {wanted.first + part.size} was asked for"
        )
    if wanted.is_whole and match[2] not in ("*", str(wanted.size)):
        raise Unavailable(f"has {match[2]} bytes, expected {wanted.size}")
    if part.size == 0:
        part.begin(strong_tag)


def _reason(error: OSError) -> str:
    """Return in a few words what went wrong on the way to the server."""
    import requests

    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {TIMEOUT[0]:g} seconds"
    if isinstance(error, requests.Timeout) or "Read timed out" in str(error):
        return f"nothing came for {TIMEOUT[1]:g} seconds"
    cause = _innermost(error)
    if isinstance(error, requests.exceptions.SSLError):
        return f"its certificate is not trusted ({cause}); REQUESTS_CA_BUNDLE may name your own"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy of HTTPS_PROXY or HTTP_PROXY does not let through ({cause})"
    return cause


def _innermost(error: BaseException) -> str:
    """Return what the exception at the bottom says: requests wraps urllib3 wraps the system."""
    inner = getattr(error, "reason", None) or next(
        (argument for argument in error.args if isinstance(argument, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _innermost(inner)
    return re.sub(r"^\S*(<.*?>|\(.*?\)): ", "", str(error)) or type(error).__name__


# --- On the disk -------------------------------------------------------------------------------


class _Part:
    """A file that grows at its end, and beside it the entity tag of what it is a part of."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._prefix = b""
        self._tag = path.with_suffix(".tag")

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.path.stat().st_size - len(self._prefix)

    @property
    def tag(self) -> str:
        """What the server called the version that they are of; "" if it did not."""
        return self._tag.read_text() if self._tag.exists() else ""

    def begin_with(self, prefix: bytes) -> None:
        """Keep what an earlier try left, if it begins with ``prefix`` as this one will."""
        self._prefix = prefix
        if self.path.exists():
            with self.path.open("rb") as file:
                if file.read(len(prefix)) == prefix:
                    return
        self.begin("")

    def begin(self, tag: str) -> None:
        """Forget what has come; what comes now is of the version ``tag``."""
        with _disk(self.path):
            self.path.write_bytes(self._prefix)
            self._tag.write_text(tag)

    def append(self, piece: bytes) -> None:
        """Write down what has come next; a disk that does not take it is left clean."""
        try:
            with _disk(self.path), self.path.open("ab") as file:
                file.write(piece)
        except NstError:
            self.remove()
            raise

    def become(self, path: Path) -> None:
        """Take the name of a complete file."""
        with _disk(path):
            self.path.replace(path)
            self._tag.unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Leave nothing behind of a try that brought nothing."""
        if self.path.exists() and self.size == 0:
            self.remove()

    def remove(self) -> None:
        """Leave nothing behind."""
        self.path.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into one line."""
    try:
        yield
    except OSError as error:
        raise NstError(
            f"cannot write {path}: {error.strerror or error}; make room there, or let NST_MODELS "
            "name another folder."
        ) from error


def _check_space(source: Source, part: _Part, size: int) -> None:
    """Raise NstError where neither the rest of ``part`` nor the model made of it would fit."""
    convolutions = ARCHITECTURES[source.model].parameters.values()
    needed = size - part.size + 4 * sum(map(math.prod, convolutions))
    free = shutil.disk_usage(part.path.parent).free
    if free < needed:
        raise NstError(
            f"{source.model} needs {needed / 1e6:.0f} MB in {part.path.parent}, which has "
            f"{free / 1e6:.0f} MB; make room there, or let NST_MODELS name another folder."
        )


def _verify(part: _Part, source: Source) -> None:
    """Raise Unavailable, and remove the part, unless its checksum is the published one."""
    kind, expected = source.checksum.split(":")
    with part.path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    if digest.hexdigest() != expected:
        part.remove()
        raise Unavailable(f"has {kind} {digest.hexdigest()}, expected {expected}")
