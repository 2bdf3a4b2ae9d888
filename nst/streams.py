"""What a program says when nobody can hear it: closed, full or missing standard streams.

Python has None for a stream that was closed before it began, as it has all three under
``pythonw``; a full disk or a reader that left is an error at some later line.  None of that is a
reason to paint no picture.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any


class Lenient:
    """A text stream that goes quiet at the first error, which is kept as ``failure``.

    What its encoding cannot say, such as the bytes of a file name that are no text, it escapes.
    """

    def __init__(self, stream: Any) -> None:
        self.failure: OSError | ValueError | None = None
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write ``text`` where that works; return its length as if it always did."""
        if self.failure is None:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    encoding = self._stream.encoding
                    self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError) as error:  # ValueError: it is closed
                self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Pass on what is held back, as long as anybody can hear it."""
        if self.failure is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._fall_silent(error)

    def _fall_silent(self, error: OSError | ValueError) -> None:
        """Let what the stream still holds go nowhere, or Python would try again at its end."""
        self.failure = error
        faults = (OSError, ValueError, AttributeError)  # the last two: it is no file
        with suppress(*faults), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


@contextmanager
def lenient() -> Iterator[Lenient]:
    """Make the three standard streams such that a run cannot fail for them; yield the output.

    Missing ones become the null device, in their order, so that no other file that is opened gets
    the number of one, and with it what a library writes there.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    with ExitStack() as opened:
        for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
            if getattr(sys, name) is None:
                nowhere = opened.enter_context(open(os.devnull, mode, encoding="utf-8"))
                setattr(sys, name, nowhere)
        output, errors = Lenient(sys.stdout), Lenient(sys.stderr)
        if before[1] is None:
            output.failure = ValueError("standard output is closed")
        sys.stdout, sys.stderr = output, errors
        try:
            yield output
        finally:
            output.flush()
            errors.flush()
            sys.stdin, sys.stdout, sys.stderr = before
