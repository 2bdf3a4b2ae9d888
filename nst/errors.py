"""Errors a user can act on.  Anything else is a bug and keeps its traceback."""


class NstError(Exception):
    """Says what is wrong, what was found, and what to do about it, in one line."""


class NstWarning(UserWarning):
    """Something the user should know, but which need not stop the run."""
