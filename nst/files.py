"""Files that appear whole or not at all; where none can be written, told early, or kept near."""

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from nst.errors import NstError, of_system, reason_of, warn

PathLike = str | os.PathLike[str]


def check_writable(path: PathLike) -> None:
    """Raise NstError if no file can be written at ``path``.

    Tries the folder by making a file there and removing it: permission bits alone do not tell
    of read-only disks, quotas and network shares.
    """
    target = resolved(path)
    try:
        refuse_what_is_no_file(path)
        trial = _temporary(target)
        trial.open("xb").close()
        trial.unlink()
        if target.exists() and not os.access(target, os.W_OK):
            raise NstError(
                f"cannot write {path}: the file there is write-protected; choose another name"
            )
    except OSError as error:
        raise unwritable(path, error) from error


def refuse_what_is_no_file(path: PathLike) -> None:
    """Raise NstError if ``path`` is there and no ordinary file: one would take its place.

    A device or a pipe is not opened.  Neither is a link that leads back to itself.
    """
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if stat.S_ISDIR(mode):
        raise NstError(f"cannot write {path}: it is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        kind = "pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
        raise NstError(f"cannot write {path}: it is a {kind}; name a file")


def make_folder(folder: Path, advice: str = "choose another") -> None:
    """Make ``folder`` where it is missing; raise NstError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = reason_of(error)
        raise NstError(f"cannot make the folder {folder}: {reason}; {advice}") from error


def check_folder(folder: Path) -> None:
    """Raise NstError if ``folder`` is not there and cannot be made; make nothing."""
    above = next((one for one in (folder, *folder.parents) if os.path.lexists(one)), Path())
    if not above.is_dir():
        raise NstError(
            f"cannot make the folder {folder}: {above} is a file, or leads to nothing; choose "
            "another"
        )
    check_writable(above / "file")


@contextmanager
def replace_atomically(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends well.

    It is written under a temporary name in the same folder, flushed to the disk and renamed, so
    that at any moment ``path`` is the old file or the new one.  When the block fails, by Ctrl-C
    too, the temporary file is removed and an old ``path`` is left as it was.  A symbolic link
    stays a link: what it points to is replaced.  The umask decides on permissions.

    Raises NstError for what the disk refuses, and where ``path`` is a device or a pipe.
    """
    target = resolved(path)
    temporary = _temporary(target)
    try:
        refuse_what_is_no_file(path)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # it is gone when all went well
            temporary.unlink()


class Beside:
    """What is written beside a picture.  What cannot be is told once, and the run goes on."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Let the block write ``what``; warn with NstWarning where the machine refuses."""
        try:
            yield
        except (NstError, OSError, MemoryError) as error:
            if what not in self._told:
                said = of_system(error) if isinstance(error, OSError) else str(error)
                reason = said or "there is not enough memory"
                warn(f"no {what} was saved: {reason}")
            self._told.add(what)


def places_near(path: Path) -> Iterator[Path]:
    """Yield ``path``, which is absolute, and then where else a file of its name could be kept.

    That is the nearest folder above it that there is, the current one, the user's own and that of
    temporary files, under a name that no file there has.
    """
    yield path
    above = (folder for folder in path.parents if folder != path.parent and folder.is_dir())
    near = [next(above, None), *map(_found, (Path.cwd, Path.home, tempfile.gettempdir))]
    for folder in dict.fromkeys(Path(folder) for folder in near if folder is not None):
        names = (path.name, *(f"{path.stem}-{n}{path.suffix}" for n in range(2, 1000)))
        free = (folder / name for name in names if not os.path.lexists(folder / name))
        yield from islice(free, 1)


def _found(folder: Callable[[], object]) -> str | None:
    try:
        return str(folder())
    except (OSError, RuntimeError):  # it was removed, or nobody knows it
        return None


def resolved(path: PathLike) -> Path:
    """Return where a file of the name ``path`` is, behind all links; a circle of them stays."""
    try:
        return Path(os.path.realpath(path))
    except OSError:  # the current folder was removed
        return Path(path)


def locked(path: Path, refusal: str) -> Any:
    """Return a lock on the file ``path`` with a method ``release``; None where there can be none.

    Raises NstError that says ``refusal`` where another has it.  The system forgets a lock when
    its process dies.
    """
    from filelock import FileLock, Timeout

    held = FileLock(path)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise NstError(refusal) from None
    except (OSError, NotImplementedError):  # no file can be written, or no system has locks
        return None
    return held


def named(path: Path) -> Path:
    """Return ``path``, by its own name where it is "." and has none.

    Raises NstError for the root, which has no name at all.
    """
    path = path if path.name else resolved(path)
    if not path.name:
        raise NstError(f"{path} has no name to put another beside it; give a folder below it.")
    return path


def current_folder() -> Path:
    """Return the current folder; where that was removed, the root: no relative path is left."""
    return Path(_found(Path.cwd) or os.path.abspath(os.sep))


def _temporary(target: Path) -> Path:
    return target.with_name(f".nst-{secrets.token_hex(8)}.tmp")  # short: names have a limit


def unwritable(path: PathLike, error: OSError) -> NstError:
    """Return the one line that explains why ``path`` could not be written."""
    folder = resolved(path).parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, advice = "the disk is full", "free some space or choose another disk"
    elif not os.path.isdir(folder):
        named = Path(path).parent == folder
        reason = "its folder is not there" if named else f"there is no folder {folder}"
        advice = "make it or choose another"
    else:
        reason, advice = reason_of(error), "choose another name or folder"
    return NstError(f"cannot write {path}: {reason}; {advice}")
