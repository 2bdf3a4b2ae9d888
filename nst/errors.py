"""Errors a user can act on.  Anything else is a bug and keeps its traceback."""


class NstError(Exception):
    """Says what is wrong, what was found, and what to do about it, in one line."""


class NstWarning(UserWarning):
    """Something the user should know, but which need not stop the run."""


def one_line(said: object, longest: int = 200) -> str:
    """Return what a library, a file or a server says in one line that a terminal can show."""
    text = "".join(c if c.isprintable() else " " for c in str(said))
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
