"""The losses of every step of a result, kept beside what it was painted of.

The text in a result has the last losses alone.  With these its curves are there again when it is
reopened, over all that was painted of it, also before a knob was turned.
"""

import json
from contextlib import suppress
from pathlib import Path

import msgspec

from nst import files, schema
from nst.errors import NstError
from nst.pictures.reading import read

MOST = 1000  # steps that are kept, evenly: a curve has no more points
MOST_CHARACTERS = 2_000_000


class Steps(msgspec.Struct):
    """What was painted, step by step."""

    sha256: str = ""  # of the result's file
    losses: list[dict[str, float]] = []  # "step", and each loss by its name
    turns: list[int] = []  # steps after which a knob was turned

    @property
    def last(self) -> int:
        """The step after which it was saved."""
        return int(self.losses[-1].get("step", 0)) if self.losses else 0


def keep(folder: Path, result: Path, losses: list[dict[str, float]], turns: list[int]) -> None:
    """Keep what a ``result`` took, in ``folder``."""
    every = -(-len(losses) // MOST) or 1
    thin = [row for k, row in enumerate(losses) if k % every == 0 or k == len(losses) - 1]
    told = {"sha256": read(result).sha256, "losses": thin, "turns": turns}
    with files.replace_atomically(_place(folder, result)) as file:
        file.write(json.dumps(told).encode())


def kept(folder: Path, result: Path, sha256: str) -> Steps:
    """Return what is kept of a ``result``, whose file has this ``sha256``.

    Nothing, where that is another picture's, or spoilt.
    """
    place = _place(folder, result)
    with suppress(NstError, OSError, UnicodeDecodeError):
        if place.is_file() and not place.is_symlink():
            told = schema.parse_json(place.read_text("utf-8"), place.name, MOST_CHARACTERS)
            steps: Steps = schema.convert(told, Steps, place.name)
            if steps.sha256 == sha256:
                return steps
    return Steps()


def _place(folder: Path, result: Path) -> Path:
    return folder / f"{result.stem}-steps.json"
