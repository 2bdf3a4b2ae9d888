"""Where a line of our own source is: its file and its number, found by what stands there."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]  # of the checkout, or where the package is installed


@dataclass(frozen=True)
class Source:
    """A line of source, and the function that it is in."""

    path: str  # from the checkout: "nst/kernels/numpy_kernels.py"
    line: int  # of the line
    text: str
    first: int  # of the function
    code: tuple[str, ...]  # the function's lines
    name: str  # of the function

    @property
    def place(self) -> str:
        """What a debugger calls it: file and line."""
        return f"{self.path}:{self.line}"

    @property
    def function(self) -> str:
        """Where the function begins: one anchor of the page for all of its lines."""
        return f"{self.path}:{self.first}"


def find(function: Callable[..., Any], text: str) -> Source:
    """Return the line of ``function`` that has ``text``; ValueError if there is none."""
    lines, first = inspect.getsourcelines(function)
    path = Path(inspect.getsourcefile(function) or "").resolve().relative_to(ROOT.resolve())
    for number, line in enumerate(lines):
        if text in line:
            code = tuple(each.rstrip("\n") for each in lines)
            place, name = path.as_posix(), function.__qualname__
            return Source(place, first + number, line.strip(), first, code, name)
    raise ValueError(f"{function.__qualname__} in {path} has no line {text!r}")
