"""Errors a user can act on.  Anything else is a bug and keeps its traceback.

What they say may hold a user's own words, such as the name of a file.  They are made readable
here, as the message is made: no place that raises an error need think of it.  Nor need it think of
who listens: it writes `--style-weight is 3`, and where no command line runs that becomes
`style_weight=3`, or in a page the label of its field.
"""

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

LONG = 280  # characters of a message: in a longer one,
LONGEST_WORD = 90  # no word has more characters than these,
LONGEST = 400  # and no message more than these


# What Python calls otherwise than the command line does.
PYTHON_NAMES = {
    "style-mask": "mask",
    "content-mask": "region",
    "tap-weights": "content_taps and style_taps",
    "format": "kind",
}


def in_python(message: str) -> str:
    """Return a ``message`` that names options with the names that they have in Python.

    What stands in backticks is a command, and stays.

    >>> in_python("--style-weight is -1; give a number. Use --device cpu, or a larger --size.")
    "style_weight=-1; give a number. Use device='cpu', or a larger size."
    """
    return _outside_commands(message, lambda part: _OPTION.sub(_name, part))


def in_labels(message: str, labels: Mapping[str, str]) -> str:
    """Return a ``message`` that names options with their ``labels`` in a page, where it has one.

    >>> in_labels("--size is 3; give 16 or more, or `nst demo --size 64`.", {"size": "Size"})
    '“Size” is 3; give 16 or more, or `nst demo --size 64`.'
    """

    def label(found: re.Match[str]) -> str:
        return f"“{labels[found[1]]}”" if found[1] in labels else found[0]

    return _outside_commands(message, lambda part: re.sub(r"(?<!\S)--([a-z-]+)\b", label, part))


def _outside_commands(message: str, change: Callable[[str], str]) -> str:
    parts = message.split("`")
    return "`".join(part if k % 2 else change(part) for k, part in enumerate(parts))


# An option, and behind it " is" or a value: a number, or a word that only a value can be
_OPTION = re.compile(
    r"(?<![\w/.'\"-])--([a-z][a-z-]+)(?![\w/.-]*[\w/])"
    r"( is (?!empty|given)(?=\S)| (?=\d)"
    r"| (?P<word>(?:auto|cpu|cuda|caffe|torchvision|vgg\d+(?:-slim)?)\b))?"
)


def _name(found: re.Match[str]) -> str:
    name = PYTHON_NAMES.get(found[1], found[1].replace("-", "_"))
    if found["word"]:
        return f"{name}={found['word']!r}"
    return name + ("=" if found[2] else "")


_named = ContextVar[Callable[[str], str]]("_named", default=in_python)


@contextmanager
def naming(named: Callable[[str], str]) -> Iterator[None]:
    """Let messages that are made in the block name options as ``named`` makes them."""
    token = _named.set(named)
    try:
        yield
    finally:
        _named.reset(token)


def naming_options() -> AbstractContextManager[None]:
    """Let messages that are made in the block name options, `--size 3`; elsewhere `size=3`."""
    return naming(str)


class NstError(Exception):
    """Says what is wrong, what was found, and what to do about it, in one readable line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_said(message))


class NstWarning(UserWarning):
    """Something the user should know, in one readable line, but which need not stop the run."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_said(message))


def warn(message: object) -> None:
    """Warn of what a user can mend, in the name of the first caller who is none of ours."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _PACKAGE.match(frame.f_globals.get("__name__", "")):
        frame, level = frame.f_back, level + 1
    warnings.warn(str(message), NstWarning, stacklevel=level)


_PACKAGE = re.compile(rf"{__package__}(\.|$)")


def meant(words: Iterable[str], known: Iterable[str]) -> str:
    """Return "did you mean a and b?", of the ``known`` that are nearest to ``words``; or "".

    >>> meant(["neighbors", "xyzzy"], ["nst", "neighbours"])
    'did you mean neighbours?'
    """
    from difflib import get_close_matches  # few need it

    choices = list(known)
    near = [one for word in words for one in get_close_matches(word, choices, 1)]
    return f"did you mean {' and '.join(near[:3])}?" if near else ""


def _said(message: object) -> str:
    return readable(_named.get()(str(message)))


def printable(text: object) -> str:
    r"""Return ``text`` as one line that no terminal obeys: ``\x1b`` for an escape character.

    Names and texts of files end up in messages, and a terminal would take a control character in
    them for a command.  Everything that is printed goes through here.
    """
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in str(text)
    )


def readable(text: object, longest_word: int = LONGEST_WORD) -> str:
    """Return ``text`` as one printable line of at most LONGEST characters.

    Where it is long, its longest words lose their middle, such as a name of very many characters;
    and where that is not enough, the text does: what is wrong stands at its beginning, and what to
    do at its end.
    """
    said = printable(text)
    if len(said) > LONG:
        said = re.sub(r"\S+", lambda word: _without_middle(word[0], longest_word), said)
    return _without_middle(said, LONGEST)


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    kept = most - 3
    return text[: kept - kept // 2] + "..." + text[-(kept // 2) :]


def reason_of(error: BaseException) -> str:
    """Return why the machine refuses, without its number, to be said in the midst of a line.

    >>> reason_of(OSError(28, "No space left on device"))
    'no space left on device'
    """
    return str(getattr(error, "strerror", None) or error).lower()


def of_system(error: OSError) -> str:
    """Return what the machine refuses, and of which file, in one readable line.

    >>> of_system(OSError(5, "Input/output error", "a.png"))
    "Input/output error: 'a.png'"
    """
    named = "" if error.filename is None else f": {os.fsdecode(error.filename)!r}"
    return readable(f"{error.strerror or error}{named}")


def with_notes(error: BaseException, said: object = None) -> str:
    """Return what an error says, or ``said``, and its notes behind it: each is a sentence.

    >>> error = OSError("the disk is full; free some space")
    >>> error.add_note("The picture after step 2 is in out.png.")
    >>> with_notes(error)
    'the disk is full; free some space. The picture after step 2 is in out.png.'
    """
    notes: list[str] = getattr(error, "__notes__", [])
    *first, last = [one for one in (str(error if said is None else said), *notes) if one] or [""]
    return " ".join(
        [*(one if one.endswith((".", "?", "!")) else f"{one}." for one in first), last]
    )


def brief(error: object, most: int = 200) -> str:
    """Return what a library, a file or a server says, in one line of at most ``most`` characters.

    Control characters become blanks, and so does every line break.
    """
    text = "".join(sign if sign.isprintable() else " " for sign in str(error))
    line = " ".join(text.split()).rstrip(".") or type(error).__name__
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."
