"""Lines and shapes, before any paint: curves and outlines, each (N, 2) positions."""

import numpy as np
from PIL import Image, ImageDraw

from painters import Random


def polygons(
    shapes: list[np.ndarray], height: int, width: int, unit: int | None = None
) -> np.ndarray:
    """Return the mask (H, W) of shapes, each (N, 2) in units of ``unit`` pixels (None: H)."""
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for shape in shapes:
        draw.polygon((shape[:, ::-1] * (unit or height)).ravel().tolist(), fill=255)
    return np.asarray(mask, np.float32) / 255


def disc(centre: tuple[float, float] | np.ndarray, radius: float) -> np.ndarray:
    """Return a circle as a polygon."""
    angle = np.linspace(0, 2 * np.pi, 64)
    return centre + radius * np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def grown(shape: np.ndarray, by: float) -> np.ndarray:
    """Return a polygon swollen by ``by`` on every side, for a rim around it."""
    step = np.roll(shape, -1, 0) - np.roll(shape, 1, 0)
    normal = np.stack([step[:, 1], -step[:, 0]], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    area = np.sum(shape[:, 1] * np.roll(shape[:, 0], -1) - shape[:, 0] * np.roll(shape[:, 1], -1))
    return shape - normal * by * np.sign(area)


def spline(points: list[tuple[float, float]], samples: int = 160) -> np.ndarray:
    """Return a smooth curve (samples, 2) through ``points`` (Catmull and Rom)."""
    p = np.array(points, float)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    place = np.linspace(0, len(points) - 1.0001, samples)
    i = place.astype(int)
    t = (place - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def swelling(path: np.ndarray, width: float, blunt: float = 0.25) -> np.ndarray:
    """Return the outline of a line along ``path`` (N, 2) that is ``width`` wide halfway."""
    step = np.gradient(path, axis=0)
    normal = np.stack([step[:, 1], -step[:, 0]], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-9
    swell = blunt + (1 - blunt) * np.sin(np.pi * np.linspace(0, 1, len(path)))
    side = normal * (width / 2 * swell)[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])


def skyline(rng: Random, c: np.ndarray, level: float, rise: float) -> np.ndarray:
    """Return the row (1, W) of a line of hills at each column."""
    line = np.full_like(c[:1], level)
    for wave in range(1, 6):
        phase = rng.uniform(0, 2 * np.pi)
        line += rise / wave**1.1 * np.sin(2.1 * wave * c[:1] + phase)
    return line
