"""One studio alone in its folder: two would give their pictures the same names."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nst import files
from nst.errors import NstError

LOCK = ".lock"  # in the folder; the system holds it for as long as the studio lives


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other studios out of ``folder``; it is made, and removed where nothing came into it.

    Raises NstError where another is at work there.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    files.make_folder(folder)
    held = _locked(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            (folder / LOCK).unlink()
        for made in missing:
            with suppress(OSError):
                made.rmdir()
        if held is not None:
            held.release()


def _locked(folder: Path) -> Any:
    """Return a lock on ``folder``; None on a system without locks."""
    from filelock import FileLock, Timeout

    held = FileLock(folder / LOCK)
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise NstError(
            f"another studio is at work in the folder {folder}: paint in its page, end it, or "
            "give this one another --output."
        ) from None
    except (OSError, NotImplementedError):
        return None
    return held
