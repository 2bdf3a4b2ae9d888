"""What every painter has on the table: colours and their mixing, noise, blur and light."""

import numpy as np
from PIL import Image

from painters import Random


def rgb(*colours: str) -> np.ndarray:
    """Return hexadecimal colours such as '1f4fa8' as an (N, 3) array in [0, 1]."""
    return np.array([list(bytes.fromhex(colour)) for colour in colours], np.float32) / 255


def ramp(t: np.ndarray, colours: np.ndarray, stops: list[float] | None = None) -> np.ndarray:
    """Return the colour at ``t`` along a palette: (..., 3) for ``t`` of shape (...)."""
    places = np.linspace(0, 1, len(colours)) if stops is None else stops
    channels = [np.interp(t, places, colours[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def mix(under: np.ndarray, over: np.ndarray, cover: np.ndarray | float) -> np.ndarray:
    """Return ``over`` painted on ``under``; ``cover`` in [0, 1] is a number or (H, W)."""
    cover = np.asarray(cover, np.float32)
    if cover.ndim == 2:
        cover = cover[..., None]
    return under + (over - under) * np.clip(cover, 0, 1)


def varied(rng: Random, colours: np.ndarray, value: float, hue: float) -> np.ndarray:
    """Return colours (N, 3) as a painter mixes them: never the same twice."""
    lighter = 1 + value * rng.standard_normal((len(colours), 1))
    warmer = hue * rng.standard_normal((len(colours), 1)) * np.array([1.0, 0.1, -1.0])
    return np.clip(colours * lighter + warmer, 0, 1).astype(np.float32)


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Return 0 below ``low``, 1 above ``high``, and an S-curve between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every pixel's row and column, in heights of the picture: two (H, W)."""
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    columns = (np.arange(width, dtype=np.float32) + 0.5) / height
    return np.meshgrid(rows, columns, indexing="ij")


def noise(rng: Random, height: int, width: int, cells: float, octaves: int = 4) -> np.ndarray:
    """Return smooth fractal noise (H, W) of mean 0 and standard deviation 1.

    The coarsest lumps are 1 / ``cells`` of a height across; every octave halves
    the lumps and their weight.
    """
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        fine = cells * 2**octave
        shape = (int(fine) + 3, int(fine * width / height) + 3)
        lattice = Image.fromarray(rng.standard_normal(shape).astype(np.float32))
        lumps = lattice.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(lumps) / 2**octave
    return (total - total.mean()) / total.std()


def blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Return (H, W) or (H, W, 3) blurred: three box filters come close to a Gaussian."""
    size = max(1, round(radius))
    for axis in (0, 1) * 3:
        pad = [(0, 0)] * image.ndim
        pad[axis] = (size + 1, size)
        sums = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
        ends = [slice(None)] * image.ndim
        starts = [slice(None)] * image.ndim
        ends[axis], starts[axis] = slice(2 * size + 1, None), slice(None, -2 * size - 1)
        image = ((sums[tuple(ends)] - sums[tuple(starts)]) / (2 * size + 1)).astype(np.float32)
    return image


def lit(colour: np.ndarray, relief: np.ndarray, strength: float, gloss: float) -> np.ndarray:
    """Return the picture with its ``relief`` (H, W, in pixels) lit from the upper left."""
    d_row, d_column = np.gradient(relief)
    slope = strength * (d_row + d_column) / np.sqrt(2)
    facing = slope / np.sqrt(1 + slope * slope)  # the sine of the angle towards the lamp
    shaded = colour * (1 + 0.55 * facing)[..., None]
    glint = gloss * np.clip(facing - 0.25, 0, None) ** 2
    return np.clip(shaded + glint[..., None], 0, 1)
