"""What comes in from outside: each file is read once, into bytes that are hashed and decoded.

A pipe can be read only once, and a file may change between two readings: whatever is asked of an
input later is asked of these bytes.
"""

import hashlib
import os
import re
import stat
import sys
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from nst import memory
from nst.devices import CPU
from nst.errors import NstError, reason_of
from nst.files import PathLike

if sys.platform == "win32":
    from pathlib import WindowsPath as SystemPath
else:
    from pathlib import PosixPath as SystemPath

STDIN = "-"  # as a name: standard input
LARGEST = 2**30  # bytes: the largest picture that is opened, uncompressed, in 16 bits
SMALL = 64_000_000  # bytes that are read whatever the budget; see `decoding.SMALL`
CHUNK = 2**20  # bytes of a pipe, which does not say how much will come


@dataclass(frozen=True)
class Input:
    """A file as it was read."""

    name: str  # as messages call it
    data: bytes = field(repr=False)
    sha256: str  # of the data, in hexadecimal
    memory: str = "auto"  # what reading may take; see `Settings.memory`
    # What it holds, where that was given and no file: (3, H, W) in [0, 1], and the opacity (H, W)
    pixels: tuple[np.ndarray, np.ndarray | None] | None = field(default=None, repr=False)
    most_pixels: int | None = None  # the most that it may have; None: as memory allows


class Held(SystemPath):
    """The path of a picture that is in memory: its name, where there is no file; see held.py."""

    given: Input | None = None  # what reading it gives; None of a path that was made of this one


def read(path: PathLike, budget: str = "auto") -> Input:
    """Return the file at ``path``, a pipe, or standard input for "-".

    ``budget`` is the memory that the process may take, as `Settings.memory` has it.

    Raises NstError for what cannot be read, and for what is too large for a picture or for the
    memory there is; an endless pipe is left where it is too large.
    """
    if isinstance(path, Held) and path.given is not None:
        return replace(path.given, memory=budget)
    name = _said(path)
    try:
        _refuse_what_is_no_file(path, name)
        with _opened(path) as file:
            data = _all_of(file, name, budget)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from error
    return Input(name, data, hashlib.sha256(data).hexdigest(), budget)


def check(path: PathLike, what: str) -> None:
    """Raise NstError if there is nothing to read at ``path``, without opening it.

    ``what`` says what it would be: "style mask".
    """
    if isinstance(path, Held):
        return
    name = _said(path)
    try:
        _refuse_what_is_no_file(path, name)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        refuse_address(path, f"the {what} image")
        raise NstError(f"{what} image not found: {path}. Check the path.") from None
    except OSError as error:
        raise _unreadable(name, error) from error


def refuse_address(path: PathLike, what: str) -> None:
    """Raise NstError if ``path`` is an address of the web, which no file has."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # a drive has one letter
        address = re.sub(":/+", "://", str(path), count=1)  # a path has lost the second stroke
        raise NstError(
            f"{what} is {address}, an address of the web; nst reads files: download it, and name "
            "the file."
        )


def exists(path: PathLike) -> bool:
    """Return whether there is something of this name, even if it cannot be read."""
    try:
        os.stat(path)
    except (OSError, ValueError):  # the latter for a name with a zero byte
        return str(path) == STDIN
    return True


def _said(path: PathLike) -> str:
    return "standard input" if str(path) == STDIN else str(path)


def _refuse_what_is_no_file(path: PathLike, name: str) -> None:
    if str(path) == STDIN:
        return
    if str(path) in ("", "."):  # Path("") is "."
        raise NstError("cannot read an image without a name, or the folder '.'; name a file")
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise NstError(f"cannot read {name}: it is a folder; name an image in it")
    if stat.S_ISSOCK(mode):
        raise NstError(f"cannot read {name}: it is a socket; name an image file")


def _opened(path: PathLike) -> BinaryIO:
    # standard input stays open for whoever else has it
    return open(0, "rb", closefd=False) if str(path) == STDIN else open(path, "rb")


def _all_of(file: BinaryIO, name: str, budget: str) -> bytes:
    """Return what is left in ``file``, to its end."""
    if file.isatty():
        raise NstError(f"cannot read {name}: it is a terminal; pipe an image into it")
    there = os.fstat(file.fileno())
    if (stat.S_ISCHR(there.st_mode) or stat.S_ISBLK(there.st_mode)) and file.read(1):
        raise NstError(f"cannot read {name}: it is a device, not a picture; name an image file")
    allowed = max(SMALL, memory.room(CPU, budget) / 2)  # a pipe's parts are joined: held twice
    most = int(min(LARGEST, memory.SHARE * memory.free(CPU), allowed))
    length = there.st_size  # 0 of a pipe
    parts = [file.read(length)] if length <= most else []
    while length <= most and (part := file.read(CHUNK)):
        parts.append(part)
        length = sum(map(len, parts))
    if length > most:
        raise NstError(
            f"cannot use {name}: it is larger than {memory.format_bytes(most)}, the most that "
            "is read of an image here; make it smaller"
        )
    return b"".join(filter(None, parts))


def _unreadable(name: str, error: Exception) -> NstError:
    """Return the one line that explains why a file could not be read."""
    if isinstance(error, FileNotFoundError):
        return NstError(f"cannot read {name}: there is no such file; check the name")
    if isinstance(error, IsADirectoryError) or os.path.isdir(name):  # Windows: PermissionError
        return NstError(f"cannot read {name}: it is a folder; name an image in it")
    reason = reason_of(error)
    return NstError(f"cannot read {name}: {reason}; check the file and its permissions")
