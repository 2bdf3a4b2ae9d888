"""What was painted: the results in the studio's folder, each reopened by what its text says."""

import hashlib
import shlex
from pathlib import Path
from typing import Any

import msgspec

from nst import schema
from nst.errors import NstError
from nst.pictures import images
from nst.pictures.reading import read
from nst.run import marks
from nst.show.command import no_option, program
from nst.studio import steps
from nst.studio.shelf import SHOWN, as_jpeg
from nst.studio.wish import Choices, Wish, wish_of, without_knob
from nst.values import shown

MOST = 200  # results that are listed, the newest


class _Losses(msgspec.Struct):
    step: int = 0


class History:
    """The results in a ``folder``, whoever painted them.  Their ids are made of their names."""

    def __init__(self, folder: Path, choices: Choices) -> None:
        self._folder, self._choices = folder, choices
        self._ours: dict[Path, tuple[float, bool]] = {}  # when it was looked at: is it a result
        self._previews: dict[tuple[Path, float, int], bytes] = {}

    def paths(self) -> dict[str, Path]:
        """Return the results by their ids, the newest first."""
        found = []
        for path in self._folder.glob("*.png"):
            if path.is_file() and not path.is_symlink():
                changed = path.stat().st_mtime
                if self._ours.get(path, (0.0, False))[0] != changed:
                    self._ours[path] = changed, marks.is_ours(path)
                if self._ours[path][1]:
                    found.append((changed, path))
        return {id_of(path): path for _, path in sorted(found, reverse=True)[:MOST]}

    def listed(self) -> list[dict[str, Any]]:
        """Return what the page lists of each; ``when`` changes as its file does."""
        return [
            {"id": id, "name": path.name, "when": self._ours[path][0]}
            for id, path in self.paths().items()
        ]

    def path(self, id: str) -> Path:
        """Return the file of a result."""
        paths = self.paths()
        if id not in paths:
            raise NstError(f"there is no picture {shown(id)} in {self._folder} any more.")
        return paths[id]

    def preview(self, id: str, side: int = SHOWN) -> bytes:
        """Return a result as JPEG, its longer side at most ``side``."""
        path = self.path(id)
        key = path, path.stat().st_mtime, side
        if key not in self._previews:
            if len(self._previews) > 2 * MOST:
                self._previews.clear()
            self._previews[key] = as_jpeg(images.load(read(path)), side)
        return self._previews[key]

    def wish(self, id: str) -> Wish:
        """Return what a result was painted of, and how; NstError where it does not say."""
        path = self.path(id)
        return wish_of(*self._said(path, images.read_metadata(read(path))), self._choices)

    def told(self, id: str) -> dict[str, Any]:
        """Return what the page shows of a result."""
        path = self.path(id)
        given = read(path)
        texts = images.read_metadata(given)
        told = {"id": id, "name": path.name, "live": False, "status": "done", "error": ""}
        wish, beyond = None, []
        try:
            settings, hashes = self._said(path, texts)
            wish = vars(wish_of(settings, hashes, self._choices))
            beyond = without_knob(settings)
        except NstError as error:
            told["error"] = str(error)
        taken = steps.kept(self._choices.shelf.folder, path, given.sha256)
        command = shlex.join([program(), "stylize", "--from", no_option(path), "-o", "again.png"])
        if marks.FINISHED not in texts.get(marks.KEYWORD, marks.FINISHED):
            told["status"] = "stopped"
        return told | {
            "wish": wish,
            "beyond": beyond,
            "step": taken.last or step_of(texts),
            "losses": taken.losses,
            "turns": taken.turns,
            "command": command,
        }

    def _said(self, path: Path, texts: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the settings of a result, and the hashes of its inputs by their names."""
        what = f"what {path.name} says of itself"
        told = schema.parse_json(texts.get("nst settings", ""), what)
        hashes = schema.parse_json(texts.get("nst inputs", "{}"), what)
        if not isinstance(told, dict):
            raise NstError(f"{what} is no settings; paint it anew.")
        return told, schema.convert(hashes, dict[str, str], what)


def step_of(texts: dict[str, str]) -> int:
    """Return after how many steps a result was saved; 0 where its ``texts`` do not say."""
    what = "what the picture says of its losses"
    try:
        losses = schema.parse_json(texts.get("nst losses", "{}"), what)
        return schema.convert(losses, _Losses, what).step
    except NstError:
        return 0


def id_of(path: Path) -> str:
    """Return what the page calls the result at ``path``."""
    return hashlib.sha256(path.name.encode(errors="surrogateescape")).hexdigest()[:16]
