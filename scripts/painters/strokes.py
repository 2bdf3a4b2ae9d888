"""Wet paint: a canvas with a relief, and brushes whose bristles lay strokes on it."""

from dataclasses import dataclass

import numpy as np

from painters import Random


@dataclass
class Canvas:
    """Wet paint: its colour (H, W, 3) and how thick it lies (H, W)."""

    colour: np.ndarray
    relief: np.ndarray


@dataclass(frozen=True)
class Brush:
    """One layer's brush, in heights of the picture."""

    length: float
    width: float
    bristles: int
    load: float  # how thick the paint lies
    streak: float = 0.05  # how much the bristles differ in colour


def seen(motif: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """Return the motif's colour (N, 3) halfway along each path."""
    middle = paths[:, paths.shape[1] // 2]
    row, column = np.clip(middle, 0, np.array(motif.shape[:2]) - 1).astype(np.int32).T
    return motif[row, column]


def brush_strokes(
    rng: Random, canvas: Canvas, paths: np.ndarray, colours: np.ndarray, brush: Brush
) -> None:
    """Lay strokes on the canvas, first to last: ``paths`` (N, P, 2), ``colours`` (N, 3)."""
    height = canvas.relief.shape[0]
    # 1.5 samples to a pixel, both ways, leave no holes in a stroke
    along = max(4, round(1.5 * brush.length * height))
    across = max(3, round(1.5 * brush.width * height))
    for first in range(0, len(paths), 500):  # so that a batch fits in the cache
        batch = slice(first, first + 500)
        _lay(rng, canvas, paths[batch], colours[batch], brush, along, across)


def _lay(
    rng: Random,
    canvas: Canvas,
    paths: np.ndarray,
    colours: np.ndarray,
    brush: Brush,
    along: int,
    across: int,
) -> None:
    """Drag bristles along each path; ``along`` and ``across`` samples make one stroke."""
    count, (height, width) = len(paths), canvas.relief.shape
    spine, normal = _resample(paths, along)
    s = np.linspace(0, 1, along, dtype=np.float32)[None, :, None]
    t = np.linspace(-1, 1, across, dtype=np.float32)[None, None, :]

    # Each bristle carries its own amount of paint, starts and lifts where it likes.
    paint = _per_sample(rng.standard_normal((count, brush.bristles)), across)[:, None, :]
    lifts = 1 - 0.22 * _per_sample(rng.random((count, brush.bristles)), across)[:, None, :]
    lands = 0.10 * _per_sample(rng.random((count, brush.bristles)), across)[:, None, :]
    size = rng.uniform(0.6, 1.15, (count, 1, 1)).astype(np.float32)
    taper = np.sqrt(np.clip(1 - (2 * s - 1) ** 6, 0, 1)) * (1 - 0.35 * s)
    touches = (s >= lands) & (s <= lifts) & ((s < 0.7) | (paint > -1.1))

    offset = t * taper * size * (brush.width * height / 2)
    rows = (spine[:, :, None, 0] + normal[:, :, None, 0] * offset + 0.5).astype(np.int32)
    columns = (spine[:, :, None, 1] + normal[:, :, None, 1] * offset + 0.5).astype(np.int32)
    touches &= (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    pixel = (rows * width + columns)[touches]  # where two strokes meet, the later one wins

    ridge = 0.55 + 0.25 * paint + 0.5 * t**4 + 0.4 * s**6  # pushed to the sides, and on
    relief = canvas.relief.reshape(-1)
    thickness = np.broadcast_to(ridge, touches.shape)[touches]
    relief[pixel] = 0.4 * relief[pixel] + brush.load * thickness
    tint = colours[:, None, None, :] * (1 + brush.streak * paint[..., None])
    tint = np.broadcast_to(tint, (*touches.shape, 3))[touches]
    colour = canvas.colour.reshape(-1, 3)
    colour[pixel] = 0.88 * tint + 0.12 * colour[pixel]  # wet in wet


def _resample(paths: np.ndarray, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, samples, 2) evenly along each path, and the unit normals there."""
    places = np.linspace(0, paths.shape[1] - 1.001, samples)
    low = places.astype(np.int32)
    part = (places - low).astype(np.float32)[None, :, None]
    step = paths[:, low + 1] - paths[:, low]
    spine = paths[:, low] + part * step
    normal = np.stack([step[..., 1], -step[..., 0]], axis=-1)
    return spine, normal / (np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-6)


def _per_sample(values: np.ndarray, samples: int) -> np.ndarray:
    """Return (N, B) bristles stretched to (N, samples), with a linear blend between."""
    places = np.linspace(0, values.shape[1] - 1.001, samples)
    low = places.astype(np.int32)
    part = places - low
    return (values[:, low] * (1 - part) + values[:, low + 1] * part).astype(np.float32)
