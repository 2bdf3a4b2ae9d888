"""Where the files are that a picture or a checkpoint names.

Their text says where they were, which may be another folder or another machine's.  So each is
looked for where the text says, then beside the picture or the checkpoint, and among the pictures
that come along with nst: by the path in the text, then by the file's name alone.  The SHA-256 in
the text tells the right one from another of the same name.
"""

import hashlib
import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from nst import demo, files
from nst.pictures import reading


@dataclass(frozen=True)
class Lookup:
    """Finds the files that one text names."""

    text: str = "the text of the settings"  # as messages call it
    folder: Path | None = None  # where its relative paths begin; None: the current folder
    beside: tuple[Path, ...] = ()  # folders to look in as well
    sha256: Mapping[str, str] = field(default_factory=dict)  # that the text says, by its paths
    found: dict[str, Path] = field(default_factory=dict)  # where each path of the text is now

    def find(self, path: Path) -> Path:
        """Return where the file is that the text calls ``path``; where it says, if nowhere."""
        if str(path) == reading.STDIN:
            self.found[str(path)] = path
            return path
        first = self._told(path)
        folders = [*self.beside, *demo.folders()]
        others = [folder / part for folder in folders for part in (path, path.name)]
        there = [one for one in dict.fromkeys((first, *others)) if os.path.isfile(one)]
        if os.path.exists(first) and first not in there:
            there = [first]  # a pipe, which is not to be looked into
        expected = self.sha256.get(str(path))
        if len(there) > 1 and expected is not None:
            there.sort(key=lambda one: sha256(one) != expected)  # the rest keeps its order
        self.found[str(path)] = there[0] if there else first
        return self.found[str(path)]

    def lost(self) -> list[str]:
        """Return which files of the text that were looked for are nowhere."""
        return [name for name, path in self.found.items() if not reading.exists(path)]

    def place(self, path: Path) -> Path:
        """Return where to write what the text calls ``path``: there, or beside if that is gone."""
        first = self._told(path)
        gone = self.beside and not os.path.isdir(first.parent)
        return self.beside[0] / path.name if gone else first

    def _told(self, path: Path) -> Path:
        here = self.folder is None or self.folder == files.current_folder()
        return path if here else self.folder / path  # type: ignore[operator]

    def changed(self, read: Mapping[str, str]) -> list[str]:
        """Return which files of the text are not what they were, given those that were read."""
        now = {name: read.get(str(path)) for name, path in self.found.items()}
        return [n for n, digest in now.items() if digest and self.sha256.get(n, digest) != digest]


def portable(paths: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each of the ``paths`` that says nothing of the folders they are in.

    A relative path that leads downwards stays; of any other only the last part, and as many more
    as tell it from the rest, or a number where they cannot.
    """
    named: dict[Path, str] = {}
    for path in dict.fromkeys(paths):
        inner = PurePath(path).parts[1 if path.is_absolute() else 0 :]
        parts = [part for part in inner if part != ".."]
        down = len(parts) == len(inner) and not path.is_absolute()
        lengths = [len(parts)] if down else range(1, len(parts) + 1)
        names = ["/".join(parts[-count:]) for count in lengths]
        numbered = (f"{number}/{path.name}" for number in itertools.count(2))
        tried = itertools.chain(names, numbered)
        named[path] = next(name for name in tried if name not in named.values())
    return named


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
