"""What a case is: files in a folder, and what is asked of ``nst`` there."""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nst.settings import Painting, Settings

TINY = (
    "--model",
    "tiny.onnx",
    "--device",
    "cpu",
    "--memory",
    "1GB",
    "--quiet",
)  # of every command line
SHORT = ("--size", "32", "--steps", "1", "--scales", "1")


@dataclass(frozen=True)
class Case:
    """One attempt.  Whatever is in ``files``, it must end well or be refused in one line."""

    what: str  # was done to it, for people
    files: Mapping[str, bytes]  # name: what is in it, beside those of `Kind.standing`
    words: tuple[str, ...] = ()  # of a command line; or, without any,
    call: Mapping[str, Any] | None = None  # settings that are prepared as a run
    may_change: tuple[str, ...] = ()  # files, or folders, that belong to the run itself

    def settings(self) -> Settings:
        """Return the settings that ``call`` means, anywhere in which "nst.Painting" may stand."""
        said = dict(self.call or {})
        style = said.get("style")
        if isinstance(style, dict) and style.get("painting"):
            said["style"] = Painting(**{k: v for k, v in style.items() if k != "painting"})
        return Settings(**said)


@dataclass(frozen=True)
class Kind:
    """A kind of cases: how one is drawn, and the sound files that each finds in its folder."""

    draw: Callable[[random.Random], Case]
    standing: Callable[[], Mapping[str, bytes]]
    share: float = field(default=1.0)  # of the count that is asked for


@contextmanager
def inside(files: Mapping[str, bytes]) -> Iterator[Path]:
    """Work in a folder of its own that holds ``files``, and go back."""
    here = Path.cwd()
    with TemporaryDirectory() as folder:
        write(Path(folder), files)
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(here)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write ``files`` into ``folder``, where they are not there."""
    for name, data in files.items():
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
