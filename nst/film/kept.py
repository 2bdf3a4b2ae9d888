"""What a run keeps of a scene while it paints it: so a run that was stopped goes on at its frame.

Each scene has a folder:

    scene.json          the unit of its losses: see painting.py
    recent-00000020     painted frames from number 20 of the scene on, in 8 bits a colour: those
                        that are in no part yet, and those that later ones look back at
    part-....mkv        frames of the result, encoded: see writing.py

Nothing but the last of `recent` is ever half there, and of that its size says how much.
"""

import json
import math
import os
import re
from pathlib import Path
from typing import TypeVar

import numpy as np

from nst import files, schema
from nst.errors import NstError, brief
from nst.film.flow import BACK
from nst.pictures import images

LOOKED_BACK = max(BACK)  # frames that have to be kept
Told = TypeVar("Told")


class Kept:
    """The painted frames of one scene, as far as they are needed, in its ``folder``."""

    def __init__(self, folder: Path, height: int, width: int) -> None:
        self.folder = folder
        self._shape = height, width, 3
        self._bytes = height * width * 3
        files.make_folder(folder)
        found = sorted(p for p in folder.glob("recent-*") if re.fullmatch(r"\D+\d{8}", p.name))
        for older in found[:-1]:  # a run was stopped before it had removed it
            older.unlink()
        self._path = found[-1] if found else folder / "recent-00000000"
        self._first = int(self._path.name.removeprefix("recent-"))
        if found:
            os.truncate(self._path, self._path.stat().st_size // self._bytes * self._bytes)
        self.unit: float | None = self._read_unit()

    @property
    def painted(self) -> int:
        """How many frames of the scene are painted."""
        there = self._path.stat().st_size if self._path.exists() else 0
        return self._first + there // self._bytes

    def frame(self, number: int) -> np.ndarray:
        """Return painted frame ``number`` of the scene, (3, H, W) float32 in [0, 1]."""
        with self._path.open("rb") as file:
            file.seek(max(0, number - self._first) * self._bytes)
            levels = np.frombuffer(file.read(self._bytes), np.uint8)
        if number < self._first or len(levels) < self._bytes:
            raise NstError(
                f"frame {number + 1} of its scene is not in {self.folder} any more; remove that "
                "folder, and the scene is painted anew."
            )
        return as_picture(levels.reshape(self._shape))

    def add(self, painted: np.ndarray) -> np.ndarray:
        """Keep one more painted frame (3, H, W), and return it as it is kept: in 8 bits."""
        levels = images.as_uint8(painted)
        try:
            with self._path.open("ab") as file:
                file.write(levels.tobytes())
        except OSError as error:
            raise files.unwritable(self._path, error) from error
        return as_picture(levels)

    def trim(self, done: int) -> None:
        """Forget what nobody looks back at, now that ``done`` frames are in the result."""
        first = max(self._first, done - LOOKED_BACK)
        if first == self._first:
            return
        path = self.folder / f"recent-{first:08d}"
        with self._path.open("rb") as old, files.replace_atomically(path) as new:
            old.seek((first - self._first) * self._bytes)
            while piece := old.read(self._bytes):
                new.write(piece)
        self._path.unlink()
        self._path, self._first = path, first

    def keep_unit(self, unit: float) -> None:
        """Keep the unit of the scene's losses."""
        self.unit = unit
        with files.replace_atomically(self.folder / "scene.json") as file:
            file.write(json.dumps({"unit": unit}).encode())

    def _read_unit(self) -> float | None:
        path = self.folder / "scene.json"
        if not path.exists():
            return None
        unit = told_in(path, dict[str, float]).get("unit", 0.0)
        if not 0 < unit < math.inf:
            raise NstError(
                f"{path} does not say the unit of its scene; remove {path.parent}, and the scene "
                "is painted anew."
            )
        return unit


def told_in(path: Path, kind: type[Told]) -> Told:
    """Return what the JSON in a file says, of this ``kind``; NstError where it does not."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise NstError(
            f"cannot use {path}: {brief(error)}; remove {path.parent}, and what it holds is "
            "painted anew."
        ) from error
    return schema.convert(schema.parse_json(text, str(path)), kind, str(path))


def as_picture(levels: np.ndarray) -> np.ndarray:
    """Return levels (H, W, 3) uint8 as a picture (3, H, W) in [0, 1]; undoes `as_uint8`."""
    moved = np.moveaxis(levels, -1, 0)
    return np.ascontiguousarray(moved, np.float32) / np.float32(255)
