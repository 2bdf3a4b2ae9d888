"""Errors a user can act on.  Anything else is a bug and keeps its traceback.

What they say may hold a user's own words, such as the name of a file.  They are made readable
here, as the message is made: no place that raises an error need think of it.
"""

import re

LONG = 280  # characters of a message: in a longer one,
LONGEST_WORD = 90  # no word has more characters than these,
LONGEST = 400  # and no message more than these


class NstError(Exception):
    """Says what is wrong, what was found, and what to do about it, in one readable line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(readable(message))


class NstWarning(UserWarning):
    """Something the user should know, in one readable line, but which need not stop the run."""

    def __init__(self, message: object = "") -> None:
        super().__init__(readable(message))


def printable(text: object) -> str:
    r"""Return ``text`` as one line that no terminal obeys: ``\x1b`` for an escape character.

    Names and texts of files end up in messages, and a terminal would take a control character in
    them for a command.  Everything that is printed goes through here.
    """
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in str(text)
    )


def readable(text: object) -> str:
    """Return ``text`` as one printable line of at most LONGEST characters.

    Where it is long, its longest words lose their middle, such as a name of very many characters;
    and where that is not enough, the text does: what is wrong stands at its beginning, and what to
    do at its end.
    """
    said = printable(text)
    if len(said) > LONG:
        said = re.sub(r"\S+", lambda word: _without_middle(word[0], LONGEST_WORD), said)
    return _without_middle(said, LONGEST)


def _without_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    kept = most - 3
    return text[: kept - kept // 2] + "..." + text[-(kept // 2) :]


def brief(error: object, most: int = 200) -> str:
    """Return what a library, a file or a server says, in one line of at most ``most`` characters.

    Control characters become blanks, and so does every line break.
    """
    text = "".join(sign if sign.isprintable() else " " for sign in str(error))
    line = " ".join(text.split()).rstrip(".") or type(error).__name__
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."
