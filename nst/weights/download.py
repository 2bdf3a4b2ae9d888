"""One published file -> a verified copy of it, or the reason why not.

What has come so far lies in a ``.part`` file, so that a cut connection or Ctrl-C costs nothing:
the next try goes on behind its last byte (RFC 9110, section 14: ``Range``, and ``If-Range`` with
the file's entity tag, lest two versions be mixed).

Of a .safetensors file only the convolutions are brought.  It begins with the length of its
header (8 bytes, little-endian) and the header (JSON: name -> dtype, shape, data_offsets), which
say where each array lies.  What lies on disk afterwards is a smaller .safetensors file.

A server may do anything: whatever it does wrong is told as Unavailable, in one line, and takes
neither memory nor time without bounds.
"""

import hashlib
import json
import math
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urljoin, urlsplit

from nst.errors import NstError, brief
from nst.version import VERSION
from nst.vgg.architecture import ARCHITECTURES
from nst.weights import formats
from nst.weights.sources import Source

if TYPE_CHECKING:
    from requests import Response, Session

TIMEOUT = (10.0, 30.0)  # seconds: to connect, and between two pieces of an answer
ANSWER = 40.0  # seconds from asking to the head of the answer, with all redirects
REDIRECTS = 5
SLOWEST = 10_000  # bytes a second, averaged over WINDOW seconds; a slower source is given up
WINDOW = 30.0  # seconds
ATTEMPTS = 5  # connections for one file
PAUSE = 1.0  # seconds before the second connection, and twice as long before each further one
PIECE = 1 << 16  # bytes
LARGEST_HEADER = 1 << 20  # bytes; VGG16's has some 3,000
LONGEST_REASON = 300  # characters

Show: TypeAlias = Callable[[str, int, int], None]  # host, bytes that have come, bytes in all


class Unavailable(Exception):
    """A source does not work, for the reason given; another may."""

    def __init__(self, reason: str) -> None:
        super().__init__(brief(reason, LONGEST_REASON))


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

    path = path_of(source, folder)
    part = _Part(path.with_suffix(source.suffix + ".part"))
    with requests.Session() as session:  # proxies and certificates: as the environment says
        # requests reads the body of a redirect to its end, however long; `_follow` does not
        setattr(session, "get_redirect_target", lambda response: None)  # noqa: B010
        session.headers.update({"User-Agent": f"nst/{VERSION}", "Accept-Encoding": "identity"})
        wanted = _convolutions(session, source) if source.only_convolutions else _whole(source)
        part.begin_with(wanted.prefix)
        try:
            check_space(source, folder, wanted.size - part.size)
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


def path_of(source: Source, folder: Path) -> Path:
    """Return where the file of ``source`` is put, under a name that is its own."""
    name = f"{source.model}-{hashlib.sha256(source.url.encode()).hexdigest()[:8]}"
    return (folder / name).with_suffix(source.suffix)


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
        if last - first > source.size:
            raise ValueError(f"it spreads over {last - first} bytes, expected {source.size}")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
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
        if type(begin) is not int or type(end) is not int:
            raise ValueError(f"{names[name]} lies in bytes {begin!r} to {end!r}")
        if begin < 0 or end - begin != 4 * math.prod(shape):
            raise ValueError(f"{names[name]} lies in bytes {begin} to {end}, which do not fit it")


# --- Asking ------------------------------------------------------------------------------------


def _ask(session: "Session", url: str, headers: dict[str, str]) -> "Response":
    """Return the head of the answer, its body unread; raise Unavailable where none comes in time.

    The time of a socket begins anew with every byte, so a thread asks and this one looks at the
    clock.  A thread that got no answer ends with the program at the latest.
    """
    outcome: list[Response | Exception] = []

    def ask() -> None:
        try:
            outcome.append(_follow(session, url, headers))
        except Exception as error:  # handed to the thread that waits
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(ANSWER)
    if not outcome:
        raise Unavailable(f"gave no answer within {ANSWER:g} seconds")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def _follow(session: "Session", url: str, headers: dict[str, str]) -> "Response":
    """Ask for ``url`` and whatever it redirects to, never from https to anything else."""
    for _ in range(REDIRECTS + 1):
        response = session.get(
            url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False
        )
        if not response.is_redirect:
            return response
        response.close()
        before, url = url, urljoin(url, response.headers["Location"])
        if not url.startswith(("https://", "http://")):
            raise Unavailable(f"redirects to {url}")
        if before.startswith("https://") and url.startswith("http://"):
            raise Unavailable(f"redirects from https to {url}, where anyone could change it")
    raise Unavailable(f"redirects more than {REDIRECTS} times")


def _pieces(response: "Response") -> Iterator[bytes]:
    """Yield the body as it comes; raise Unavailable where it is too slow."""
    since, came = time.monotonic(), 0
    while piece := response.raw.read1(PIECE, decode_content=False):
        yield piece
        came += len(piece)
        elapsed = time.monotonic() - since
        if elapsed >= WINDOW:
            if came < SLOWEST * elapsed:
                raise Unavailable(f"sends less than {SLOWEST / 1000:g} kB a second")
            since, came = time.monotonic(), 0


