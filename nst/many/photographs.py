"""Which pictures are meant by files, folders and globs, and a short name for each of them."""

import glob
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nst import files
from nst.errors import NstError, brief, reason_of
from nst.pictures import reading
from nst.run import marks
from nst.values import shown

# What the names of pictures end in; a file that is named itself may be called anything.
ENDINGS = ".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .gif .avif .heic .heif".split()
LONGEST_NAME = 100  # bytes of a photograph's or a style's name in that of a result


@dataclass(frozen=True)
class Photograph:
    """A picture to paint, and in which folder below that of the results its own will be."""

    path: Path
    below: Path = Path()


@dataclass(frozen=True)
class Found:
    """The pictures that were found, and what could not be looked into."""

    photographs: list[Photograph]
    unreadable: list[tuple[Path, NstError]]  # folders, and why


def find(words: Sequence[str | os.PathLike[str]], results: Path, recursive: bool) -> Found:
    """Return the photographs that the ``words`` mean, in order, each once.

    A word is a file, a folder, or a glob for a shell that expands none.  Of a folder those files
    are taken whose names end as a picture's does, and which are not hidden; with ``recursive``
    those in its folders too; pipes and devices are left, and so is a picture in the folder of
    ``results`` that nst wrote.

    Raises NstError where a word means nothing at all, before anything is painted.
    """
    found: dict[Path, Photograph] = {}
    unreadable: list[tuple[Path, NstError]] = []
    for word in words:
        meant = list(_meant(word, recursive, unreadable))
        for one in meant:
            if not is_result(one.path, results):
                found.setdefault(files.resolved(one.path), one)
    if not found and not unreadable:
        raise NstError(
            "there is nothing to paint: all that was named are results of nst in "
            f"{results}; name photographs."
        )
    return Found(list(found.values()), unreadable)


def is_result(path: Path, results: Path) -> bool:
    """Return whether ``path`` is a picture in the folder of ``results`` that nst wrote there."""
    return files.resolved(results) in files.resolved(path).parents and marks.is_ours(path)


def _meant(
    word: str | os.PathLike[str], recursive: bool, unreadable: list[tuple[Path, NstError]]
) -> Iterator[Photograph]:
    if not isinstance(word, str | os.PathLike):
        raise NstError(
            f"a batch reads files, and this is {shown(word)}; give paths, folders or globs, or "
            "paint what is in memory with nst.stylize."
        )
    text = os.fspath(word)
    if text == reading.STDIN:
        raise NstError("a batch reads files, not standard input; use `nst stylize -` for one.")
    if os.path.isdir(text):
        yield from _in_folder(Path(text), recursive, unreadable)
        return
    if reading.exists(text) or not glob.has_magic(text):
        reading.check(text, "content")
        yield Photograph(Path(text))
        return
    named = sorted(glob.glob(text, recursive=recursive))
    if not named:
        raise NstError(f"no file is called {brief(text)}; check the pattern.")
    for name in named:
        if os.path.isdir(name):
            yield from _in_folder(Path(name), recursive, unreadable)
        elif _may_be_read(name):
            yield Photograph(Path(name))


def _in_folder(
    folder: Path, recursive: bool, unreadable: list[tuple[Path, NstError]]
) -> Iterator[Photograph]:
    """Yield the pictures in ``folder``; raise NstError if it has none, or cannot be listed."""
    count, before = 0, len(unreadable)

    def keep(error: OSError) -> None:
        reason = reason_of(error)
        name = Path(error.filename or folder)
        failure = NstError(f"cannot look into {name}: {reason}; check its permissions")
        if name == folder:
            raise failure
        unreadable.append((name, failure))

    for here, folders, names in os.walk(folder, onerror=keep):
        folders[:] = sorted(one for one in folders if recursive and not one.startswith("."))
        below = Path(here).relative_to(folder)
        for name in sorted(names):
            path = Path(here, name)
            if path.suffix.lower() in ENDINGS and name[0] != "." and _may_be_read(path):
                count += 1
                yield Photograph(path, below)
    if not count and len(unreadable) == before:
        more = "" if recursive else "; --recursive looks into its folders too"
        raise NstError(f"there is no picture in the folder {folder}{more}.")


def _may_be_read(path: files.PathLike) -> bool:
    """Return whether what was found is a file; a link to nothing counts, as a failure to tell of.

    A pipe, or a device, would have no end: it is read where it is named.
    """
    return os.path.isfile(path) or not os.path.exists(path)


def names_of(paths: Iterable[Path]) -> dict[Path, str]:
    """Return a name for each of the ``paths``, no two alike, whatever the case of letters.

    It is the file's without its ending; where that is another's too, with it; where that is, too,
    with the name of its folder before it, and at last with a digest of where it is, or, of one
    file that is named in two ways, of how it is named.
    """
    forms: list[Callable[[Path], str]] = [
        lambda path: path.stem,
        lambda path: path.name,
        lambda path: f"{files.resolved(path).parent.name}-{path.name}",
        lambda path: f"{_digest(os.fspath(files.resolved(path)))}-{path.name}",
        lambda path: f"{_digest(os.fspath(path))}-{path.name}",
    ]
    named: dict[Path, str] = {}
    left = list(dict.fromkeys(paths))
    for form in forms:
        alike = defaultdict(list)
        for path in left:
            alike[_fitting(form(path)).casefold()].append(path)
        taken = {name.casefold() for name in named.values()}
        single = [p for name, p in alike.items() if len(p) == 1 and name not in taken]
        named |= {path: _fitting(form(path)) for (path,) in single}
        left = [path for path in left if path not in named]
    return named


def _fitting(name: str) -> str:
    """Return ``name``, or its beginning and a digest where it is too long for part of a name."""
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    beginning = os.fsencode(name)[: LONGEST_NAME - 12].decode(errors="ignore")
    return f"{beginning}-{_digest(name)}"


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
