"""Errors a user can act on.  Anything else is a bug and keeps its traceback."""


class NstError(Exception):
    """Says what is wrong, what was found, and what to do about it, in one line."""


class NstWarning(UserWarning):
    """Something the user should know, but which need not stop the run."""


def printable(text: object) -> str:
    r"""Return ``text`` as one line that no terminal obeys: ``\x1b`` for an escape character.

    Names and texts of files end up in messages, and a terminal would take a control character in
    them for a command.  Everything that is printed goes through here.
    """
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode()
        for sign in str(text)
    )


def brief(error: object, most: int = 200) -> str:
    """Return what a library, a file or a server says, in one line of at most ``most`` characters.

    Control characters become blanks, and so does every line break.
    """
    text = "".join(sign if sign.isprintable() else " " for sign in str(error))
    line = " ".join(text.split()).rstrip(".") or type(error).__name__
    return line if len(line) <= most else line[: most - 3].rstrip() + "..."
