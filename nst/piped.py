"""A picture on standard output: ``-o -``."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nst.errors import NstError, reason_of

STDOUT = "-"  # as the name of an output


@contextmanager
def standard_output(plot: bool = False, save_every: int = 0, **_: Any) -> Iterator[Path]:
    """Yield where to save a PNG that goes to standard output when the block ends well.

    Otherwise it stays where it is: what was painted is not lost, and no reader takes half of a
    picture, or one that was stopped, for a whole one.
    """
    if plot or save_every:
        raise NstError("--plot and --save-every write beside the output; -o - has no such place.")
    if getattr(sys.stdout, "failure", None) is not None or sys.stdout.isatty():
        raise NstError(
            "-o - writes a picture to standard output, which is a terminal or closed; redirect it "
            "to a file or a program, or name a file."
        )
    folder = Path(tempfile.mkdtemp(prefix="nst-"))
    path = folder / "out.png"
    try:
        yield path
        try:
            sys.stdout.buffer.write(path.read_bytes())
            sys.stdout.buffer.flush()
        except OSError as error:
            reason = reason_of(error)
            raise NstError(
                f"cannot write the picture to standard output: {reason}; it is in {path}."
            ) from error
        path.unlink()
    finally:
        with suppress(OSError):  # it holds what was saved of a run that was stopped
            folder.rmdir()
