"""One studio alone in its folder: two would give their pictures the same names."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nst import files

LOCK = ".lock"  # in the folder; the system holds it for as long as the studio lives


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other studios out of ``folder``; it is made, and removed where nothing came into it.

    Raises NstError where another is at work there.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    files.make_folder(folder)
    held = files.locked(
        folder / LOCK,
        f"another studio is at work in the folder {folder}: paint in its page, end it, or "
        "give this one another --output.",
    )
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