def _range(session: "Session", url: str, first: int, size: int) -> bytes:
    """Return ``size`` bytes of a URL from byte ``first`` on: a few, held in memory."""
    asked = {"Range": f"bytes={first}-{first + size - 1}"}
    content = b""
    try:
        with _ask(session, url, asked) as response:
            if response.status_code == 200:
                raise Unavailable("gives no byte ranges, and most of the file is not wanted")
            _check_status(response)
            for piece in _pieces(response):
                content += piece
                if len(content) > size:
                    raise Unavailable(f"gives more than the {size} bytes that were asked for")
    except Unavailable:
        raise
    except Exception as error:
        raise Unavailable(_reason(error)) from None
    if len(content) != size:
        raise Unavailable(f"gave {len(content)} bytes where {size} were asked for")
    return content


def _fill(part: "_Part", wanted: _Wanted, session: "Session", show: Show) -> None:
    """Bring what is missing of ``part``, over several connections if one is cut."""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE * 2 ** (attempt - 1) if attempt else 0)
        try:
            failure = _stream(part, wanted, session, show)
        except (Unavailable, NstError):
            raise
        except Exception as error:  # requests lets through those of others, too
            failure = _reason(error)
            if attempt == 0:
                break  # not even asked with success; do not insist
        if not failure:
            return
    after = f", after {part.size / 1e6:.1f} of {wanted.size / 1e6:.1f} MB" if part.size else ""
    raise Unavailable(f"{failure}{after}")


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
    with _ask(session, wanted.url, headers) as response:
        _check_status(response)
        _check_answer(response, part, wanted)
        try:
            for piece in _pieces(response):
                part.append(piece)
                show(host, part.size, wanted.size)
                if part.size > wanted.size:
                    raise Unavailable(f"gives more than the {wanted.size} bytes expected")
        except (Unavailable, NstError):
            raise
        except Exception as error:
            return _reason(error)
    return "" if part.size == wanted.size else "the connection was cut"


def _check_status(response: "Response") -> None:
    if response.status_code not in (200, 206):
        raise Unavailable(f"HTTP {response.status_code} {response.reason}")


def _check_answer(response: "Response", part: "_Part", wanted: _Wanted) -> None:
    """Make sure that what follows belongs at the end of ``part``, which may begin anew for it."""
    tag = response.headers.get("ETag", "")
    # A weak one, W/"...", does not vouch for each byte.
    strong_tag = tag if re.fullmatch(r'"[!-~]{1,200}"', tag) else ""
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise Unavailable(f"sends {encoding!r} where the file as it is was asked for")
    if response.status_code == 200:  # the server knows no byte ranges, or the file has changed
        part.begin(strong_tag)
        if not wanted.is_whole:
            raise Unavailable("gives no byte ranges, or another file than before")
        size = response.headers.get("Content-Length", str(wanted.size))
        if size != str(wanted.size):
            raise Unavailable(f"has {size} bytes, expected {wanted.size}")
        return
    answer = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", answer)
    if not match or int(match[1]) != wanted.first + part.size:
        raise Unavailable(
            f"answered {answer!r} where byte {wanted.first + part.size} was asked for"
        )
    if wanted.is_whole and match[2] not in ("*", str(wanted.size)):
        raise Unavailable(f"has {match[2]} bytes, expected {wanted.size}")
    if part.size == 0:
        part.begin(strong_tag)


def _reason(error: Exception) -> str:
    """Return in a few words what went wrong on the way to the server."""
    import requests

    if isinstance(error, requests.exceptions.InvalidURL | UnicodeError):
        return f"leads to no address of the web ({_innermost(error)})"
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
        return self._tag.read_text("ascii", "ignore") if self._tag.exists() else ""

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
            self._tag.write_text(tag, "ascii")

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


def check_space(source: Source, folder: Path, missing: int) -> None:
    """Raise NstError where the ``missing`` bytes and the model made of them would not fit."""
    convolutions = ARCHITECTURES[source.model].parameters.values()
    needed = missing + 4 * sum(map(math.prod, convolutions))
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NstError(
            f"{source.model} needs {needed / 1e6:.0f} MB in {folder}, which has "
            f"{free / 1e6:.0f} MB; make room there, or let NST_MODELS name another folder."
        )


def _verify(part: _Part, source: Source) -> None:
    """Raise Unavailable, and remove the part, unless its checksum is the published one."""
    try:
        check_checksum(part.path, source)
    except Unavailable:
        part.remove()
        raise


def check_checksum(path: Path, source: Source) -> None:
    """Raise Unavailable unless the file at ``path`` has the published checksum."""
    found = source.checksum_of(path)
    if found != source.checksum:
        raise Unavailable(
            f"has {found.replace(':', ' ')}, expected {source.checksum.split(':')[1]}"
        )
