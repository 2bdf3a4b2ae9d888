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


@dataclass(frozen=True)
class Picture:
    """An image (3, H, W), RGB in [0, 1], or a map (H, W) of numbers, drawn by a scale of colours.

    A map without a sign is black at 0 and bright at its largest value; a signed one is white at
    0, violet above and orange below.
    """

    values: np.ndarray
    text: str  # what there is to see, for who cannot
    signed: bool = False
    highest: float | None = None  # what has the last colour; None: the largest of the map


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
        return {"source": drawn(value), "text": value.text, "rows": rows, "columns": columns}
    if isinstance(value, Curves):
        lines = {name: [float(x) for x in line] for name, line in value.lines.items()}
        return {"lines": lines, "text": value.text}
    if isinstance(value, Table):
        return {"heads": list(value.heads), "rows": [encode(list(r)) for r in value.rows]}
    if isinstance(value, Mark):
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
        made = PIL.Image.fromarray(_levels(picture), mode="P")
        made.putpalette(_palette("PuOr" if picture.signed else "magma"))
    encoded = BytesIO()
    made.save(encoded, "PNG")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"


def _levels(picture: Picture) -> np.ndarray:
    """Return which of 256 colours each value has, (H, W) uint8."""
    values = picture.values.astype(np.float64)
    highest = picture.highest or float(np.abs(values).max()) or 1.0
    place = values / highest
    if picture.signed:
        place = (place + 1) / 2
    return np.rint(255 * place.clip(0, 1)).astype(np.uint8)


def root(values: np.ndarray) -> np.ndarray:
    """Return square roots, with the values' signs: small ones are seen beside large ones."""
    roots: np.ndarray = np.sign(values) * np.sqrt(np.abs(values))
    return roots


@cache
def _palette(name: str) -> bytes:
    from matplotlib import colormaps  # takes a while to import

    colours = colormaps[name](np.linspace(0, 1, 256))[:, :3]
    return np.rint(255 * colours).astype(np.uint8).tobytes()
