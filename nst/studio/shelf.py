"""The pictures that a page can paint with: those that come along, and those handed in.

A page calls a picture by its name on the shelf, and never by a path.  What it hands in is decoded
once, as every picture is, before it is kept; its file's name is ours, made of letters.
"""

import hashlib
import re
import threading
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np

from nst import demo, files
from nst.errors import NstError
from nst.pictures import decoding, images
from nst.pictures.reading import Input, read
from nst.run.paintings import read_mask
from nst.values import shown

MOST_PIXELS = 100_000_000  # of a picture that is handed in
SHOWN, SMALL = 1280, 256  # pixels: the longer side as the page shows it, and as a thumbnail
LONGEST_NAME = 40  # characters,
MOST_BYTES = 90  # and bytes: two of them are the name of a result
ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif"}  # of others: the kind in small letters
PHOTOGRAPH = "photograph"  # the one that comes along


@dataclass(frozen=True)
class Shelved:
    """A picture on the shelf."""

    id: str  # what the page calls it
    name: str  # what people read
    path: Path
    sha256: str  # of the file


class Shelf:
    """Pictures by their id, and a ``folder`` for those that are handed in.

    One at a time is taken, however many come: each may fill the memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._previews: dict[tuple[str, int], bytes] = {}
        self._all: dict[str, Shelved] = {}
        for name, path in [(PHOTOGRAPH, demo.content_path()), *_paintings()]:
            self._all[name] = Shelved(name, name, path, _digest(path.read_bytes()))

    def __getitem__(self, id: str) -> Shelved:
        if id not in self._all:
            raise NstError(f"there is no picture {shown(id)} here; hand it in again.")
        return self._all[id]

    def take(self, name: str, data: bytes, mask: bool = False) -> Shelved:
        """Keep a picture whose file the browser called ``name``.

        Raises NstError for what is no picture, or too large; and for a ``mask`` without any white.
        """
        sha256, name = _digest(data), PurePosixPath(name.replace("\\", "/")).name or "picture"
        given = Input(name, data, sha256, most_pixels=MOST_PIXELS)
        with self._lock:
            known = self._all.get(sha256[:16])
            if known is not None and known.path.is_file() and not mask:
                return known
            kind = decoding.kind_of(data) or ""
            picture = read_mask(given) if mask else images.load(given)
            path = self._kept(name, data, ENDINGS.get(kind, f".{kind.lower()}"))
            return self._added(Shelved(sha256[:16], name, path, sha256), picture)

    def find(self, name: str, sha256: str | None) -> Shelved | None:
        """Return the picture that a result was made of; None where it is not here any more.

        Only the shelf is searched, whatever folders ``name`` tells of.
        """
        last = PurePosixPath(name).name
        known = [one for one in self._all.values() if one.path.name == last]
        path = self.folder / last
        if re.fullmatch(r"[\w-]+\.\w+", last) and path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            digest = _digest(data)
            known.append(Shelved(digest[:16], last, path, digest))
        for one in known:
            if sha256 is None or one.sha256 == sha256:
                return self._all.setdefault(one.id, one)
        return None

    def preview(self, id: str, side: int = SHOWN) -> bytes:
        """Return a picture as JPEG, its longer side at most ``side``."""
        one = self[id]
        with self._lock:
            if (id, side) not in self._previews:
                self._previews[id, side] = as_jpeg(images.load(read(one.path)), side)
            return self._previews[id, side]

    def paintings(self) -> dict[str, str]:
        """Return what to say of each painting that comes along, by id."""
        return dict(demo.STYLES)

    def _added(self, one: Shelved, picture: np.ndarray) -> Shelved:
        picture = np.broadcast_to(picture, (3, *picture.shape[-2:]))
        for side in (SHOWN, SMALL):
            self._previews.setdefault((one.id, side), as_jpeg(picture, side))
        known = self._all.get(one.id)
        if known is None or not known.path.is_file():  # somebody has removed it
            self._all[one.id] = one
        return self._all[one.id]

    def _kept(self, name: str, data: bytes, ending: str) -> Path:
        """Return where the ``data`` of a picture are kept, under a name that only they have."""
        files.make_folder(self.folder)
        stem = plain(name.rpartition(".")[0] or name)
        path = free(self.folder, stem, ending, data)
        if not path.exists():
            with files.replace_atomically(path) as file:
                file.write(data)
        return path


def plain(name: str) -> str:
    """Return a name of letters, digits and dashes alone, of any script.

    >>> plain("My photo (1).jpg"), plain("../../etc"), plain("...")
    ('My-photo-1-jpg', 'etc', 'picture')
    """
    letters = re.sub(r"[\W_]+", "-", name).strip("-")[:LONGEST_NAME]
    return letters.encode()[:MOST_BYTES].decode(errors="ignore").strip("-") or "picture"


def free(folder: Path, stem: str, ending: str, data: bytes | None = None) -> Path:
    """Return a path that is free in ``folder``, or has just these ``data`` already."""
    number = 1
    while True:
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
        if not path.exists() or (data is not None and path.read_bytes() == data):
            return path
        number += 1


def as_jpeg(image: np.ndarray, side: int = SHOWN) -> bytes:
    """Return an image (3, H, W) in [0, 1] as JPEG, its longer side at most ``side`` pixels."""
    encoded = BytesIO()
    images.as_pil(images.no_longer(image, side)).save(encoded, "JPEG", quality=88)
    return encoded.getvalue()


def _paintings() -> list[tuple[str, Path]]:
    return [(name, demo.style_path(name)) for name in demo.STYLES]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
