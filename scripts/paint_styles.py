"""Paint the demo's style pictures, from nothing but a seed.

    python scripts/paint_styles.py [--only swirl] [--seed N] [--size PIXELS] [--output FOLDER]

Each painter below is one school: it takes a random generator and a size and
returns the picture.  All share a small paint box: noise, colour ramps, flow
fields, brush strokes with bristles, and light on wet paint.

Units: a position is (row, column) in heights of the picture, so that row 1 is
the lower edge and a painting keeps its composition at any size.  A colour is
RGB in [0, 1]; a picture is (H, W, 3) float32.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Random = np.random.Generator


# --- the paint box -------------------------------------------------------------------


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


# --- lines and shapes ----------------------------------------------------------------


def polygons(
    shapes: list[np.ndarray], height: int, width: int, unit: int | None = None
) -> np.ndarray:
    """Return the mask (H, W) of shapes, each (N, 2) in units of ``unit`` pixels (None: H)."""
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    for shape in shapes:
        draw.polygon((shape[:, ::-1] * (unit or height)).ravel().tolist(), fill=255)
    return np.asarray(mask, np.float32) / 255


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


# --- flow fields and brush strokes ---------------------------------------------------


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


def along_contours(field: np.ndarray) -> np.ndarray:
    """Return unit vectors (H, W, 2) along the contour lines of ``field``.

    A contour runs at right angles to the gradient, so the flow has no sources:
    peaks and pits become vortices.
    """
    d_row, d_column = np.gradient(field)
    flow = np.stack([-d_column, d_row], axis=-1)
    return (flow / (np.linalg.norm(flow, axis=-1, keepdims=True) + 1e-12)).astype(np.float32)


def trace(flow: np.ndarray, starts: np.ndarray, length: float, steps: int = 14) -> np.ndarray:
    """Return paths (N, steps, 2) in pixels that follow ``flow`` from ``starts`` (N, 2)."""
    limits = np.array(flow.shape[:2]) - 1
    path = [starts.astype(np.float32)]
    for _ in range(steps - 1):
        row, column = np.clip(path[-1], 0, limits).astype(np.int32).T
        path.append(path[-1] + flow[row, column] * (length / (steps - 1)))
    return np.stack(path, axis=1)


def smear(image: np.ndarray, flow: np.ndarray, length: float, steps: int = 24) -> np.ndarray:
    """Return ``image`` (H, W) averaged along the flow (line integral convolution)."""
    height, width = image.shape
    starts = np.indices((height, width)).reshape(2, -1).T
    total = np.zeros(height * width, np.float32)
    for way in (1, -1):
        path = trace(way * flow, starts, length / 2, steps)
        rows = np.clip(path[..., 0], 0, height - 1).astype(np.int32)
        columns = np.clip(path[..., 1], 0, width - 1).astype(np.int32)
        total += image[rows, columns].mean(axis=1)
    return total.reshape(height, width) / 2


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


def varied(rng: Random, colours: np.ndarray, value: float, hue: float) -> np.ndarray:
    """Return colours (N, 3) as a painter mixes them: never the same twice."""
    lighter = 1 + value * rng.standard_normal((len(colours), 1))
    warmer = hue * rng.standard_normal((len(colours), 1)) * np.array([1.0, 0.1, -1.0])
    return np.clip(colours * lighter + warmer, 0, 1).astype(np.float32)


# --- swirl: oil on canvas, thick, along a flow ---------------------------------------

NIGHT = rgb("080d2b", "101f5e", "1b3f96", "2a6cb4", "4fa0bf", "a9d3c2", "f3ecc4")
FIRE = rgb("fffbe0", "fde98a", "fbc23a", "f08a24", "c8472c", "5b3577", "1f3f92")
STAR = rgb("fff6cf", "fbe28a", "f2bd4b", "d8e0b0", "7fc0bd", "3f86bd", "1f4fa0")
ACCENTS = rgb("38b3a8", "7d5fc0", "e8a23c", "dfe9d0", "0b1236", "c4573a")
LIGHTS = [  # row, column, radius of the disc and its glow; the moon first
    (0.300, 0.930, 0.155),
    (0.085, 0.655, 0.058),
    (0.105, 0.085, 0.070),
    (0.475, 0.100, 0.052),
    (0.085, 1.190, 0.045),
    (0.415, 0.640, 0.036),
    (0.505, 1.190, 0.036),
]
VORTICES = [  # row, column, radius, strength: its sign is the way it turns
    (0.240, 0.375, 0.125, 1.0),
    (0.435, 0.430, 0.050, -0.8),
    (0.170, 0.775, 0.034, -0.6),
]
RANGE = [(0.56, -0.1), (0.50, 0.15), (0.585, 0.34), (0.545, 0.56), (0.60, 0.8), (0.555, 1.06),
         (0.60, 1.4)]  # fmt: skip
SHORE = [(0.60, -0.1), (0.585, 0.12), (0.66, 0.40), (0.70, 0.62), (0.685, 0.95), (0.66, 1.15),
         (0.63, 1.4)]  # fmt: skip
BANK = [(0.80, -0.1), (0.785, 0.12), (0.85, 0.36), (0.93, 0.62), (0.945, 0.90), (0.88, 1.15),
        (0.86, 1.4)]  # fmt: skip


def paint_swirl(rng: Random, height: int, width: int) -> np.ndarray:
    """Oil on canvas: a night of slow whirlpools over an estuary, in thick strokes."""
    motif, flow = _swirl_motif(rng, height, width)
    ground = np.broadcast_to(rgb("33285a"), motif.shape).copy()  # a violet ground shows between
    canvas = Canvas(ground, 0.5 * noise(rng, height, width, 90, 2))
    layers = [  # how many strokes, with which brush, how freely coloured
        (1700, Brush(0.140, 0.0400, 14, 2.2), 0.08, 0.020),
        (3600, Brush(0.100, 0.0190, 9, 3.0), 0.12, 0.030),
        (7500, Brush(0.068, 0.0115, 6, 3.6, 0.07), 0.15, 0.035),
        (2600, Brush(0.048, 0.0080, 5, 4.2, 0.08), 0.20, 0.050),
    ]
    for count, brush, value, hue in layers:
        starts = rng.random((count, 2)) * (1.1 * height, 1.1 * width) - 0.05 * height
        paths = trace(flow, starts, brush.length * height)
        colours = varied(rng, _seen(motif, paths), value, hue)
        odd = rng.random(count) < 0.05  # now and then a colour from elsewhere
        spice = ACCENTS[rng.integers(0, len(ACCENTS), count)]
        colours = np.where(odd[:, None], 0.6 * colours + 0.4 * spice, colours)
        brush_strokes(rng, canvas, paths, colours, brush)
    _contours(rng, canvas)
    _sparks(rng, canvas)
    _reeds(rng, canvas)
    return lit(canvas.colour, blur(canvas.relief, height / 1216), 0.85, 1.4)


def _seen(motif: np.ndarray, paths: np.ndarray) -> np.ndarray:
    """Return the motif's colour (N, 3) halfway along each path."""
    middle = paths[:, paths.shape[1] // 2]
    row, column = np.clip(middle, 0, np.array(motif.shape[:2]) - 1).astype(np.int32).T
    return motif[row, column]


def _swirl_motif(rng: Random, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the painter sees, (H, W, 3), and the way the brush goes, (H, W, 2)."""
    r, c = grid(height, width)
    stream = -0.8 * r - 0.05 * np.sin(5 * c) + 0.022 * noise(rng, height, width, 3, 2)
    for row, column, radius, strength in VORTICES:
        stream += 1.5 * radius * strength * np.exp(-(_far(r, c, row, column, radius) ** 2) / 2)
    flow = along_contours(stream)
    arms = np.zeros_like(r)
    for row, column, radius, strength in VORTICES:
        far, way = _far(r, c, row, column, radius), np.sign(strength)
        flow = mix(flow, _around(r, c, row, column, way, 0.30), smoothstep(1.9, 0.9, far))
        spiral = np.arctan2(r - row, c - column) + way * 3.2 * np.log(far + 0.05)
        arms += np.exp(-(far**2) / 2.2) * np.cos(2 * spiral) + 1.3 * np.exp(-((far / 0.3) ** 2))
    for index, (row, column, radius) in enumerate(LIGHTS):  # every light is ringed by strokes
        far = _far(r, c, row, column, radius)
        flow = mix(flow, _around(r, c, row, column, (-1) ** index, 0.0), smoothstep(1.7, 1, far))
    flow /= np.linalg.norm(flow, axis=-1, keepdims=True) + 1e-6

    threads = _threads(rng, flow, height, width)
    sky = ramp(0.35 + 0.32 * (r - 0.3) + 0.145 * threads + 0.20 * arms, NIGHT)
    crumbs = noise(rng, height, width, 24, 2)
    for index, (row, column, radius) in enumerate(LIGHTS):
        far = _far(r, c, row, column, radius) + 0.06 * threads + 0.05 * crumbs
        rings = far + 0.09 * np.sin(11 * far) * (far > 0.35)
        glow = ramp(rings / 1.55, FIRE if index in (0, 3) else STAR)
        sky = mix(sky, glow, smoothstep(1.9, 0.65, far + 0.16 * crumbs * far))
    return _swirl_land(rng, r, c, sky, flow)


def _far(r: np.ndarray, c: np.ndarray, row: float, column: float, radius: float) -> np.ndarray:
    """Return every pixel's distance from a centre, in radii."""
    return np.hypot(r - row, c - column) / radius


def _around(
    r: np.ndarray, c: np.ndarray, row: float, column: float, way: float, inward: float
) -> np.ndarray:
    """Return unit vectors (H, W, 2) that circle a centre, spiralling ``inward`` (radians)."""
    angle = np.arctan2(r - row, c - column) + way * (np.pi / 2 + inward)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


def _threads(rng: Random, flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return long filaments along the flow, (H, W), of mean 0 and deviation 1."""
    low, narrow = max(8, height // 4), max(8, width // 4)  # filaments have no fine detail
    rows = np.arange(low) * height // low
    columns = np.arange(narrow) * width // narrow
    drawn = smear(noise(rng, low, narrow, 14, 3), flow[rows][:, columns], 0.30 * low)
    drawn = (drawn - drawn.mean()) / drawn.std()
    full = Image.fromarray(drawn).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(full)


def _swirl_land(
    rng: Random, r: np.ndarray, c: np.ndarray, sky: np.ndarray, flow: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return motif and flow with hills, water and a near bank in front of the sky."""
    lumps = noise(rng, r.shape[0], r.shape[1], 7, 3)
    motif, flow = sky.copy(), flow.copy()
    bands = [  # the line above it, its colours from there down, how deep they go, folds
        (RANGE, rgb("7f9fd0", "3d5fae", "2a3a86", "4a3f8c"), 0.12, 0.018),
        (SHORE, rgb("4f9a86", "1f6a6a", "123f55", "0c2440"), 0.10, 0.014),
        (BANK, rgb("c08a2e", "4e5f2c", "1b3a34", "0a1826"), 0.16, 0.020),
    ]
    water = r > 0.715 + 0.012 * np.sin(7 * c)
    for line, colours, depth, folds in bands:
        under = r - _profile(line, c)
        here = under > 0
        motif[here] = ramp(under / depth + 0.22 * lumps, colours)[here]
        flow[here] = along_contours(under + folds * lumps)[here]
        if line is SHORE:
            motif[water] = _water(rng, r, c)[water]
            flow[water] = along_contours(r + 0.003 * lumps)[water]
    return motif, flow.astype(np.float32)


def _profile(line: list[tuple[float, float]], c: np.ndarray) -> np.ndarray:
    """Return the row (1, W) of a skyline at each column of the grid ``c``."""
    curve = spline(line)
    return np.interp(c[:1], curve[:, 1], curve[:, 0])


def _water(rng: Random, r: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the water's colour everywhere: night, and the moon's broken road on it."""
    ripple = noise(rng, 6 * r.shape[0], r.shape[1], 26, 2)[::6]  # six times as wide as high
    moon = LIGHTS[0][1]
    road = np.exp(-(((c - moon) / (0.05 + 0.35 * np.clip(r - 0.70, 0, 1))) ** 2))
    night = ramp(0.42 - 1.1 * (r - 0.71) + 0.13 * ripple, NIGHT)
    return mix(night, ramp(0.36 - 0.16 * ripple, FIRE), road * (0.75 + 0.55 * ripple))


def _contours(rng: Random, canvas: Canvas) -> None:
    """Draw the hills' edges with a loaded dark brush, as a painter closes a form."""
    height = canvas.relief.shape[0]
    for line in (RANGE, SHORE, BANK):
        curve = spline(line, 260) * height
        starts = rng.integers(0, 236, 64)
        paths = np.stack([curve[start : start + 16] for start in starts])
        paths += rng.normal(0, 0.0030 * height, (64, 1, 2))
        colours = ramp(rng.random(64), rgb("0a1030", "14235e", "1c3f66", "2d2455"))
        colours = varied(rng, colours, 0.2, 0.03)
        brush_strokes(rng, canvas, paths, colours, Brush(0.09, 0.007, 5, 3.6))


def _sparks(rng: Random, canvas: Canvas) -> None:
    """Set the heart of every light with a few fat dabs, nearly straight from the tube."""
    height = canvas.relief.shape[0]
    for row, column, radius in LIGHTS:
        dab = min(0.36 * radius, 0.032)
        count = int(12 + 1.2 * (radius / dab) ** 2)
        angle = rng.uniform(0, 2 * np.pi, (count, 1))
        s = np.linspace(-0.5, 0.5, 8)
        middle = rng.normal((row, column), 0.11 * radius, (count, 2))[:, None]
        turn = angle + 0.7 * s
        paths = middle + dab * np.stack([s * np.sin(turn), s * np.cos(turn)], axis=-1)
        colours = varied(rng, ramp(rng.uniform(0, 0.16, count), FIRE), 0.03, 0.02)
        brush = Brush(dab, 0.006 + 0.16 * dab, 7, 4.5)
        brush_strokes(rng, canvas, paths * height, colours, brush)


def _reeds(rng: Random, canvas: Canvas) -> None:
    """Plant the near bank: blades from dark to light, and poppies among them."""
    height, width = canvas.relief.shape
    greens = rgb("0c1f2a", "17413a", "3f6b34", "8f9a3a", "d9b445", "f3dc86")
    reds = rgb("a3201f", "e2452b", "f58f3c")
    rounds = [(260, 0.0, 0.4, 0.17), (260, 0.3, 0.75, 0.13), (150, 0.7, 1.0, 0.10)]
    for count, low, high, reach in rounds:  # blades, their part of the greens, their height
        column = rng.random(count) * width / height
        clump = 0.62 + 0.38 * np.sin(3.9 * column + 1.1)
        root = _profile(BANK, column[None])[0] + rng.uniform(0.03, 0.16, count)
        lean = 0.35 * np.sin(4.1 * column) + 0.22 * rng.standard_normal(count)
        s = np.linspace(0, 1, 12)
        tall = rng.uniform(0.5, 1.2, (count, 1)) * reach * clump[:, None]
        rows = root[:, None] - tall * s
        columns = column[:, None] + lean[:, None] * tall * (0.3 * s + s**2)
        paths = np.stack([rows, columns], axis=-1).astype(np.float32) * height
        colours = varied(rng, ramp(rng.uniform(low, high, count), greens), 0.12, 0.03)
        brush_strokes(rng, canvas, paths, colours, Brush(reach, 0.0085, 5, 3.4))
        blooms = paths[rng.random(count) < 0.09][:, -3:]
        colours = varied(rng, ramp(rng.random(len(blooms)), reds), 0.1, 0.02)
        brush_strokes(rng, canvas, blooms, colours, Brush(0.030, 0.016, 6, 5.0))


# --- glass: a leaded window, lit from behind ------------------------------------------

ROSE = (0.400, 0.396)  # row and column of the sun in the window
RIM = 0.262  # radius of the rose
BORDER, SUN, SKY_GLASS, RIVER, LEAF, STEM, HILL = range(7)  # kinds of pane; hills count on
LABELS = 10_000  # a pane is known by kind * LABELS + label
VINES = [  # where the stems pass, from the sill upwards
    [(1.02, 0.100), (0.86, 0.055), (0.70, 0.105), (0.52, 0.060), (0.33, 0.085), (0.17, 0.065),
     (0.085, 0.17), (0.075, 0.30)],
    [(1.02, 0.680), (0.90, 0.735), (0.76, 0.690), (0.60, 0.735), (0.42, 0.715), (0.25, 0.735),
     (0.12, 0.68), (0.07, 0.56)],
]  # fmt: skip
ROSE_RINGS = [  # from the eye outwards: the colours that take turns around each ring
    rgb("fff4c2"),
    rgb("ffd84a", "ffb52e"),
    rgb("c4182c", "ef6a1f"),
    rgb("2743b4", "5a1f8c"),
    rgb("f7d774", "48b6c8"),
    rgb("c81f30", "f2a52a", "1f3fae"),
    rgb("f7b733", "e2571f"),  # and the eye's own rim
]
DUSK_LIGHT = rgb("ffd062", "f08a4a", "d84f8a", "7f5fd0", "4f86e0", "58b4e4")
DUSK_DARK = rgb("e0502c", "9c2060", "4a2496", "1f34ac", "12308c", "0c1a5c")
HILLS = [
    rgb("e8cf4e", "8fbf47", "4f9a4c", "f0b840"),
    rgb("3f9f58", "1f7a5a", "62b04a", "188070"),
    rgb("15627a", "124a60", "1f9a86", "28408c", "5a3a8c"),
]
WATER = rgb("1748a0", "3f9fd0", "9fe0e4", "1a62b8", "f7e3a0")
LEAVES = rgb("2fa84c", "8fcf45", "1f9470", "d3d84a", "4fbf5a", "f0a030")
JEWELS = rgb("b0142a", "1f3fa8", "b0142a", "eeb02e", "176f4f", "5e2290")


def paint_glass(rng: Random, height: int, width: int) -> np.ndarray:
    """Stained glass: a rose of a sun over hills and a river, in lead of three widths."""
    kind, part, fine = _tracery(rng, height, width)
    hand = 1 + 0.12 * noise(rng, height, width, 12, 2)  # no lead is as wide everywhere
    plant = np.where((kind == LEAF) | (kind == STEM), kind, 0)
    leads = [(plant, 0.0050), (kind, 0.0095), (part, 0.0068), (fine, 0.0042)]
    clear = _distance_to_lead(leads, hand) / height
    panes = kind * LABELS + fine
    glass = _glass(rng, panes, _glass_colours(rng, panes))
    glass *= (0.62 + 0.38 * smoothstep(0, 0.011, clear))[..., None]  # dirt along the lead
    r, c = grid(height, width)
    far = np.hypot(r - ROSE[0], c - ROSE[1])
    glass *= (0.86 + 0.50 * np.exp(-((far / 0.36) ** 2)))[..., None]
    glass = 1.06 * (1 - np.exp(-2.5 * glass**1.5))  # film's shoulder: bright, never burnt out
    came = np.clip(-clear * height, 0, None)  # lead is round: its relief, in pixels
    lead = lit(np.full_like(glass, 0.10), 1.6 * np.sqrt(came), 1.1, 0.5)
    edge = smoothstep(0, 0.0012, clear)
    window = np.clip(mix(lead, glass, edge), 0, 1)
    glow = np.clip(blur(window * edge[..., None], height / 70), 0, 1)
    return 1 - (1 - window) * (1 - 0.22 * glow)


def _tracery(rng: Random, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the window's three partitions, coarse to fine: kind, part, pane; (H, W) labels."""
    r, c = grid(height, width)
    r = r + 0.0025 * noise(rng, height, width, 5, 2)  # no line is ruled
    c = c + 0.0025 * noise(rng, height, width, 5, 2)
    far = np.hypot(r - ROSE[0], c - ROSE[1])
    theta = np.arctan2(r - ROSE[0], c - ROSE[1]) + np.pi
    kind = np.full(r.shape, SKY_GLASS)
    fine = _rays(rng, far, theta)
    for band, level in enumerate((0.675, 0.745, 0.835)):
        under = r - skyline(rng, c, level, 0.026)
        kind[under > 0] = HILL + band
        fine[under > 0] = _furrows(rng, under, c, 0.026 + 0.006 * band)[under > 0]
    bank = 0.40 + 0.85 * (r - 0.60) * np.sin(10.5 * (r - 0.62))
    river = (kind >= HILL) & (np.abs(c - bank) < 0.055 + 0.42 * (r - 0.66))
    kind[river] = RIVER
    fine[river] = _furrows(rng, r - 0.60 + 0.010 * np.sin(24 * c + 9 * r), c, 0.021)[river]
    rose = far < RIM
    kind[rose], fine[rose] = SUN, _rose(far, theta)[rose]
    _vines(rng, kind, fine)
    frame = np.minimum(np.minimum(r, 1 - r), np.minimum(c, width / height - c))
    kind[frame < 0.034] = BORDER
    fine[frame < 0.034] = _border(r, c, width / height)[frame < 0.034]
    part = np.where(kind == SUN, fine // 100 % 6, 0)  # the eye and its rim are one
    return kind, part, fine


def _sectors(theta: np.ndarray, count: int, phase: float = 0.0) -> np.ndarray:
    """Return which of ``count`` equal slices of the circle each angle is in."""
    return np.floor((theta / (2 * np.pi) + phase / count) * count).astype(np.int64) % count


def _rose(far: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return labels of the rose, 100 * ring + place: eye, petals twice, roundels, rim."""
    x = far / RIM
    label = np.where(x < 0.055, 0, 600 + _sectors(theta, 8))
    label = np.where(x > 0.125, 100 + _sectors(theta, 8, 0.5), label)
    outside = x > 0.30 + 0.13 * np.abs(np.cos(4 * theta)) ** 0.6
    label = np.where(outside, 200 + _sectors(theta, 16), label)
    outside = x > 0.54 + 0.15 * np.abs(np.sin(8 * theta)) ** 0.6
    label = np.where(outside, 300 + _sectors(theta, 16, 0.5), label)
    step = 2 * np.pi / 16
    slant = (theta + step / 2) % step - step / 2
    roundel = np.hypot(x * np.cos(slant) - 0.765, x * np.sin(slant)) < 0.075
    label = np.where(roundel, 400 + _sectors(theta, 16, 0.5), label)
    return np.where(x > 0.89, 500 + _sectors(theta, 48), label)


def _rays(rng: Random, far: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return labels of the sky: rays of the sun, each broken at its own distances."""
    ray = _sectors(theta + 0.22 * np.sin(7 * far), 32)
    shift = rng.uniform(0, 0.6, 32)[ray]  # under 1, lest slivers of glass touch the rim
    ring = np.floor((far - RIM) / (0.045 + 0.07 * far) + shift).astype(np.int64)
    return 1000 + ray * 32 + np.clip(ring, 0, 31)


def _furrows(rng: Random, under: np.ndarray, c: np.ndarray, deep: float) -> np.ndarray:
    """Return labels of strips that follow a skyline, each cut at its own columns."""
    strip = np.clip(np.floor(under / deep), 0, 39).astype(np.int64)
    shift, pace = rng.uniform(0, 1, 40)[strip], rng.uniform(3.5, 8, 40)[strip]
    slant = 1.8 * (under - deep * strip) * (1 - 2 * (strip % 2))
    cut = np.floor((c + slant) * pace + shift).astype(np.int64)
    return 5000 + strip * 64 + cut


def _vines(rng: Random, kind: np.ndarray, fine: np.ndarray) -> None:
    """Draw two vines up the sides of the window, stems first, then leaves with a midrib."""
    label = 8000
    for vine in VINES:
        path = spline(vine, 300)
        _stamp(kind, fine, swelling(path, 0.020, 0.5), STEM, 8000)
        for leaf, index in enumerate(np.linspace(22, 297, 22).astype(int)):
            ahead = np.arctan2(*(path[index] - path[index - 3]))
            angle = ahead + (-1) ** leaf * rng.uniform(0.55, 0.95)
            size = rng.uniform(0.062, 0.092)
            for half in (0, 1):
                label += 1
                _stamp(kind, fine, _half_leaf(path[index], angle, size, half), LEAF, label)


def _half_leaf(root: np.ndarray, angle: float, size: float, half: int) -> np.ndarray:
    """Return one side of a pointed leaf, as a polygon from its root to its tip and back."""
    s = np.linspace(0, 1, 20)
    rib = 0.10 * np.sin(np.pi * s)
    edge = rib + (1 - 2 * half) * 0.30 * np.sin(np.pi * s**0.8) * (1 - 0.3 * s)
    along, across = np.r_[s, s[::-1]], np.r_[rib, edge[::-1]]
    heading = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
    return root + size * np.stack([along, across], axis=-1) @ heading


def _stamp(kind: np.ndarray, fine: np.ndarray, shape: np.ndarray, what: int, label: int) -> None:
    """Lay one piece of glass, a polygon, over the panes already there."""
    height, width = kind.shape
    inside = polygons([shape], height, width) > 0.5
    kind[inside], fine[inside] = what, label


def _border(r: np.ndarray, c: np.ndarray, aspect: float) -> np.ndarray:
    """Return labels of the frame's jewels: long and short by turns."""
    upright = np.minimum(c, aspect - c) < np.minimum(r, 1 - r)
    place = np.where(upright, r, c) / 0.075
    turn = 2 * np.floor(place).astype(np.int64) + (place % 1 > 0.68)
    return 9000 + turn + 200 * upright


def _distance_to_lead(partitions: list[tuple[np.ndarray, float]], hand: np.ndarray) -> np.ndarray:
    """Return the distance in pixels to the edge of the nearest lead, negative inside it.

    Jump flooding: every pixel asks neighbours ever closer for the best line they know.
    """
    height, width = hand.shape
    half = np.zeros((height, width), np.float32)  # half the lead's width, on its line
    for labels, thick in reversed(partitions):
        line = (labels != np.roll(labels, 1, 0)) | (labels != np.roll(labels, 1, 1))
        line[0], line[:, 0] = True, True
        half[line] = (thick * height / 2 * hand)[line]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    best = np.where(half > 0, -half, np.float32(1e6))
    seed = np.stack([rows, columns, half], axis=-1)
    seed[half == 0] = -1e6
    for jump in (32, 16, 8, 4, 2, 1, 1):
        for down in (-jump, 0, jump):
            for right in (-jump, 0, jump):
                offer = np.roll(seed, (down, right), (0, 1))
                distance = np.hypot(rows - offer[..., 0], columns - offer[..., 1]) - offer[..., 2]
                closer = distance < best
                best[closer], seed[closer] = distance[closer], offer[closer]
    return best


def _glass_colours(rng: Random, panes: np.ndarray) -> np.ndarray:
    """Return a colour (N, 3) for each pane, from its kind, its label and its place.

    N counts every label there could be, so that a pane draws the same luck at any size.
    """
    count = (HILL + len(HILLS)) * LABELS
    kind, label = np.divmod(np.arange(count), LABELS)
    area = np.bincount(panes.ravel(), minlength=count) + 1e-9
    r, c = (np.bincount(panes.ravel(), x.ravel(), count) / area for x in grid(*panes.shape))
    far = np.hypot(r - ROSE[0], c - ROSE[1])
    pick, wander = rng.random(count), 0.07 * rng.standard_normal(count)
    colours = JEWELS[label % len(JEWELS)]
    for ring, palette in enumerate(ROSE_RINGS):
        here = (kind == SUN) & (label // 100 == ring)
        colours[here] = palette[(label % 100)[here] % len(palette)]
    t = (far - RIM) / 0.24 + wander
    light = ((label - 1000) // 32 % 2 == 0)[:, None]
    sky = np.where(light, ramp(t, DUSK_LIGHT), ramp(t, DUSK_DARK))
    colours = np.where((kind == SKY_GLASS)[:, None], sky, colours)
    for what, palette in [(RIVER, WATER), (LEAF, LEAVES), *enumerate(HILLS, HILL)]:
        colours = np.where((kind == what)[:, None], ramp(pick, palette), colours)
    colours[kind == STEM] = rgb("4a1f3c")
    return varied(rng, colours, 0.09, 0.02)


def _glass(rng: Random, panes: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Return hand-made glass (H, W, 3): two colours streaked in every pane, and bubbles."""
    height, width = panes.shape
    count = len(colours)
    r, c = grid(height, width)
    cloud = noise(rng, height, width, 7, 4)
    streaks = []
    for angle in (0.3, 1.0, 1.9, 2.7):
        along = r * np.sin(angle) + c * np.cos(angle)
        across = r * np.cos(angle) - c * np.sin(angle) + 0.022 * cloud
        broad = np.sin(95 * across + 2 * np.sin(9 * along))
        streaks.append((broad + np.sin(233 * across + 5 * along)) / 2)
    streak = np.choose(rng.integers(0, 4, count)[panes], streaks)
    other = np.where(rng.random((count, 1)) < 0.5, 0.6 * colours, 0.78 * colours + 0.2)
    second = varied(rng, other, 0.10, 0.11)
    amount = rng.uniform(0.35, 0.95, count)[panes]
    glass = mix(colours[panes], second[panes], amount * (0.5 + 0.5 * streak))
    light = 1 + 0.09 * cloud + rng.uniform(0.03, 0.12, count)[panes] * streak
    hammered = noise(rng, height, width, 70, 2)
    return lit(np.clip(glass * light[..., None], 0, 1), hammered, 0.28, 0.8)


# --- waves: a woodblock print ---------------------------------------------------------

INK = rgb("13224a")[0]
PAPER = rgb("efe2c4")[0]
FOAM = rgb("f6eed8", "bcd6cc")  # and the shade in its hollows
SKY = rgb("1f3f78", "7f9fb0", "e6d9b4", "f2cf98", "e8a070", "d9785a")  # from the top down
BLUES = rgb("10234c", "1b4680", "3a7aa8", "86b6bd", "e3e6d0")
BANDS = [0, 3, 1, 4, 0, 2, 1, 0, 3, 1, 4, 0, 1, 2, 0, 3, 0, 1, 2, 0]  # which blue, back to face
# A breaker's profile, in its own units: from the trough up its back to the lip, and from
# the trough up its hollow face to the same lip.  Rows grow downwards.
BACK = [(0.40, -1.95), (0.10, -1.45), (-0.16, -1.02), (-0.47, -0.62), (-0.80, -0.28),
        (-1.02, 0.06), (-1.07, 0.36), (-0.97, 0.64), (-0.74, 0.80), (-0.52, 0.74)]  # fmt: skip
FACE = [(0.30, 1.75), (0.13, 1.30), (0.05, 0.90), (-0.06, 0.52), (-0.22, 0.25),
        (-0.44, 0.14), (-0.64, 0.20), (-0.75, 0.38), (-0.72, 0.58), (-0.52, 0.74)]  # fmt: skip
CLOUDS = [(0.20, 1.16, 0.46, 4), (0.44, 1.22, 0.30, 3), (0.14, 0.10, 0.26, 3)]  # and bars each


class Print:
    """A sheet of paper under one carved block after another: polygons, flat or graded."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.colour = np.empty((height, width, 3), np.float32)
        self.colour[:] = PAPER

    def press(self, shapes: list[np.ndarray], ink: np.ndarray) -> None:
        """Print polygons (N, 2) in one colour (3,) or in a graded one (H, W, 3)."""
        corners = np.concatenate(shapes) * self.height
        low = np.clip(corners.min(axis=0) - 2, 0, None).astype(int)
        high = np.clip(corners.max(axis=0) + 3, 0, (self.height, self.width)).astype(int)
        if (low >= high).any():
            return  # beside the sheet
        window = (slice(low[0], high[0]), slice(low[1], high[1]))
        shifted = [shape - low / self.height for shape in shapes]
        rows, columns = high - low
        mask = polygons(shifted, rows, columns, self.height)
        under = self.colour[window]
        self.colour[window] = mix(under, ink[window] if ink.ndim == 3 else ink, mask)

    def lines(self, paths: list[np.ndarray], width: float, ink: np.ndarray = INK) -> None:
        """Print lines that swell in the middle and thin out at both ends."""
        self.press([swelling(path, width) for path in paths], ink)

    def outlined(self, shapes: list[np.ndarray], width: float, ink: np.ndarray) -> None:
        """Print shapes as one form: a rim of dark ink, then the colour inside it."""
        self.press([grown(shape, width) for shape in shapes], INK)
        self.press(shapes, ink)


def paint_waves(rng: Random, height: int, width: int) -> np.ndarray:
    """Woodblock print: breakers under a low sun, ink lines around flat graded colour."""
    sheet = Print(height, width)
    r, _ = grid(height, width)
    sheet.colour = ramp(r / 0.64, SKY, [0, 0.16, 0.36, 0.62, 0.88, 1])
    sun = ramp((r - 0.34) / 0.26, rgb("b81f2a", "d8402f", "ee7f48"))
    sheet.outlined([disc((0.475, 0.795), 0.118)], 0.0022, sun)
    _clouds(rng, sheet)
    _birds(rng, sheet)
    swell(rng, sheet, 0.600, 0.012, 9.0, 0.4, 1)
    swell(rng, sheet, 0.645, 0.028, 5.2, 1.9, 1)
    breaker(rng, sheet, (0.715, 1.110), 0.185)
    swell(rng, sheet, 0.745, 0.042, 4.0, 3.6, 0)
    breaker(rng, sheet, (0.880, 0.480), 0.690)
    swell(rng, sheet, 0.900, 0.065, 3.1, 0.3, 1)
    breaker(rng, sheet, (1.130, 1.130), 0.430)
    swell(rng, sheet, 1.010, 0.070, 2.6, 4.9, 0)
    return _printed(rng, sheet.colour)


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


def claw(root: np.ndarray, angle: float, size: float, bend: float, fat: float) -> np.ndarray:
    """Return one finger of foam: an outline that tapers from its root and hooks over."""
    s = np.linspace(0, 1, 20)
    heading = angle + bend * s**1.5
    step = np.stack([np.sin(heading), np.cos(heading)], axis=-1)
    path = root + np.cumsum(step, axis=0) * size / 19
    side = np.stack([step[:, 1], -step[:, 0]], axis=-1) * (fat * size * (1 - s) ** 0.7)[:, None]
    return np.concatenate([path + side, (path - side)[::-1]])


def foam(
    rng: Random, sheet: Print, edge: np.ndarray, size: float, turn: float, bend: float, count: int
) -> None:
    """Print ``count`` hands of foam along ``edge`` (N, 2), each over the one before it.

    A hand leaves the edge at the angle ``turn`` (radians, clockwise) and its fingers
    hook over by ``bend``.  A white cord along the edge then joins the hands.
    """
    for place in np.linspace(0, 0.97, count):
        index = int(place * (len(edge) - 3)) + 1
        angle = np.arctan2(*(edge[index + 1] - edge[index - 1])) + turn
        angle += 0.25 * rng.standard_normal()
        reach = size * rng.uniform(0.65, 1.35)
        root = edge[index]
        hand = [disc(root, 0.30 * reach)]
        for spread in np.linspace(-0.8, 0.8, int(rng.integers(3, 6))):
            heading = angle + spread - 0.35 * bend
            knuckle = root + 0.22 * reach * np.array([np.sin(heading), np.cos(heading)])
            hand.append(claw(knuckle, heading, reach * rng.uniform(0.5, 1.0), bend, 0.22))
        sheet.outlined(hand, 0.0021, FOAM[0])
        palm = root + 0.25 * reach * np.array([np.sin(angle), np.cos(angle)])
        sheet.press([claw(palm, angle - 0.35 * bend, 0.5 * reach, bend, 0.20)], FOAM[1])
    sheet.press([swelling(edge, 0.62 * size, 0.5)], FOAM[0])


def spray(rng: Random, sheet: Print, source: np.ndarray, size: float, count: int) -> None:
    """Print drops thrown forward from the points of ``source`` (N, 2)."""
    start = source[rng.integers(0, len(source), count)]
    throw = np.abs(rng.standard_normal((count, 1))) * size
    way = rng.normal((-0.15, 0.75), (0.65, 0.55), (count, 2))
    radius = 0.0018 + 0.0045 * rng.random(count) ** 3
    drops = [disc(centre, r) for centre, r in zip(start + throw * way, radius, strict=True)]
    sheet.outlined(drops, 0.0011, FOAM[0])


def breaker(rng: Random, sheet: Print, foot: tuple[float, float], size: float) -> None:
    """Print one wave: bands of blue lofted from its back to its face, then its foam."""
    back, face = spline(BACK) * size + foot, spline(FACE) * size + foot
    share = np.r_[0, np.cumsum(rng.uniform(0.4, 1.6, len(BANDS)))]
    share = (share / share[-1]) ** 0.8
    loft = [back + (face - back) * k for k in share]
    sheet.outlined([np.concatenate([back, face[::-1]])], 0.0060 * size + 0.001, BLUES[1])
    r, _ = grid(sheet.height, sheet.width)
    fade = smoothstep(foot[0] + 0.05 * size, foot[0] - 0.7 * size, r)[..., None]
    for band, blue in enumerate(BANDS):
        tone = BLUES[blue]
        wiped = tone + 0.55 * (BLUES[3] - tone) * (1 - fade) if blue < 3 else tone
        sheet.press([np.concatenate([loft[band], loft[band + 1][::-1]])], wiped)
    sheet.lines([curve[: int(rng.integers(110, 158))] for curve in loft[1:-1]], 0.0075 * size)
    hair = [loft[i] + (loft[i + 1] - loft[i]) * k for i in range(len(BANDS)) for k in (0.3, 0.6)]
    starts = rng.integers(5, 60, len(hair))
    sheet.lines([h[i : i + 75] for h, i in zip(hair, starts, strict=True)], 0.0035 * size)
    _crest(rng, sheet, back, face, size)


def _crest(rng: Random, sheet: Print, back: np.ndarray, face: np.ndarray, size: float) -> None:
    """Print the foam of a breaker: its crest and its fringe, the mantle between, its lip."""
    s = np.linspace(0, 1, 84)
    depth = 0.04 + 0.27 * s**1.2 + 0.05 * np.sin(15 * s) ** 2
    upper, lower = back[76:], back[76:] + (face[76:] - back[76:]) * depth[:, None]
    lip = np.linspace(back[-14], back[-1], 12)
    foam(rng, sheet, upper, 0.120 * size, -0.55, 1.7, 19)
    foam(rng, sheet, lower[:80], 0.125 * size, 1.20, 1.2, 17)
    foam(rng, sheet, lip, 0.150 * size, 0.25, 1.3, 5)
    sheet.press([np.concatenate([upper, lower[::-1]])], FOAM[0])
    for place in rng.uniform(0.05, 0.97, 30):  # hollows in the mantle: pale blue, a line above
        index = int(place * 80)
        root = lower[index] + (upper[index] - lower[index]) * rng.uniform(0.05, 0.95)
        angle = np.arctan2(*(upper[index + 2] - upper[index])) + rng.uniform(0.1, 0.9)
        curl = claw(root, angle, size * rng.uniform(0.05, 0.10), 1.6, 0.20)
        sheet.press([curl], FOAM[1])
        sheet.lines([curl[:20]], 0.0026)
    spray(rng, sheet, np.concatenate([upper[30:], lip]), 0.30 * size, int(150 * size))


def swell(
    rng: Random, sheet: Print, level: float, rise: float, pace: float, phase: float, tone: int
) -> None:
    """Print one row of open sea: peaked crests, a graded body, folds below, caps on top."""
    c = np.linspace(-0.1, sheet.width / sheet.height + 0.1, 420)
    lilt = pace * c + 0.6 * np.sin(2.3 * c + phase) + phase
    wave = 1 - np.abs(np.sin(lilt)) ** 0.75  # rounded troughs, sharp crests
    crest = np.stack([level - rise * wave - 0.25 * rise * np.sin(2.7 * c + 2 * phase), c], axis=-1)
    body = np.concatenate([crest, [[1.3, c[-1]], [1.3, c[0]]]])
    r, _ = grid(sheet.height, sheet.width)
    depth = (r - level + rise) / (3.0 * rise + 0.03)
    sheet.outlined([body], 0.0028, ramp(depth, BLUES[[tone, 2, 3, 4]], [0, 0.35, 0.8, 1]))
    for fold in range(1, 10):
        soft = 1 - np.abs(np.sin(lilt - 0.09 * fold)) ** (0.75 + 0.12 * fold)
        sunk = rise * (wave - soft) + (0.26 * rise + 0.003) * fold
        lower = np.stack([crest[:, 0] + sunk, c], axis=-1)
        for start in rng.integers(0, 330, 9):
            length = int(rng.integers(30, 120))
            ink = BLUES[[0, 0, 4, 1][int(rng.integers(4))]]
            width = (0.0036 + 0.03 * rise) * rng.uniform(0.7, 1.8)
            sheet.press([swelling(lower[start : start + length], width, 0.0)], ink)
    if rise > 0.02:
        for peak in np.flatnonzero((wave[1:-1] > wave[:-2]) & (wave[1:-1] >= wave[2:])) + 1:
            reach = int(30 * rng.uniform(0.7, 1.3))
            cap = crest[max(peak - reach, 0) : peak + reach]
            foam(rng, sheet, cap, 0.50 * rise, -0.5, 1.8, 11)


def _clouds(rng: Random, sheet: Print) -> None:
    """Print drifting bars of mist with round ends, as old prints part their scenes."""
    turn = np.linspace(0, np.pi, 16)
    for row, column, length, count in CLOUDS:
        bars = []
        for bar in range(count):
            start = column + rng.uniform(-0.5, 0.2) * length
            end = start + rng.uniform(0.5, 0.95) * length
            cap = rng.uniform(0.013, 0.019) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
            middle = row + 0.027 * bar
            right, left = np.array([[middle, end], [middle, start]])
            bars.append(np.concatenate([right + cap, left - cap]))
        sheet.outlined(bars, 0.0014, rgb("f3e0bd")[0])


def _birds(rng: Random, sheet: Print) -> None:
    """Print plovers crossing the sky, each in one swelling line."""
    for column in np.linspace(0.97, 1.30, 8):
        row = 0.085 + 0.22 * (column - 1.1) ** 2 + rng.uniform(0, 0.05)
        span, tip = rng.uniform(0.016, 0.027), rng.uniform(-0.5, 0.1)
        wings = [(tip, -1.0), (-0.35, -0.4), (0.0, 0.0), (-0.45, 0.35), (tip, 1.0)]
        sheet.lines([spline(wings, 40) * span + (row, column)], 0.006)


def _printed(rng: Random, colour: np.ndarray) -> np.ndarray:
    """Return the print on its paper: wood grain in the ink, fibres in the sheet."""
    height, width = colour.shape[:2]
    r, _ = grid(height, width)
    rings = 55 * r + 3.0 * noise(rng, height, width, 1.5, 3)
    grain = np.sin(2 * np.pi * rings) * 0.5 + 0.5 * noise(rng, height, width, 60, 2)
    inked = 1 - colour.min(axis=-1)
    fibres = blur(rng.standard_normal((height, width)).astype(np.float32), height / 900)
    fibres /= fibres.std()
    worn = mix(colour, PAPER, np.clip(0.05 + 0.035 * grain, 0, 1) * (0.4 + inked))
    return worn * (1 + 0.018 * fibres + 0.02 * noise(rng, height, width, 5, 4))[..., None]


# --- garden: small touches of pure colour ---------------------------------------------

AIR = rgb("8fc4d8", "b9dbd6", "f3e7b8", "fbd79a", "f4b08a")
LEAFAGE = rgb("3a4a90", "1f6a8c", "1f8f6c", "4f9f48", "a3c447", "ecd95c", "fdf0a8")
LAWN = rgb("ecd27a", "b9c75c", "84b352", "4f9a58", "3f8a78")
SHADE = rgb("3a3f94", "2f6a86", "4f5fae")
BLOSSOM = rgb("d8284a", "f06a8a", "f7a6b4", "f4612f", "ffd23f", "8a4fc0", "fff3e0")
STROLLER = (0.560, 0.545, 0.150)  # row and column of the neck, height
GROVE = [  # row, column and size of a crown, column of its trunk, and how far away it is
    (0.355, 0.120, 0.090, 0.125, 0.75),
    (0.350, 0.300, 0.070, 0.300, 0.80),
    (0.345, 0.560, 0.060, 0.560, 0.85),
    (0.290, 0.780, 0.130, 0.770, 0.45),
    (0.175, 0.050, 0.270, 0.105, 0.00),
    (0.120, 0.900, 0.230, 0.850, 0.10),
]


def paint_garden(rng: Random, height: int, width: int) -> np.ndarray:
    """Pointillism: an orchard path at noon, in dots that mix in the eye."""
    motif, flow = _garden_motif(rng, height, width)
    ground = np.broadcast_to(rgb("efe0c0"), motif.shape).copy()  # primed canvas
    canvas = Canvas(ground, 0.3 * noise(rng, height, width, 90, 2))
    layers = [  # how many dots, with which brush, how freely coloured
        (5200, Brush(0.036, 0.0220, 9, 1.2), 0.08),
        (12000, Brush(0.0165, 0.0115, 5, 2.2, 0.04), 0.10),
        (24000, Brush(0.0095, 0.0075, 4, 2.6, 0.03), 0.13),
    ]
    for count, brush, value in layers:
        starts = rng.random((count, 2)) * (1.04 * height, 1.04 * width) - 0.02 * height
        paths = trace(flow, starts, brush.length * height, 6)
        colours = varied(rng, _divided(rng, _seen(motif, paths)), value, 0.03)
        brush_strokes(rng, canvas, paths, colours, brush)
    return lit(canvas.colour, blur(canvas.relief, height / 1000), 0.36, 0.5)


def _divided(rng: Random, colours: np.ndarray) -> np.ndarray:
    """Return colours (N, 3) split as Seurat did: purer, some sunlight, some complement.

    Around the grey of its own lightness a colour is stretched; a few dots are then
    drawn towards orange (direct light), blue (reflected sky) or the opposite hue.
    """
    grey = colours.mean(axis=1, keepdims=True)
    pure = grey + 1.22 * (colours - grey)
    opposite = 2 * grey - colours
    kind = rng.random((len(colours), 1))
    sun, sky = rgb("ffab4a"), rgb("4a6fd8")
    dots = np.where(kind < 0.12, 0.55 * pure + 0.45 * sun * (0.4 + 0.8 * grey), pure)
    dots = np.where(kind > 0.86, 0.55 * pure + 0.45 * sky * (0.5 + 0.8 * grey), dots)
    dots = np.where((kind > 0.80) & (kind < 0.86), 0.45 * pure + 0.55 * opposite, dots)
    return np.clip(dots, 0, 1)


def _garden_motif(rng: Random, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what the painter sees, (H, W, 3), and the way the dots lie, (H, W, 2)."""
    r, c = grid(height, width)
    lumps, leaves = noise(rng, height, width, 6, 3), noise(rng, height, width, 22, 3)
    motif = ramp(r / 0.42 + 0.05 * lumps, AIR)
    hills = [(0.375, 0.018, rgb("c3b0d8", "8f9fd0")), (0.410, 0.010, rgb("8fc09a", "5f97a8"))]
    for level, rise, colours in hills:
        under = r - skyline(rng, c, level, rise)
        motif = mix(motif, ramp(under / 0.07 + 0.2 * lumps, colours), under > 0)
    lawn = r > 0.432 + 0.004 * lumps
    depth = np.clip((r - 0.432) / 0.568, 0, 1)
    motif[lawn] = ramp(0.8 * depth + 0.13 * lumps + 0.10 * leaves, LAWN)[lawn]
    path = 0.455 + 0.30 * depth**0.7 * np.sin(3.6 * depth + 0.2) * (1.1 - depth)
    aside = np.abs(c - path) / (0.008 + 0.165 * depth)
    sand = ramp(0.5 + 0.25 * leaves, rgb("e8a58f", "f7d3a4", "fdf0cf"))
    motif = mix(motif, sand, lawn * smoothstep(1.1, 0.95, aside))
    _shadows(motif, r, c, lumps + 0.8 * leaves, lawn)
    for crown in GROVE:
        _tree(rng, motif, r, c, leaves, crown)
    apart = np.hypot(r - STROLLER[0], c - STROLLER[1]) > 0.13
    bed = smoothstep(0.35, 0.6, lumps * 0.35 + leaves * 0.35 + 0.9 * depth - 0.25 * (aside < 1.4))
    flowers = BLOSSOM[np.clip((3.5 + 2.2 * noise(rng, height, width, 30, 2)).astype(int), 0, 6)]
    bed *= lawn * apart * (aside > 1.12) * (leaves > -0.2)
    motif = mix(motif, flowers * (0.75 + 0.35 * smoothstep(-1, 1, lumps))[..., None], bed)
    _stroller(motif, r, c)
    return motif, along_contours(blur(leaves, height / 200) + 6 * depth)


def _shadows(
    motif: np.ndarray, r: np.ndarray, c: np.ndarray, lumps: np.ndarray, lawn: np.ndarray
) -> None:
    """Lay the trees' violet shade across the lawn, away from a sun on the left."""
    for _, _, size, trunk, far in GROVE:
        foot = 0.455 + 0.36 * (1 - far) ** 1.6
        low, wide = (r - foot - 0.01) / (0.28 * size), (c - trunk - 0.9 * size) / (1.5 * size)
        spread = np.hypot(low, wide)
        cover = smoothstep(1.25, 0.75, spread + 0.22 * lumps) * lawn
        motif[:] = mix(motif, ramp(0.5 + 0.3 * lumps, SHADE), 0.72 * cover)


def _tree(
    rng: Random,
    motif: np.ndarray,
    r: np.ndarray,
    c: np.ndarray,
    leaves: np.ndarray,
    crown: tuple[float, float, float, float, float],
) -> None:
    """Plant one tree: a trunk lit from the left, and clumps of leaves from back to front."""
    row, column, size, trunk, far = crown
    foot = 0.455 + 0.36 * (1 - far) ** 1.6
    thick = 0.085 * size * (1 + 0.8 * smoothstep(foot - 0.05, foot, r)) + 0.002
    bark = np.abs(c - trunk - 0.12 * size * np.sin(9 * (r - row))) / thick
    wood = ramp(0.5 + 0.5 * (trunk - c) / thick, rgb("2b2358", "6a4a86", "b5795e", "dba878"))
    motif[:] = mix(motif, wood, (bark < 1) & (r > row) & (r < foot))
    ragged = 0.20 * np.clip(leaves, -1.3, 1.3)  # not so ragged that leaves float in the air
    for _ in range(15):
        angle, out = rng.uniform(0, 2 * np.pi), 0.72 * np.sqrt(rng.random())
        middle = (row + 0.75 * size * out * np.sin(angle), column + size * out * np.cos(angle))
        radius = size * rng.uniform(0.30, 0.58)
        spread = np.hypot(r - middle[0], (c - middle[1]) / 1.15) / radius
        light = 0.50 - 0.19 * ((c - middle[1]) + 1.2 * (r - middle[0])) / radius + 0.16 * leaves
        tone = ramp(light - 0.10 * (r - row + c - column) / size, LEAFAGE)
        tone = mix(tone, rgb("b9cfc8"), 0.45 * far)  # air between
        motif[:] = mix(motif, tone, smoothstep(1.0, 0.85, spread + ragged))


def _stroller(motif: np.ndarray, r: np.ndarray, c: np.ndarray) -> None:
    """Put a walker with a red parasol on the path, for the eye to rest on."""
    row, column, tall = STROLLER
    down, right = (r - row) / tall, (c - column) / tall
    cast = np.hypot((down - 1.0) / 0.09, (right - 0.55) / 0.6) < 1
    motif[cast] = rgb("6a62a8")
    dress = (np.abs(right) < 0.07 + 0.16 * np.clip(down, 0, 1) ** 1.3) & (down > 0) & (down < 1)
    motif[dress] = ramp(0.5 - 2.2 * right, rgb("2f3a9a", "8f8ad0", "fff4e0"))[dress]
    shade = (np.hypot(down + 0.02, right / 1.2) < 0.36) & (down < -0.06 - 0.3 * right**2)
    head = np.hypot(down + 0.04, right) < 0.075
    motif[head] = rgb("7a3f3a")
    motif[shade] = ramp(0.55 - 1.3 * right, rgb("8c1038", "e0352f", "ffb45a"))[shade]


# --- the gallery ---------------------------------------------------------------------


@dataclass(frozen=True)
class Painting:
    """A painter, and the paper it asks for."""

    painter: Callable[[Random, int, int], np.ndarray]
    height: int  # pixels
    width: int
    oversampling: int  # painted this many times larger, so that edges are smooth


SEED = 5  # of the pictures in nst/demo, chosen by eye
PAINTINGS = {
    "swirl": Painting(paint_swirl, 608, 768, 2),
    "glass": Painting(paint_glass, 768, 608, 2),
    "waves": Painting(paint_waves, 544, 768, 3),
    "garden": Painting(paint_garden, 704, 640, 2),
}


def paint(name: str, seed: int = SEED, size: int | None = None) -> Image.Image:
    """Return the painting ``name``, its longer side ``size`` pixels (None: as shipped)."""
    painting = PAINTINGS[name]
    longer = max(painting.height, painting.width)
    scale = 1.0 if size is None else size / longer
    height, width = round(painting.height * scale), round(painting.width * scale)
    fine = painting.oversampling
    rng = np.random.default_rng([seed, *name.encode()])
    colour = painting.painter(rng, height * fine, width * fine)
    image = Image.fromarray((np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8))
    return image.resize((width, height), Image.Resampling.BOX)


def main(argv: list[str] | None = None) -> None:
    """Paint and save as JPEG."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Paint the demo's style pictures.")
    parser.add_argument("--only", choices=sorted(PAINTINGS), help="one painting, not all")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, another picture")
    parser.add_argument("--size", type=int, help="longer side, pixels (default: as shipped)")
    parser.add_argument("--output", type=Path, default=here.parent / "nst" / "demo")
    arguments = parser.parse_args(argv)
    if arguments.size is not None and arguments.size < 32:
        parser.error(f"--size is too small to paint on: {arguments.size}. Give 32 or more.")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else PAINTINGS:
        path = arguments.output / f"{name}.jpg"
        paint(name, arguments.seed, arguments.size).save(path, quality=90, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
