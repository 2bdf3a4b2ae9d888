"""Matplotlib without what it would write, read and print on its own account."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress


@contextmanager
def matplotlib_apart() -> Iterator[None]:
    """Let matplotlib, should it be imported, leave nothing in the user's folders, nor read there.

    It keeps a list of fonts, and complains in several lines where it cannot; and it starts with
    no MPLBACKEND that it does not know, though nothing here is shown in a window.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with ExitStack() as stack:
        if "matplotlib" not in sys.modules and "MPLBACKEND" in os.environ:
            stack.callback(os.environ.update, MPLBACKEND=os.environ.pop("MPLBACKEND"))
        if "matplotlib" not in sys.modules and "MPLCONFIGDIR" not in os.environ:
            with suppress(OSError):  # there is no place for temporary files
                folder = stack.enter_context(
                    tempfile.TemporaryDirectory(prefix="nst-", ignore_cleanup_errors=True)
                )
                os.environ["MPLCONFIGDIR"] = folder
                stack.callback(os.environ.pop, "MPLCONFIGDIR")
        yield
