"""What a chapter gives to the page: numbers, and arrays to draw, with words for who cannot see.

A chapter's function returns a dictionary of these by name; `encode` makes of it what the page
takes.  The page puts each where its name stands, and computes nothing.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import PIL.Image

from nst.pictures import images

QUICKLY = 1  # of zlib's levels: a page on the same machine need not be small


@dataclass(frozen=True)
class Picture:
    """An image (3, H, W), RGB in [0, 1], or a map (H, W) of numbers, drawn by a scale of colours.

    A map without a sign is black at 0 and bright at its largest value; a signed one is white at
    0, violet above and orange below.  A ``rooted`` one is drawn by its square roots: so small
    values are seen beside large ones.
    """

    values: np.ndarray
    text: str  # what there is to see, for who cannot
    signed: bool = False
    highest: float | None = None  # what has the last colour; None: the largest of the map
    rooted: bool = False

    @property
    def most(self) -> float:
        """What has the last colour; 1 in a map of nothing."""
        return float(self.highest or np.abs(self.values).max() or 1)


@dataclass(frozen=True)
class Mark:
    """A rectangle on a picture: rows and columns of its first pixel, and of the one after it."""

    top: float
    left: float
    bottom: float
    right: float
    label: str = ""

    @classmethod
    def at(cls, row: int, column: int, label: str = "") -> "Mark":
        """Return the mark of one pixel."""
        return cls(row, column, row + 1, column + 1, label)


@dataclass(frozen=True)
class Curves:
    """Lines over steps: for each name its numbers, from step 0 on."""

    lines: Mapping[str, Sequence[float]]
    text: str


@dataclass(frozen=True)
class Table:
    """Rows of cells; a cell is text or a number."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Link:
    """A place on the page, and what is said of it."""

    place: str
    text: str


@dataclass(frozen=True)
class Long:
    """A number that is shown with ten digits: two of them differ in the last ones."""

    number: float


Answer = dict[str, Any]  # by name: a number, a text, or one of the above, or a list of marks


def encode(value: Any) -> Any:
    """Return ``value``, an answer or a part of one, as JSON has it."""
    if isinstance(value, dict):
        return {name: encode(part) for name, part in value.items()}
    if isinstance(value, Picture):
        rows, columns = value.values.shape[-2:]
        shape = {"rows": rows, "columns": columns, "scale": scale_of(value)}
        return {"source": drawn(value), "text": value.text, **shape}
    if isinstance(value, Curves):
        lines = {name: [float(x) for x in line] for name, line in value.lines.items()}
        most = shown(max(max(line) for line in lines.values()))
        return {"lines": lines, "text": value.text, "most": most}
    if isinstance(value, Table):
        return {"heads": list(value.heads), "rows": [encode(list(r)) for r in value.rows]}
    if isinstance(value, Mark | Link):
        return vars(value)
    if isinstance(value, Long):
        return {"number": float(value.number), "text": f"{value.number:.10g}"}
    if isinstance(value, list | tuple):
        return [encode(part) for part in value]
    if isinstance(value, str | bool) or value is None:
        return value
    return {"number": float(value), "text": shown(value)}


def shown(number: Any) -> str:
    """Return a number as the page writes it: whole, or by four digits.

    >>> shown(96), shown(0.123456), shown(-1.5e-7), shown(0.0)
    ('96', '0.1235', '-1.500e-07', '0')
    """
    if isinstance(number, int | np.integer):
        return str(number)
    number = float(number)
    if number == 0:
        return "0"
    if 1e-3 <= abs(number) < 1e6:
        return f"{number:.4g}" if abs(number) < 1e4 else f"{number:.0f}"
    return f"{number:.3e}"


def drawn(picture: Picture) -> str:
    """Return the data URI of a PNG: a pixel for each of the picture's."""
    if picture.values.ndim == 3:
        made = PIL.Image.fromarray(images.as_uint8(picture.values))
    else:
        made = _coloured(_levels(picture), picture.signed)
    return _as_address(made)


def scale_of(picture: Picture) -> dict[str, str] | None:
    """Return what the colours of a map mean: from the lowest to the highest, and both ends."""
    if picture.values.ndim == 3:
        return None
    most = f"{picture.most:.3g}"
    least = f"-{most}" if picture.signed else "0"
    source = _all_colours(picture.signed)
    return {"source": source, "low": least, "high": most, "text": f"from {least} to {most}"}


@cache
def _all_colours(signed: bool) -> str:
    return _as_address(_coloured(np.arange(256, dtype=np.uint8)[None], signed))


def _coloured(levels: np.ndarray, signed: bool) -> PIL.Image.Image:
    made = PIL.Image.fromarray(levels, mode="P")
    made.putpalette(_palette("PuOr" if signed else "magma"))
    return made


def _as_address(made: PIL.Image.Image) -> str:
    encoded = BytesIO()
    made.save(encoded, "PNG", compress_level=QUICKLY)
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _levels(picture: Picture) -> np.ndarray:
    """Return which of 256 colours each value has, (H, W) uint8."""
    place = picture.values.astype(np.float64) / picture.most
    if picture.rooted:
        place = np.sign(place) * np.sqrt(np.abs(place))
    if picture.signed:
        place = (place + 1) / 2
    return np.rint(255 * place.clip(0, 1)).astype(np.uint8)


def over(part: Any, whole: Any) -> float:
    """Return ``part / whole``; ``part`` where the whole is 0, as of two equal pictures.

    >>> over(1, 4), over(0, 0)
    (0.25, 0.0)
    """
    return float(part) / (float(whole) or 1.0)


@cache
def _palette(name: str) -> bytes:
    from matplotlib import colormaps  # takes a while to import

    colours = colormaps[name](np.linspace(0, 1, 256))[:, :3]
    return np.rint(255 * colours).astype(np.uint8).tobytes()
