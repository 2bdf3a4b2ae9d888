"""Which files a run may overwrite when it goes on: those that it began itself.

A checkpoint says where its run writes, and may come from anywhere: it must not choose what is
lost.  So a file that is there already must show that it is this run's.

- Pictures, frames, plots and the report carry the run's mark: a hash of all that decides what is
  painted, the settings, the files that were read and the network.  It is computed from these, and
  never read from a checkpoint.  Who paints the same picture has the same mark.
  Behind it stands FINISHED where a picture is painted to its end.
- The log begins with the losses of the steps that the checkpoint has behind it.

What is not there is made: a picture or a table of numbers at a name that is free costs nobody
anything.  A new run overwrites what the user names; see `settings.Settings` for the inputs.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from io import StringIO
from pathlib import Path

from nst.errors import NstError
from nst.run.table import Table
from nst.settings import APART, Settings

KEYWORD = "nst run"  # of the mark in a picture's text
FINISHED = " finished"  # behind the mark: no step is to come
HEAD = 1 << 16  # bytes: the mark is nearer to a file's beginning, or in a WebP to its end


def mark_of(settings: Settings, inputs: Mapping[str, str], model: str) -> str:
    """Return the mark of a run: 64 hexadecimal digits.

    ``inputs`` are the SHA-256 of the files that it reads, by path; ``model`` that of its network.
    """
    told = {name: value for name, value in asdict(settings).items() if name not in APART}
    told |= {"model": model, "content": inputs[str(settings.content)]}
    if settings.init is not None:
        told["init"] = inputs.get(str(Path(settings.init)), settings.init)
    told["style"] = [
        [
            one.weight,
            *(path and inputs[str(path)] for path in (one.path, one.mask, one.region)),
            *(() if one.taps is None else (one.taps,)),
        ]
        for one in settings.style
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def check(settings: Settings, mark: str, history: Sequence[Mapping[str, float]]) -> None:
    """Raise NstError if going on would overwrite a file that the run did not begin."""
    for path in filter(None, [settings.output, settings.report, *settings.plots]):
        check_file(path, mark)
    for path in settings.frames_there():
        check_file(path, mark)
    log = settings.log
    if log is not None and os.path.lexists(log) and not is_log_of(log, history):
        raise _foreign(log)


def check_file(path: Path, mark: str) -> None:
    """Raise NstError if ``path`` is a file that a run of this ``mark`` did not begin."""
    if os.path.lexists(path) and not carries(path, mark):
        raise _foreign(path)


def _foreign(path: Path) -> NstError:
    return NstError(
        f"{path} is there, and this run did not begin it: to go on would overwrite it. Move it "
        "away, or rename it, and try again."
    )


def carries(path: Path, mark: str) -> bool:
    """Return whether the file has the run's mark, or nothing in it."""
    ends = _ends(path)
    return ends is not None and (not ends or mark.encode() in ends)


def is_of(path: Path, mark: str) -> bool:
    """Return whether the file has the run's mark."""
    return mark.encode() in (_ends(path) or b"")


def is_finished(path: Path, mark: str) -> bool:
    """Return whether ``path`` is the picture of a run of this ``mark``, painted to its end."""
    ends = _ends(path)
    return ends is not None and (mark + FINISHED).encode() in ends


def is_ours(path: Path) -> bool:
    """Return whether ``path`` is a picture that some run of nst wrote."""
    ends = _ends(path) or b""
    if ends.startswith(b"\x89PNG"):
        return KEYWORD.encode() + b"\0" in ends
    comment, xmp = rb"\xff\xfe..[0-9a-f]{64}", rb'<nst:texts>[^<]*"nst run": "[0-9a-f]{64}'
    return re.search(comment + b"|" + xmp, ends, re.DOTALL) is not None


def is_log_of(path: Path, history: Sequence[Mapping[str, float]]) -> bool:
    """Return whether a log begins with ``history``, or breaks off in it."""
    expected = StringIO(newline="")
    table = Table(expected)
    for entry in history:
        table.write(entry)
    text = expected.getvalue().encode()
    found = _beginning(path, len(text) or 1)
    return found is not None and text.startswith(found)


def _ends(path: Path) -> bytes | None:
    """Return the first and the last bytes of a file; None of what cannot be read."""
    head = _beginning(path, HEAD)
    if head is None or len(head) < HEAD:
        return head
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(HEAD, os.path.getsize(path) - HEAD))
        return head + file.read()
    return None


def _beginning(path: Path, length: int) -> bytes | None:
    """Return the first bytes of a file; None of what is no file, or cannot be read."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(length)
    return None
