"""What callers give for a setting: numbers of any library, paths; and how to show it."""

import os
from numbers import Integral, Real
from pathlib import Path

from nst.errors import NstError, brief

LONGEST_PATH = 4096  # characters; no system takes longer ones


def is_number(value: object) -> bool:
    """Return whether ``value`` is a real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    """Return whether ``value`` is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_functions(**given: object) -> None:
    """Raise TypeError where one that is to be called, such as ``on_progress``, cannot be."""
    for name, function in given.items():
        if function is not None and not callable(function):
            raise TypeError(f"{name} is {shown(function)}; give a function, or None")


def path_of(what: str, value: object) -> Path:
    """Return the path that ``value`` is; NstError calls it ``what`` if it is none."""
    path = as_path(value)
    if path is None:
        raise NstError(f"{what} is {shown(value)}; give the path of a file.")
    return path


def as_path(value: object) -> Path | None:
    """Return the path that ``value`` is; None if no file can have it."""
    if isinstance(value, str | os.PathLike):
        text = os.fspath(value)
        if isinstance(text, str) and 0 < len(text) <= LONGEST_PATH and _has_a_name(text):
            return value if isinstance(value, Path) else Path(text)
    return None


def _has_a_name(text: str) -> bool:
    """Return whether the system could have a file of this name."""
    try:
        os.fsencode(text)
    except UnicodeError:  # half a character
        return False
    return "\0" not in text


def shown(value: object) -> str:
    """Return a value as a message shows it: short, whatever it is."""
    try:
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        return brief(repr(text), 60)
    except Exception:  # of the value's own class, or a number of too many digits
        return f"a {type(value).__name__}"


def counted(count: int, thing: str) -> str:
    """Return how many of a thing there are.

    >>> counted(1, "frame"), counted(2, "frame")
    ('1 frame', '2 frames')
    """
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it: 0.4 s, 12 s, 7 min, 3.5 h."""
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
