"""Files that appear whole or not at all, and where none can be written, told early."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from nst.errors import NstError

PathLike = str | os.PathLike[str]


def check_writable(path: PathLike) -> None:
    """Raise NstError if no file can be written at ``path``.

    Tries the folder by making a file there and removing it: permission bits alone do not tell
    of read-only disks, quotas and network shares.
    """
    target = _target(path)
    try:
        if target.is_dir():
            raise NstError(f"cannot write {path}: it is a folder; name a file in it")
        trial = _temporary(target)
        trial.open("xb").close()
        trial.unlink()
        if target.exists() and not os.access(target, os.W_OK):
            raise NstError(
                f"cannot write {path}: the file there is write-protected; choose another name"
            )
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def replace_atomically(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends well.

    It is written under a temporary name in the same folder, flushed to the disk and renamed, so
    that at any moment ``path`` is the old file or the new one.  When the block fails, by Ctrl-C
    too, the temporary file is removed and an old ``path`` is left as it was.  A symbolic link
    stays a link: what it points to is replaced.  The umask decides on permissions.

    Raises NstError for what the disk refuses.
    """
    target = _target(path)
    temporary = _temporary(target)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # it is gone when all went well
            temporary.unlink()


def _target(path: PathLike) -> Path:
    return Path(os.path.realpath(path))  # through links, so that they stay links


def _temporary(target: Path) -> Path:
    return target.with_name(f".nst-{secrets.token_hex(8)}.tmp")  # short: names have a limit


def _unwritable(path: PathLike, error: OSError) -> NstError:
    """Return the one line that explains why ``path`` could not be written."""
    folder = _target(path).parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, advice = "the disk is full", "free some space or choose another disk"
    elif not os.path.isdir(folder):
        reason, advice = f"there is no folder {folder}", "make it or choose another"
    else:
        reason, advice = (error.strerror or str(error)).lower(), "choose another name or folder"
    return NstError(f"cannot write {path}: {reason}; {advice}")
